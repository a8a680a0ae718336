"""A bioimage.io package of a network: other programs read it, as docs/export.md does, and get the network's image."""

import contextlib
import re
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from gpemsr.cli.export import main
from gpemsr.errors import InputError, RunError
from gpemsr.export import package
from gpemsr.export.about import HALO
from gpemsr.export.package import Export, export_package

pytest.importorskip("bioimageio.core", reason="the extra 'export' is not installed")

from bioimageio.core import predict
from bioimageio.spec import load_model_description


@pytest.fixture(scope="module")
def description(exported):
    return load_model_description(exported.path)


@pytest.fixture(scope="module")
def page(exported, blocks) -> dict:
    """The names of docs/export.md after its Python has run: LR sections ``lr``, the image ``sr``."""
    names: dict = {}
    with contextlib.chdir(exported.path.parent):
        exec(compile(blocks["python"], "<page>", "exec"), names)
    return names


def test_both_formats_give_the_networks_image(exported):
    differences = dict(re.findall(r"^(\w+): differs from the network by (\S+) at most", exported.said, re.MULTILINE))
    assert set(differences) == {"torchscript", "onnx"}
    assert max(map(float, differences.values())) <= 1e-5


def test_the_package_says_what_it_is_of(description, exported):
    assert description.name == "GPEMSR net" and description.authors[0].name == "A. Name"
    assert str(description.license) == "MIT" and len(description.cite) == 2
    assert description.weights.onnx.opset_version >= 16
    assert [str(name) for name in description.inputs[0].axes[1].channel_names] == [
        "previous_2", "previous_1", "section", "next_1", "next_2"
    ]  # fmt: skip
    assert f": {exported.path.stat().st_size / 1e6:.1f} MB, passed by bioimageio.core" in exported.said


def test_the_card_has_no_links_to_files_that_the_package_lacks(exported):
    with zipfile.ZipFile(exported.path) as archive:
        text = archive.read("README.md").decode()
        names = set(archive.namelist())
    assert "Made of noise, see [here](https://example.org)." in text and "a.png" not in text
    assert {"torchscript.pt", "model.onnx", "test_input.npy", "test_output.npy", "cover.png"} <= names


def test_the_cover_is_twice_as_wide_as_high(exported):
    with zipfile.ZipFile(exported.path) as archive, archive.open("cover.png") as file:
        width, height = Image.open(file).size
    assert width == 2 * height


def test_a_prediction_in_grey_values_is_the_networks(page, network):
    edge = [(0, 0), (0, 0), (HALO, HALO), (HALO, HALO)]  # bioimageio.core repeats the edge by the halo
    padded = np.pad(page["lr"], edge, mode="edge")
    with torch.no_grad():
        expected = network(torch.from_numpy(padded / np.float32(255))[:, :, None]).clip(0, 1).numpy() * 255
    assert np.abs(page["sr"] - expected[..., 8 * HALO : -8 * HALO, 8 * HALO : -8 * HALO]).max() < 0.01


def test_tiles_give_nearly_the_whole_image(page, description):
    tiles = {"lr": {"batch": 1, "channel": 5, "y": 64, "x": 64}}
    tiled = predict(model=description, inputs=page["lr"], input_block_shape=tiles).members["sr"].data.values
    assert np.abs(tiled - page["sr"]).max() < 2


def test_the_sample_is_the_middle_of_a_stack(tmp_path, tiny_weights, monkeypatch):
    import tifffile

    stack = np.random.default_rng(2).integers(0, 4096, (5, 70, 80), np.uint16)
    stack[0, 0, 0] = 65535
    tifffile.imwrite(tmp_path / "lr.tif", stack, photometric="minisblack")
    found = package.stack_sample(str(tmp_path / "lr.tif"), 3, 64)
    assert np.array_equal(found, np.rint(stack[1:4, 3:67, 8:72] / 65535 * 255).astype(np.uint8))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"licence": "mine"}, "licence mine: expected an SPDX"),
        ({"name": "a/b"}, "name a/b: expected 5 to 128"),
        ({"authors": ("A/B",)}, "author A/B"),
    ],
)
def test_words_that_bioimage_io_does_not_take_are_refused_first(tmp_path, changes, expected):
    with pytest.raises(InputError, match=expected):
        export_package(replace(Export("fib25-x8", tmp_path / "other.zip"), **changes))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["fib25-x8", "out.tar"], "out.tar: expected a name that ends in .zip"),
        (["fib25-x8", "no/out.zip"], "no/out.zip: no such folder"),
        (["net.pth", "out.zip"], "net.pth: --author and --licence are expected"),
        (["net.pth", "out.zip", "--author", "A", "--licence", "MIT"], "net.pth: no such file"),
        (["fib25-x8", "there.zip"], "there.zip exists; --overwrite"),
        (["fib25-x8", "folder.zip", "--overwrite"], "folder.zip: a folder; expected a file"),
    ],
)
def test_bad_input_is_one_line(tmp_path, monkeypatch, capsys, words, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.zip").touch()
    (tmp_path / "folder.zip").mkdir()
    assert main(words) == 2
    assert expected in capsys.readouterr().err


def test_a_package_that_is_absent_is_named_with_the_extra(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(package, "NEEDS", ("no_such_package",))
    assert main(["fib25-x8", str(tmp_path / "out.zip")]) == 2
    assert "no_such_package is not installed; expected: pip install gpemsr[export]" in capsys.readouterr().err


def test_a_graph_that_differs_is_not_packed(tiny_weights, sample, tmp_path, monkeypatch):
    for name in ("torchscript", "onnx"):
        monkeypatch.setattr(package.graph, f"write_{name}", lambda net, path: None)
        monkeypatch.setitem(package.FORMATS, name, lambda path, lr: lr[:, :1].repeat(8, 2).repeat(8, 3))
    out = tmp_path / "other.zip"
    with pytest.raises(RunError, match="differ by"):
        export_package(Export(str(tiny_weights), out, authors=("A. Name",), licence="MIT", sample=str(sample)))
    assert not out.exists()
