"""Validation and test on whole sections: parts of processes, LR sections alone, pictures of 16 bits."""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
import yaml
from baseline_networks import demo_file
from PIL import Image
from tiny_stages import stage_options, tiny_network, write_sections

import gpemsr
import gpemsr.cli.test
from gpemsr.data.grey_values import GreyRange
from gpemsr.data.section_store import open_section_store
from gpemsr.data.section_window_test_dataset import SectionWindowTestDataset
from gpemsr.models.section_validation import parts_of

gpemsr.register()
from basicsr.archs import build_network  # noqa: E402


@pytest.mark.parametrize("world_size", [1, 2, 3, 7])
@pytest.mark.parametrize("lengths", [[5], [2, 1, 3]])
def test_processes_take_every_section_once_and_neighbours(lengths, world_size):
    stacks = {name: range(length) for name, length in zip("abc", lengths, strict=False)}
    parts = [parts_of(SimpleNamespace(stacks=stacks), rank, world_size) for rank in range(world_size)]
    taken = [(id(stack), i) for part in parts for stack, positions in part for i in positions]
    assert taken == [(id(stack), i) for stack in stacks.values() for i in range(len(stack))]
    counts = [sum(len(positions) for _, positions in part) for part in parts]
    assert max(counts) - min(counts) <= 1


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A working directory with three sections of each of the volumes v and w, and weights of a tiny GPEMSR."""
    monkeypatch.chdir(tmp_path)
    write_sections(tmp_path, count=3)
    for part in ("hr", "lr_x8"):
        (tmp_path / part / "w").mkdir()
        for z in range(3):
            image = cv2.imread(f"{part}/v/{z}.png", cv2.IMREAD_UNCHANGED)
            cv2.imwrite(f"{part}/w/{z + 5}.png", image[::-1].astype(np.uint16) * 257)
    torch.save({"params": tiny_network(3).state_dict()}, "net.pth")
    return tmp_path


@pytest.fixture
def tested(folder, caplog) -> Iterator[Callable]:
    """Run ``gpemsr-test`` on options that have changed; returns its log."""
    logger = logging.getLogger("basicsr")
    logger.addHandler(caplog.handler)  # BasicSR's logger passes nothing on

    def run(change: Callable[[dict], None]) -> str:
        options = stage_options(3, folder)
        del options["train"], options["logger"]
        options["name"] = "t"
        options["datasets"] = {"test": {**options["datasets"]["val"], "name": "mine"}}
        options["path"] = {"pretrain_network_g": "net.pth"}
        options["val"] |= {"save_img": True, "suffix": None}
        change(options)
        Path("t.yml").write_text(yaml.safe_dump(options))
        caplog.clear()
        with caplog.at_level(logging.INFO, "basicsr"):
            assert gpemsr.cli.test.main(["-opt", "t.yml"]) == 0
        return caplog.text

    yield run
    logger.removeHandler(caplog.handler)


def saved() -> list[str]:
    return sorted(str(path.relative_to("results/t/visualization")) for path in Path("results/t").rglob("*.png"))


NAMES = [f"mine/{volume}/{z:08d}_t.png" for volume, first in (("v", 0), ("w", 5)) for z in range(first, first + 3)]


def lr_alone(options: dict) -> None:
    options["datasets"]["test"]["dataroot_gt"] = None


def test_results_are_those_of_the_network_in_the_type_of_the_source(tested):
    log = tested(lambda options: None)
    assert "# psnr: " in log
    assert saved() == NAMES
    net = tiny_network(3).eval()
    for volume, first, dtype in (("v", 0, np.uint8), ("w", 5, np.uint16)):
        read = [cv2.imread(f"lr_x8/{volume}/{first + z}.png", cv2.IMREAD_UNCHANGED) for z in (0, 0, 1)]
        window = torch.from_numpy(np.stack(read).astype(np.float32) / np.iinfo(dtype).max)[None, :, None]
        with torch.no_grad():
            expected = net(window)[0, 0].clamp(0, 1).numpy() * np.iinfo(dtype).max
        picture = cv2.imread(f"results/t/visualization/mine/{volume}/{first:08d}_t.png", cv2.IMREAD_UNCHANGED)
        assert picture.dtype == dtype
        assert np.abs(picture - expected).max() <= 1


def test_in_bf16_results_are_close_to_those_in_fp32(tested):
    tested(lambda options: None)
    expected = [cv2.imread(f"results/t/visualization/{name}", cv2.IMREAD_UNCHANGED) for name in NAMES[3:]]
    tested(lambda options: options["val"].update(precision="bf16"))
    pictures = [cv2.imread(f"results/t/visualization/{name}", cv2.IMREAD_UNCHANGED) for name in NAMES[3:]]
    differences = np.abs(np.stack(pictures).astype(float) - np.stack(expected)) / 65535
    assert 0 < differences.mean() < 0.02


def test_lr_sections_alone_are_super_resolved_without_scores(tested):
    tested(lambda options: None)
    with_hr = [cv2.imread(f"results/t/visualization/{name}", cv2.IMREAD_UNCHANGED) for name in saved()]
    log = tested(lr_alone)
    assert "mine: no HR sections" in log and "# psnr" not in log
    assert saved() == NAMES
    for name, image in zip(NAMES, with_hr, strict=True):
        assert np.array_equal(cv2.imread(f"results/t/visualization/{name}", cv2.IMREAD_UNCHANGED), image)


def test_nothing_to_score_and_nothing_to_save_is_refused(tested, capsys):
    def change(options):
        lr_alone(options)
        options["val"]["save_img"] = False

    with pytest.raises(AssertionError):
        tested(change)
    expected = "t.yml: val.save_img=false: expected true, since datasets.test has no HR sections to score with"
    assert capsys.readouterr().err == f"error: {expected}\n"


@pytest.mark.parametrize("file", ["edsr", "basicvsr"])
def test_so_are_they_by_other_networks(tested, file):
    def change(options):
        lr_alone(options)
        options |= {"model_type": "BaselineModel", "network_g": demo_file(file, 8)["network_g"]}
        torch.save({"params": build_network(options["network_g"]).state_dict()}, "net.pth")
        options["val"]["suffix"] = "x"

    tested(change)
    assert saved() == [name.replace("_t.", "_x.") for name in NAMES]


def test_and_by_a_network_that_takes_whole_stacks(tested):
    def change(options):
        lr_alone(options)
        options["datasets"]["test"]["type"] = "SectionStackTestDataset"
        options |= {"model_type": "BaselineStackModel", "network_g": demo_file("test_basicvsr_stack", 8)["network_g"]}
        torch.save({"params": build_network(options["network_g"]).state_dict()}, "net.pth")

    tested(change)
    assert saved() == NAMES


def test_a_section_is_read_when_its_turn_comes(folder):
    options = {**stage_options(3, folder)["datasets"]["val"], "scale": 8}
    stack = SectionWindowTestDataset(options).stacks["w"]
    Path("lr_x8/w/7.png").unlink()
    assert (len(stack), stack.numbers, stack.info.dtype) == (3, (5, 6, 7), np.uint16)
    assert stack[1].shape == (1, 12, 14) and stack.gt(1).shape == (1, 96, 112)


def test_blank_hr_sections_are_named_and_left_out_of_the_means(tested):
    for name, shape in (("hr", (96, 112)), ("lr_x8", (12, 14))):
        cv2.imwrite(f"{name}/v/1.png", np.zeros(shape, np.uint8))
    whole = tested(lambda options: None)
    assert "mine: 1 of 6 HR sections are blank and left out of the scores: v/00000001" in whole
    assert "# psnr: inf" not in whole and "# psnr: nan" not in whole
    for name in ("hr", "lr_x8"):
        for z in range(3):
            cv2.imwrite(f"{name}/v/{z}.png", np.zeros_like(cv2.imread(f"{name}/v/{z}.png", -1)))
    assert "# psnr" in tested(lambda options: None)  # of the other volume


def test_pictures_have_the_voxel_size_and_are_a_data_set(tested):
    limits = {"v": [0, 255], "w": [0, 40000]}
    record = {"volumes": {v: {"voxel_size": [50, 32, 40], "intensity_range": limit} for v, limit in limits.items()}}
    Path("lr_x8/volume.json").write_text(json.dumps(record))
    tested(lr_alone)
    store = open_section_store("results/t/visualization/mine", "disk")
    assert store.volumes["w"].voxel_size == (50, 4, 5)
    assert store.volumes["w"].dtype == np.uint16
    assert store.volumes["w"].grey_range == GreyRange(0, 40000)
    assert store.read("w", 5).max() <= 40000
    with Image.open("results/t/visualization/mine/w/00000005_t.png") as image:
        assert image.info["dpi"] == pytest.approx((2.54e7 / 5, 2.54e7 / 4), rel=1e-6)
