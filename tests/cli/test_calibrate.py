"""gpemsr-calibrate: a calibration that gpemsr-upscale takes, a plot, and one line for bad input."""

import pytest
from tiny_stages import write_sections

from gpemsr.cli.calibrate import main
from gpemsr.cli.upscale import main as upscale
from gpemsr.volume.calibration import Calibration
from gpemsr.volume.trust import CUES


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_sections(tmp_path)
    (tmp_path / "bicubic.yml").write_text("network_g: {type: Bicubic, scale: 8}\n")
    return tmp_path


def test_a_calibration_is_made_and_used(folder, capsys):
    words = ["-opt", "bicubic.yml", "--device", "cpu", "--degradation", "area"]
    assert main(["hr", "a.json", "--lr", "lr_x8", *words]) == 0
    assert set(Calibration.load(folder / "a.json").layers) == {"residual", "disagreement", *CUES}
    assert (folder / "a.png").is_file() and "expected_error" in capsys.readouterr().out
    use = ["--voxel-size", "40", "80", "80", "--trust", "full", "--calibration", "a.json", "--consistent"]
    assert upscale(["lr_x8/v", "sr.zarr", *words, *use]) == 0
    assert (folder / "sr.zarr/trust/expected_error/0/zarr.json").is_file()


def test_lr_is_made_by_the_degradation_where_there_is_none(folder):
    words = ["-opt", "bicubic.yml", "--device", "cpu", "--trust", "basic"]
    assert main(["hr", "a.json", *words]) == 0
    assert set(Calibration.load(folder / "a.json").layers) == {"residual", *CUES}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["hr", "a.txt", "-opt", "bicubic.yml"], "a.txt: expected the name of a new .json file"),
        (["hr", "absent/a.json", "-opt", "bicubic.yml"], "absent/a.json: no such folder"),
        (["absent", "a.json", "-opt", "bicubic.yml"], "absent"),
        (["hr", "a.json"], "no network"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(folder, capsys, words, said):
    before = sorted(folder.rglob("*"))
    assert main(words) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and said in err
    assert sorted(folder.rglob("*")) == before
