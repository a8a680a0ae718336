"""The shipped configs have the settings of the option files of the same experiments."""

import pytest
import torch
from tiny_mmagic import CONFIGS, Config, CosineRestartLR

from gpemsr.compat import importable_basicsr
from gpemsr.options.read import read_options

with importable_basicsr():
    from basicsr.models.lr_scheduler import CosineAnnealingRestartLR

OPTIONS = CONFIGS.parents[1] / "options"
PAIRS = {
    "gpemsr_x8": "stage3_x8.yml",
    "gpemsr_x16": "stage3_x16.yml",
    "gpemsr_x8_demo": "demo/stage3_x8.yml",
}


@pytest.fixture(params=PAIRS)
def pair(request) -> tuple[dict, dict]:
    """A config and an option file."""
    return Config.fromfile(CONFIGS / f"{request.param}.py").to_dict(), read_options(OPTIONS / PAIRS[request.param])


def test_each_config_has_an_option_file():
    assert {file.stem for file in CONFIGS.glob("*.py")} == set(PAIRS)


def test_network_losses_and_prior_are_the_option_files(pair):
    config, options = pair
    model, train = config["model"], options["train"]
    codes = read_options(OPTIONS / "stage1.yml")["network_g"]["num_codes"]  # stage III takes it from the checkpoint
    options["network_g"]["prior"]["vqgan"].setdefault("num_codes", codes)
    assert model["generator"] == options["network_g"]
    assert model["pixel_loss"] == train["pixel_opt"]
    assert model["contextual_loss"] == train["contextual_opt"]
    assert model["pretrain_prior"] == options["path"]["pretrain_prior"]


def test_data_are_the_option_files(pair):
    config, options = pair
    for phase in ("train", "val"):
        loader, section = config[f"{phase}_dataloader"], {**options["datasets"][phase], "scale": options["scale"]}
        for key, value in loader["dataset"].items():
            assert section.pop(key) == value, key
        if phase == "train":
            assert section["batch_size_per_gpu"] == loader["batch_size"]
            assert section["num_worker_per_gpu"] == loader["num_workers"]
        loading = {"use_shuffle", "num_worker_per_gpu", "batch_size_per_gpu", "dataset_enlarge_ratio", "prefetch_mode"}
        assert set(section) <= loading


def test_schedule_metrics_and_averaging_are_the_option_files(pair):
    config, options = pair
    train = options["train"]
    adam = {key: list(v) if isinstance(v, tuple) else v for key, v in config["optim_wrapper"]["optimizer"].items()}
    assert adam == train["optim_g"]
    assert config["train_cfg"]["max_iters"] == train["total_iter"]
    assert config["train_cfg"]["val_interval"] == options["val"]["val_freq"]
    assert config["default_hooks"]["checkpoint"]["interval"] == options["logger"]["save_checkpoint_freq"]
    schedulers = config["param_scheduler"]
    *warmup, cosine = schedulers if isinstance(schedulers, list) else [schedulers]
    for key in ("periods", "restart_weights", "eta_min"):
        assert cosine[key] == train["scheduler"][key]
    assert [linear["end"] for linear in warmup] == ([train["warmup_iter"]] if train["warmup_iter"] > 0 else [])
    assert config["val_evaluator"]["metrics"][0]["metrics"] == options["val"]["metrics"]
    momentum = [hook["momentum"] for hook in config["custom_hooks"] if hook["type"] == "EMAHook"]
    assert momentum == ([pytest.approx(1 - train["ema_decay"])] if "ema_decay" in train else [])
    assert config["randomness"]["seed"] == options["manual_seed"]


def test_the_learning_rate_is_basicsrs_but_where_a_period_ends():
    def adam():
        return torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=4e-4)

    options = {"periods": [4, 8], "restart_weights": [1, 1], "eta_min": 1e-7}
    ours, theirs = adam(), adam()
    one = CosineRestartLR(ours, by_epoch=False, **options)
    other = CosineAnnealingRestartLR(theirs, **options)
    for iteration in range(12):
        if iteration != 4:  # one ends the period with eta_min, the other begins the next
            assert ours.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"]), iteration
        ours.step(), theirs.step()
        one.step(), other.step()
