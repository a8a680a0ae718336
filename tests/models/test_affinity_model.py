"""Training for affinities and validation by segmentation, as BasicSR's loop drives them."""

import copy
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
import yaml
from stage_runs import FOLDERS, moved, train, weights
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data import default_collate
from torch.utils.tensorboard import SummaryWriter

import gpemsr
import gpemsr.cli.train
from gpemsr.compat import importable_basicsr
from gpemsr.errors import InputError
from gpemsr.options.check import check_options
from gpemsr.options.read import read_options

with importable_basicsr():
    from basicsr.data import build_dataloader, build_dataset
    from basicsr.models import build_model
    from basicsr.utils.logger import initialized_logger

pytestmark = pytest.mark.skipif(
    find_spec("waterz") is None or find_spec("cc3d") is None, reason="the extra 'benchmark' is not installed"
)
DEMO = Path(__file__).parents[2] / "options" / "demo" / "segmentation"
TINY = {
    "mala": {"type": "MALAUNet", "num_feat": 4, "inc_factor": 1},
    "superhuman": {"type": "SuperhumanUNet", "channels": [4, 4, 4, 4, 4]},
    "membranes": {"type": "SuperhumanUNet", "channels": [4, 4, 4, 4, 4]},
}


@pytest.fixture(params=TINY)
def options(request, tmp_path) -> dict:
    """A demo's option file with a tiny network, on neurons that are light with dark boundaries."""
    gpemsr.register()
    ids = np.zeros((6, 60, 60), np.uint16)
    for cell in range(9):
        y, x = 20 * (cell // 3), 20 * (cell % 3)
        ids[:, y + 2 : y + 18, x + 2 : x + 18] = cell + 1
    tifffile.imwrite(tmp_path / "raw.tif", np.where(ids > 0, 200, 40).astype(np.uint8), photometric="minisblack")
    tifffile.imwrite(tmp_path / "ids.tif", ids, photometric="minisblack")
    options = read_options(DEMO / f"{request.param}.yml")
    options["network_g"] = TINY[request.param]
    for section in options["datasets"].values():
        section |= {"dataroot_raw": str(tmp_path / "raw.tif"), "dataroot_ids": str(tmp_path / "ids.tif"), "every": 2}
        section["sections"] = [0, 6]
    options["datasets"]["train"] |= {"crop_size": [3, 32, 32], "contrast": 0.0, "brightness": 0.0}
    options["train"] |= {"total_iter": 2, "optim_g": {"type": "Adam", "lr": 0.002}}
    options["val"] |= {"val_freq": 2, "block": [2, 40, 40], "context": [1, 10, 10], "thresholds": [0.3, 0.5]}
    options["logger"] |= {"print_freq": 1, "save_checkpoint_freq": 2}
    options["num_gpu"] = 0
    return copy.deepcopy(options)


def build(options: dict, folder: Path, is_train: bool = True):
    options = copy.deepcopy(options)
    options["path"] |= {name: str(folder / name) for name in FOLDERS}
    torch.manual_seed(0)
    return build_model(options | {"is_train": is_train, "dist": False, "rank": 0, "world_size": 1})


def validate(model, options: dict, folder: Path) -> EventAccumulator:
    dataset = build_dataset({**options["datasets"]["val"], "phase": "val"})
    loader = build_dataloader(dataset, dataset.opt, num_gpu=0)
    with SummaryWriter(folder / "tb") as writer:
        model.validation(loader, 7, writer, False)
    events = EventAccumulator(str(folder / "tb"))
    events.Reload()
    return events


def test_a_step_moves_every_weight_and_a_validation_segments(options, tmp_path):
    model = build(options, tmp_path)
    data = build_dataset({**options["datasets"]["train"], "phase": "train"})
    before = weights(model.net_g)
    batch = default_collate([data[0], data[0]])
    train(model, [batch], range(1, 2))
    assert {name for name, _ in model.net_g.named_parameters()} - moved(before, model.net_g) == set()
    events = validate(model, options, tmp_path)
    figures = {"l_affinity", "voi_split", "voi_merge", "voi", "adapted_rand", "threshold"}
    if options["name"] == "membranes_demo":
        figures |= {"membrane_f1"}
    assert set(events.Tags()["scalars"]) == {f"metrics/phantom_val/{name}" for name in figures}
    assert events.Scalars("metrics/phantom_val/threshold")[0].value in (pytest.approx(0.3), 0.5)
    assert events.Images("phantom_val/lq_result_gt")[0].width == 180
    assert model.net_g.training


@pytest.mark.parametrize("options", ["membranes"], indirect=True)
def test_where_membranes_are_labelled_sections_are_scored_by_themselves(options, tmp_path, monkeypatch):
    """With the true affinities, which join nothing across sections, nothing is wrong."""
    truth = build_dataset({**options["datasets"]["val"], "phase": "val"})[0]["gt"].numpy()
    monkeypatch.setattr("gpemsr.models.affinity_model.predict_affinities", lambda *_: truth)
    model = build(options, tmp_path)
    events = validate(model, options, tmp_path)
    figures = {name: events.Scalars(f"metrics/phantom_val/{name}")[0].value for name in ("voi", "membrane_f1")}
    assert figures == {"voi": pytest.approx(0, abs=1e-6), "membrane_f1": 1}


@pytest.mark.parametrize("options", ["membranes"], indirect=True)
def test_membranes_are_not_of_whole_volumes(options):
    options["val"]["fragments"] = "3d"
    with pytest.raises(
        InputError, match=r"my\.yml: val\.fragments=.*3d.*: expected 2d, as datasets\.val\.labels=membranes"
    ):
        check_options(options, "my.yml", True)
    options["val"]["fragments"] = "2d"
    del options["datasets"]["val"]["labels"]
    with pytest.raises(InputError, match=r"datasets\.val\.labels=.*neurons.*: expected membranes, as datasets\.train"):
        check_options(options, "my.yml", True)


def test_a_test_has_scores_but_no_loss(options, tmp_path):
    model = build({**options, "train": None}, tmp_path, is_train=False)
    tags = validate(model, options, tmp_path).Tags()["scalars"]
    assert "metrics/phantom_val/voi" in tags
    assert "metrics/phantom_val/l_affinity" not in tags


def test_the_command_trains_validates_and_saves(options, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "my.yml"
    file.write_text(yaml.safe_dump(_plain(options)))
    initialized_logger.clear()  # as in a new process: a log file of its own
    assert gpemsr.cli.train.main(["-opt", str(file)]) == 0
    folder = tmp_path / "experiments" / options["name"]
    assert (folder / "models" / "net_g_2.pth").is_file()
    log = next(folder.glob("train_*.log")).read_text()
    assert "l_affinity: " in log
    assert "adapted_rand: " in log


def _plain(value):
    """Plain dicts for YAML."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    return value


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        (("datasets", "train"), "crop_size", None),
        (("datasets", "val"), "crop_size", [2, 8, 8]),
        (("val",), "thresholds", [0.5, 0.3]),
        (("val",), "save_img", True),
        (("train",), "ema_decay", 0.9),
        (("train", "affinity_opt"), "min_share", 0.7),
    ],
)
def test_options_that_do_not_fit_are_named(options, section, key, value):
    place = options
    for name in section:
        place = place[name]
    place[key] = value
    if key == "crop_size":
        for name in ("use_hflip", "use_rot", "use_zflip"):
            place[name] = False
    with pytest.raises(InputError, match=rf"my\.yml: {'.'.join(section)}\.{key}="):
        check_options(options, "my.yml", True)
