"""Option files of the networks that GPEMSR is compared with: published sizes, and as many parameters as the demo's."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch
from baseline_networks import EACH_FILE, FILES, OPTIONS, assert_same_result, demo_file, randomise
from tiny_stages import trainable

import gpemsr
from gpemsr.cli.parameters import build
from gpemsr.options.read import read_options, to_plain

gpemsr.register()
from basicsr.archs import build_network  # noqa: E402
from basicsr.utils.registry import ARCH_REGISTRY  # noqa: E402

from gpemsr.archs.adapted import RECURRENT, OwnOptions  # noqa: E402

EACH_RIVAL = pytest.mark.parametrize("file", [pytest.param(p.values[0], marks=p.marks) for p in EACH_FILE[:9]])
LENGTHS = (("train", "total_iter"), ("val", "val_freq"), ("logger", "save_checkpoint_freq"))
SAME_AS_STAGE_THREE = ("datasets", "train", "val", "logger", "scale", "manual_seed", "num_gpu", "dist_params")
TOOLBOX_X4 = {  # parameters of the toolboxes' own x4 networks of three channels
    "edvr": 20_633_827,
    "basicvsr": 6_291_311,
    "iconvsr": 8_694_991,
    "basicvsr_plusplus": 7_322_927,
    "tdan": 1_970_819,
    "edsr": 43_089_923,
    "rcan": 15_592_355,
    "swinir": 11_900_199,
    "rrdbnet": 16_697_987,
}


def learned(net: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in trainable(net).values())


@pytest.mark.parametrize(("file", "scale"), EACH_FILE)
def test_the_demos_networks_learn_as_many_parameters_as_its_gpemsr(file, scale):
    stage = read_options(OPTIONS / "demo" / f"stage3_x{scale}.yml")
    ours = learned(build(stage["network_g"], "stage3"))
    section = demo_file(file, scale)["network_g"]
    assert (section["type"], section["scale"]) == (FILES[file], scale)
    assert 0.8 * ours < learned(build(section, file)) < 1.2 * ours


@pytest.mark.parametrize("scale", [8, 16])
@pytest.mark.parametrize("folder", ["", "demo/"])
def test_data_and_schedule_are_those_of_stage_three(folder, scale):
    """Those of one file, for all have them of the same base; the demo's take fewer iterations."""
    options = read_options(OPTIONS / f"{folder}baselines" / f"edvr_x{scale}.yml")
    stage = read_options(OPTIONS / f"{folder}stage3_x{scale}.yml")
    stage["train"].pop("contextual_opt")
    if folder == "demo/":
        for each in (options, stage):
            for section, key in LENGTHS:
                each[section].pop(key)
            each["train"]["scheduler"].pop("periods")
    assert {key: options[key] for key in SAME_AS_STAGE_THREE} == {key: stage[key] for key in SAME_AS_STAGE_THREE}


@pytest.mark.parametrize(("file", "scale"), EACH_FILE)
def test_networks_of_the_published_size_super_resolve(file, scale):
    section = read_options(OPTIONS / "baselines" / f"{file}_x{scale}.yml")["network_g"]
    assert (section["type"], section["scale"]) == (FILES[file], scale)
    net = build_network(section).eval()
    with torch.no_grad():
        sr = net(torch.rand(1, 5, 1, 2, 3))
    assert sr.shape == (1, 1, 2 * scale, 3 * scale)
    assert sr.isfinite().all()


@EACH_RIVAL
def test_at_x4_and_the_published_size_they_compute_what_the_toolboxs_do(file):
    section = to_plain(read_options(OPTIONS / "baselines" / f"{file}_x8.yml")["network_g"])
    baseline = ARCH_REGISTRY.get(section.pop("type"))
    whole = {"whole_stack": True} if baseline.takes == RECURRENT else {}
    ours = baseline(**section | {"scale": 4, "channels": 3, **whole}).eval()
    own = {field.name for field in fields(OwnOptions)}
    options = {key: value for key, value in section.items() if key not in own}
    options |= dict.fromkeys(baseline.channel_options, 3) | (
        {baseline.scale_option: 4} if baseline.scale_option else {}
    )
    theirs = randomise(baseline.load()(**baseline.defaults | options))
    assert_same_result(ours, theirs, {"basicvsr_plusplus": 64, "basicvsr": 36, "iconvsr": 36}.get(file, 16))


@EACH_RIVAL
def test_published_sizes_are_the_toolboxs(file):
    section = read_options(OPTIONS / "baselines" / f"{file}_x8.yml")["network_g"]
    assert learned(build({**section, "scale": 4, "channels": 3}, file)) == TOOLBOX_X4[file]
