"""Option files and ``--force_yml`` entries are data."""

from collections import OrderedDict

import pytest

from gpemsr.errors import InputError
from gpemsr.options.read import override, read_options


def test_order_floats_and_merges_are_read_as_basicsr_does(tmp_path):
    file = tmp_path / "a.yml"
    file.write_text("z: !!float 4e-4\na: &base {y: 1, x: 2}\nb: {<<: *base, x: 3}\n")
    options = read_options(file)
    assert isinstance(options, OrderedDict)
    assert list(options) == ["z", "a", "b"]
    assert options["z"] == 4e-4
    assert list(options["a"].items()) == [("y", 1), ("x", 2)]
    assert dict(options["b"]) == {"y": 1, "x": 3}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: !!python/object/apply:os.system ['touch ran']\n", "line 2: could not determine a constructor"),
        ("a: [1\n", "line 2: expected"),
        ("a: 1\na: 2\n", "key 'a' is given twice"),
        ("- a\n", "holds list, not a mapping"),
        ("", "holds NoneType, not a mapping"),
    ],
)
def test_what_is_no_plain_mapping_is_refused_in_one_line(tmp_path, text, message):
    file = tmp_path / "a.yml"
    file.write_text(text)
    with pytest.raises(InputError) as refused:
        read_options(file)
    assert str(file) in str(refused.value)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"nope\.yml: No such file"):
        read_options(tmp_path / "nope.yml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-1", -1),
        ("0.5", 0.5),
        ("!!float 4e-4", 4e-4),
        ("!!float4e-4", 4e-4),
        ("true", True),
        ("none", None),
        ("~", None),
        ("[1, 2]", [1, 2]),
        ("a=b", "a=b"),
    ],
)
def test_forced_values_have_the_types_of_a_file(text, value):
    assert override(OrderedDict(a=OrderedDict()), [f"a:b={text}"])["a"]["b"] == value


@pytest.mark.parametrize("entry", ["a", "=1", "nope:b=1", "a:b:c=1", "a:b=[1", "a:b=!!python/name:os.system"])
def test_forced_entries_that_do_not_fit_are_refused(entry):
    with pytest.raises(InputError, match="--force_yml"):
        override(OrderedDict(a=OrderedDict(b=1)), [entry])
