"""From a stack to pictures by the commands alone: gpemsr-lmdb, gpemsr-train for stage I, II and III, gpemsr-test."""

import cv2
import numpy as np
import pytest
import tifffile
import torch
import yaml
from tiny_stages import stage_options

import gpemsr.cli.lmdb
import gpemsr.cli.test
import gpemsr.cli.train

pytestmark = pytest.mark.slow
SECTIONS, HEIGHT, WIDTH = 7, 96, 112


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with LMDBs for training and test, x8 and x16."""
    folder = tmp_path_factory.mktemp("stages")
    stack = np.random.default_rng(0).random((SECTIONS, HEIGHT, WIDTH), np.float32)
    stack = np.stack([cv2.GaussianBlur(section, (0, 0), 6) for section in stack])
    stack = (255 * (stack - stack.min()) / (stack.max() - stack.min())).astype(np.uint8)
    tifffile.imwrite(folder / "cell.tif", stack)
    command = [str(folder / "cell.tif"), "--out", str(folder), "--scales", "8", "16", "--voxel-size", "50", "4", "4"]
    assert gpemsr.cli.lmdb.main([*command, "--split", "train=0-3", "test=4-6"]) == 0
    return folder


@pytest.fixture(autouse=True)
def working_directory(folder, monkeypatch):
    monkeypatch.chdir(folder)


def name_of(stage: int, scale: int) -> str:
    return "stage1" if stage == 1 else f"stage{stage}_x{scale}"


def options_of(stage: int, scale: int, folder) -> dict:
    options = stage_options(stage, folder, scale)
    options["name"] = name_of(stage, scale)
    for phase, split in (("train", "train"), ("val", "test")):
        dataset = options["datasets"][phase]
        dataset |= {"io_backend": {"type": "lmdb"}, "dataroot_gt": str(folder / f"cell_{split}_hr.lmdb")}
        if stage > 1:
            dataset["dataroot_lq"] = str(folder / f"cell_{split}_lr_x{scale}.lmdb")
    options["val"]["val_freq"] = 4
    if stage > 1:
        options["path"]["pretrain_prior"] = f"experiments/{name_of(stage - 1, scale)}/models/net_g_latest.pth"
    return options


def write(options: dict) -> str:
    with open("options.yml", "w") as file:
        yaml.safe_dump(options, file, sort_keys=False)
    return "options.yml"


def states(folder, name: str) -> set[str]:
    return {file.name for file in (folder / "experiments" / name / "training_states").iterdir()}


def run(stage: int, scale: int, folder) -> None:
    assert gpemsr.cli.train.main(["-opt", write(options_of(stage, scale, folder))]) == 0
    name = name_of(stage, scale)
    assert states(folder, name) == {"2.state", "4.state"}
    assert (folder / "experiments" / name / "models" / "net_g_latest.pth").is_file()


@pytest.fixture(scope="module")
def stage_one(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run(1, 8, folder)


@pytest.fixture(scope="module", params=[8, 16], ids="x{}".format)
def scale(request, folder, stage_one) -> int:
    """A scale at which stage II and III have been trained."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run(2, request.param, folder)
        run(3, request.param, folder)
    return request.param


def test_auto_resume_goes_on_from_the_last_state(folder, scale):
    before = torch.load(f"experiments/stage3_x{scale}/training_states/4.state", weights_only=True)
    file = write(options_of(3, scale, folder))
    assert gpemsr.cli.train.main(["-opt", file, "--auto_resume", "--force_yml", "train:total_iter=6"]) == 0
    assert states(folder, f"stage3_x{scale}") == {"2.state", "4.state", "6.state"}
    after = torch.load(f"experiments/stage3_x{scale}/training_states/6.state", weights_only=True)
    steps = [state["optimizers"][0]["state"][0]["step"].item() for state in (before, after)]
    assert steps == [4, 6]


def test_test_writes_the_super_resolved_sections(folder, scale):
    options = options_of(3, scale, folder)
    options["name"] = f"test_x{scale}"
    options["datasets"] = {"test_1": options["datasets"]["val"]}
    options["path"] = {"pretrain_network_g": f"experiments/stage3_x{scale}/models/net_g_latest.pth"}
    options["val"] |= {"save_img": True, "suffix": None}
    del options["train"], options["logger"]
    assert gpemsr.cli.test.main(["-opt", write(options)]) == 0
    pictures = sorted((folder / "results" / f"test_x{scale}" / "visualization" / "V" / "cell").iterdir())
    assert [path.name for path in pictures] == [f"{z:08d}_test_x{scale}.png" for z in (4, 5, 6)]
    images = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in pictures]
    assert all(image.shape == (HEIGHT, WIDTH) for image in images)
