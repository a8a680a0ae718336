"""The option files of the paper: networks of its size, its schedule and its loss weights."""

from pathlib import Path

import pytest
import torch
from tiny_stages import parameters, trainable

import gpemsr
from gpemsr.options.read import read_options

gpemsr.register()
from basicsr.archs import build_network  # noqa: E402

OPTIONS = Path(__file__).resolve().parents[2] / "options"
LEARNED = {
    "stage1": 42_553_601,
    "stage2_x8": 20_034_176,
    "stage2_x16": 22_527_616,
    "stage3_x8": 4_573_438,  # the authors' 5,458,622 less 885,184 in layers that they never use
    "stage3_x16": 5_610_430,
}
GT_SIZES = {"stage1": 512, "stage2_x8": 1024, "stage2_x16": 512, "stage3_x8": 256, "stage3_x16": 256}


@pytest.fixture(params=LEARNED)
def name(request) -> str:
    return request.param


@pytest.fixture
def options(name) -> dict:
    return read_options(OPTIONS / f"{name}.yml")


def build(section: dict) -> torch.nn.Module:
    """The network without memory; published weights are left out."""
    with torch.device("meta"):
        return build_network({**section, **{key: None for key in section if key.endswith("_weights")}})


def test_the_network_learns_as_many_parameters_as_the_papers(name, options):
    assert sum(p.numel() for p in trainable(build(options["network_g"])).values()) == LEARNED[name]


def test_the_discriminator_is_the_papers():
    assert parameters(build(read_options(OPTIONS / "stage1.yml")["network_d"])) == 2_761_793


def test_the_vqgan_is_the_same_in_all_stages(name, options):
    net = build(options["network_g"])
    vqgan = {"stage1": lambda: net, "stage2": lambda: net.vqgan, "stage3": lambda: net.prior.vqgan}[name[:6]]()
    assert parameters(vqgan.decoder) == 23_338_177
    assert vqgan.codebook.embedding.weight.shape == (1024, 512)


def test_schedule_batch_and_crops_are_the_papers(name, options):
    train = options["train"]
    assert train["optim_g"] == {"type": "Adam", "lr": 4e-4, "weight_decay": 0, "betas": [0.9, 0.99]}
    assert train["scheduler"]["type"] == "CosineAnnealingRestartLR"
    assert train["scheduler"]["periods"] == [40000, 80000, 120000, 120000, 120000]
    assert train["scheduler"]["restart_weights"] == [1] * 5
    assert (train["scheduler"]["eta_min"], train["total_iter"]) == (1e-7, 480000)
    data = options["datasets"]["train"]
    assert (data["batch_size_per_gpu"], data["gt_size"]) == (8, GT_SIZES[name])
    assert data["use_hflip"] and data["use_rot"]
    assert options["val"]["val_freq"] == options["logger"]["save_checkpoint_freq"] == 5000
    assert options["manual_seed"] == 0


def test_loss_weights_of_stage_one_are_the_papers():
    train = read_options(OPTIONS / "stage1.yml")["train"]
    assert train["pixel_opt"]["type"] == "L1Loss"
    assert (train["pixel_opt"]["loss_weight"], train["codebook_weight"]) == (1, 10)
    assert (train["gan_opt"]["gan_type"], train["gan_opt"]["loss_weight"]) == ("wgan", 0.05)
    assert (train["gan_start_iter"], train["r1_opt"]["loss_weight"], train["r1_every"]) == (40000, 1e-4, 16)


@pytest.mark.parametrize(("scale", "weight"), [(8, 0.001), (16, 0.01)])
def test_loss_weights_of_stage_three_are_the_papers(scale, weight):
    train = read_options(OPTIONS / f"stage3_x{scale}.yml")["train"]
    assert (train["pixel_opt"]["type"], train["pixel_opt"]["loss_weight"]) == ("L1Loss", 1)
    contextual = train["contextual_opt"]
    assert (contextual["loss_weight"], contextual["band_width"], contextual["features"]) == (weight, 0.5, "vgg19")
