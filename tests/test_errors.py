"""How a command reports what went wrong."""

import warnings

import pytest

from gpemsr.errors import InputError, InputWarning, command


@pytest.mark.parametrize(
    ("raised", "code", "line"),
    [(InputError("x.tif: too small"), 2, "error: x.tif: too small\n"), (KeyboardInterrupt(), 130, "interrupted\n")],
)
def test_bad_input_and_an_interrupt_are_one_line_and_an_exit_code(raised, code, line, capsys):
    @command
    def main() -> int:
        raise raised

    assert main() == code
    assert capsys.readouterr().err == line


def test_the_exit_code_of_a_command_is_its_own():
    assert command(lambda: 1)() == 1
    assert command(lambda: None)() == 0


def test_a_warning_about_the_input_is_one_line_and_the_command_goes_on(capsys):
    @command
    def main() -> int:
        for _ in range(2):
            warnings.warn("x.tif: odd", InputWarning, stacklevel=1)
        return 0

    assert main() == 0
    assert capsys.readouterr().err == "warning: x.tif: odd\n"
