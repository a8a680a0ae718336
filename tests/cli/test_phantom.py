"""The command ``gpemsr-phantom`` / ``tools/make_phantom.py``."""

import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

from gpemsr.cli.phantom import main
from gpemsr.data.volumes.reader import open_volume
from gpemsr.phantom.stack import make_phantom

TOOL = Path(__file__).resolve().parents[2] / "tools" / "make_phantom.py"
SHAPE = ["--shape", "2", "40", "48"]


def run(*arguments) -> int:
    return main([str(argument) for argument in arguments])


def test_the_tool_writes_tiff_ids_and_hdf5(tmp_path):
    paths = tmp_path / "p.tif", tmp_path / "ids.tif", tmp_path / "p.hdf"
    command = [sys.executable, TOOL, paths[0], "--ids", paths[1], "--hdf5", paths[2], *SHAPE, "--seed", "3"]
    subprocess.run(command, check=True, capture_output=True, env={"PYTHONPATH": str(TOOL.parents[1])})
    phantom = make_phantom((2, 40, 48), seed=3)
    assert np.array_equal(tifffile.imread(paths[0]), phantom.raw)
    ids = tifffile.imread(paths[1])
    assert ids.dtype == np.uint32 and np.array_equal(ids, phantom.ids)
    with h5py.File(paths[2]) as file:
        raw, labels = file["volumes/raw"], file["volumes/labels/neuron_ids"]
        assert np.array_equal(raw[:], phantom.raw) and np.array_equal(labels[:], phantom.ids)
        assert raw.attrs["resolution"].tolist() == labels.attrs["resolution"].tolist() == [40.0, 4.0, 4.0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ids.tif", "p.hdf", "p.tif"]


@pytest.mark.parametrize("option", [[], ["--hdf5"]])
def test_the_voxel_size_is_read_back(tmp_path, option):
    path = tmp_path / ("p.hdf" if option else "p.tif")
    assert run(*option, path, *SHAPE, "--voxel-size", 30, 8, 8) == 0
    with open_volume(path) as volume:
        assert volume.voxel_size == pytest.approx((30.0, 8.0, 8.0)) and volume.shape == (2, 40, 48)


def test_the_ids_carry_the_voxel_size_too(tmp_path):
    assert run("--ids", tmp_path / "ids.tif", *SHAPE) == 0
    with tifffile.TiffFile(tmp_path / "ids.tif") as tiff:
        metadata, tags = tiff.shaped_metadata[0], tiff.pages[0].tags
        assert metadata["spacing"] == 40.0 and metadata["unit"] == "nm"
        pixels, units = tags["XResolution"].value
        assert units / pixels == pytest.approx(4.0)


def test_the_defaults_are_those_of_make_phantom(tmp_path):
    assert run(tmp_path / "p.tif", *SHAPE) == 0
    assert np.array_equal(tifffile.imread(tmp_path / "p.tif"), make_phantom((2, 40, 48)).raw)


def test_an_existing_file_is_kept_without_overwrite(tmp_path, capsys):
    (tmp_path / "p.tif").write_text("mine")
    assert run(tmp_path / "p.tif", *SHAPE) == 2
    assert (tmp_path / "p.tif").read_text() == "mine"
    assert "--overwrite" in capsys.readouterr().err
    assert run(tmp_path / "p.tif", *SHAPE, "--overwrite") == 0
    assert tifffile.imread(tmp_path / "p.tif").shape == (2, 40, 48)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "nothing to write"),
        (["{}/p.tif", "--ids", "{}/p.tif"], "one name"),
        (["{}"], "a folder"),
        (["{}/p.tif", "--shape", "1", "4", "4"], "shape"),
        (["{}/p.tif", "--voxel-size", "40", "4", "8"], "y and x must be equal"),
        (["{}/p.tif", "--dose", "-1"], "dose"),
    ],
)
def test_bad_input_is_refused_before_work(tmp_path, capsys, arguments, says):
    assert main([argument.format(tmp_path) for argument in arguments]) == 2
    message = capsys.readouterr().err
    assert says in message and message.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_nothing_and_says_so(tmp_path):
    limit = 40_000
    process = subprocess.run(
        [sys.executable, TOOL, "p.tif", "--hdf5", "p.hdf", "--shape", "3", "200", "200"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(TOOL.parents[1]), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        preexec_fn=lambda: (
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        ),
    )
    assert process.returncode == 2, process.stderr
    assert "cannot be written" in process.stderr.splitlines()[-1]
    assert not list(tmp_path.iterdir())


def test_a_killed_run_leaves_nothing_under_the_final_names(tmp_path):
    process = subprocess.Popen(
        [sys.executable, TOOL, "p.tif", "--hdf5", "p.hdf", "--shape", "40", "300", "300"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(TOOL.parents[1])},
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(list(tmp_path.iterdir())) == 2
    assert not (tmp_path / "p.tif").exists() and not (tmp_path / "p.hdf").exists()
