"""The networks that GPEMSR is compared with, at the demo's size, through BasicSR's loop."""

import math
import re

import pytest
import torch
from baseline_networks import EACH_FILE, demo_file
from stage_runs import Run, train
from tiny_stages import AFFINITY_NETWORKS, stage_options, write_network, write_sections
from torch.utils.data import default_collate

import gpemsr
from gpemsr.checkpoints.inputs import check_inputs
from gpemsr.errors import InputError
from gpemsr.options.check import check_options

gpemsr.register()
from basicsr.archs import build_network  # noqa: E402

SECTIONS, SIDE = 2, 32


def small_data(options: dict, folder) -> dict:
    """The options with the data of :func:`write_sections`."""
    small = stage_options(3, folder, options["scale"])["datasets"]
    for phase, dataset in options["datasets"].items():
        dataset |= {**small.get(phase, small["val"]), "num_frame": 5}
        if phase == "train":
            dataset["gt_size"] = SIDE
    return options | {"num_gpu": 0}


@pytest.fixture
def make_run(tmp_path):
    def make(file: str, scale: int = 8) -> Run:
        write_sections(tmp_path, scale, SECTIONS, (SIDE, SIDE))
        return Run(small_data(demo_file(file, scale), tmp_path), tmp_path)

    return make


def test_a_perceptual_loss_joins_the_pixel_loss(make_run):
    run = make_run("edsr")
    weights = write_network(run.folder / "affinities.pth", AFFINITY_NETWORKS[0])
    run.options["train"]["perceptual_opt"] = {"type": "AffinityFeatureLoss", "weights": weights}
    check_options(run.options, "my.yml", is_train=True)
    model = run.model()
    train(model, [default_collate([run.dataset("train")[0]])], range(1, 2))
    assert model.get_current_log()["l_percep"] > 0


@pytest.mark.parametrize(("factor", "groups"), [(None, 1), (0.1, 2)])
def test_offsets_may_learn_more_slowly(make_run, factor, groups):
    run = make_run("edvr")
    if factor:
        run.options["train"]["offset_lr_mul"] = factor
    check_options(run.options, "my.yml", is_train=True)
    found = run.model().optimizer_g.param_groups
    assert len(found) == groups
    assert found[-1]["lr"] == pytest.approx((factor or 1) * found[0]["lr"])


def test_a_state_of_other_groups_of_parameters_is_refused(make_run):
    run = make_run("edvr")
    run.model().save(0, 1)
    run.options["train"]["offset_lr_mul"] = 0.1
    with pytest.raises(InputError, match=r"expected the same network and train.offset_lr_mul"):
        run.resumed(1)


@pytest.mark.parametrize(("file", "scale"), EACH_FILE)
def test_it_trains_validates_saves_and_resumes(make_run, file, scale):
    run = make_run(file, scale)
    check_options(run.options, "my.yml", is_train=True)
    model, batches = run.model(), [default_collate([run.dataset("train")[0]])]
    train(model, batches, range(1, 2))
    assert all(parameter.isfinite().all() for parameter in model.net_g.parameters())
    model.save(0, 1)
    events = run.validate(model)
    assert math.isfinite(events.Scalars("metrics/psnr")[0].value)
    assert events.Images("V/lq_result_gt")
    resumed = run.resumed(1)
    for each in (model, resumed):
        torch.manual_seed(0)
        train(each, batches, range(2, 3))
    expected = model.net_g.state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in resumed.net_g.state_dict().items())


@pytest.mark.parametrize("toolbox", ["basicsr", "mmagic"])
def test_published_x4_weights_start_what_fits(make_run, toolbox):
    """As BasicSR's files hold them, and as MMagic's do."""
    run = make_run("edsr")
    run.options["network_g"] |= {"num_feat": 8, "num_block": 1}
    from basicsr.archs.edsr_arch import EDSR

    published = EDSR(3, 3, num_feat=8, num_block=1).state_dict()
    files = {
        "basicsr": {"params": published, "params_ema": published},
        "mmagic": {"meta": {"iter": 1}, "state_dict": {f"generator.{key}": value for key, value in published.items()}},
    }
    torch.save(files[toolbox], run.folder / "x4.pth")
    run.options["path"] |= {"pretrain_network_g": str(run.folder / "x4.pth"), "strict_load_g": False}
    state = run.model().net_g.state_dict()
    same = {key for key in published if published[key].shape == state[key].shape}
    assert set(published) - same == {"conv_first.weight", "conv_last.weight", "conv_last.bias"}
    assert all(torch.equal(published[key], state[key]) for key in same)


def test_bicubic_is_tested_as_it_stands(make_run):
    run = make_run("test_bicubic")
    run.options["datasets"]["val"] = run.options["datasets"].pop("test")
    run.options["val"]["suffix"] = None
    model = run.model(is_train=False)
    assert run.validate(model, save_img=True).Scalars("metrics/psnr")[0].value > 10
    assert len(list((run.folder / "visualization").rglob("*.png"))) == SECTIONS


def test_bicubic_cannot_be_trained(make_run):
    run = make_run("edsr")
    run.options["network_g"] = {"type": "Bicubic", "scale": 8}
    refused = r"^my.yml: network_g.type=Bicubic: it has nothing to train; gpemsr-test tests it$"
    with pytest.raises(InputError, match=refused):
        check_options(run.options, "my.yml", is_train=True)


@pytest.mark.parametrize(
    ("file", "frames", "fits"),
    [("edvr", 7, "5 sections, which SectionEDVR"), ("iconvsr", 3, "at least 5 sections, which SectionIconVSR")],
)
def test_windows_of_another_length_than_the_networks_are_refused(make_run, file, frames, fits):
    run = make_run(file)
    run.options["datasets"]["train"]["num_frame"] = frames
    with pytest.raises(InputError, match=f"^my.yml: datasets.train.num_frame={frames}: {fits} works on together$"):
        check_options(run.options, "my.yml", is_train=True)


def test_whole_stacks_are_for_the_model_of_them(make_run):
    run = make_run("basicvsr")
    run.options["network_g"]["whole_stack"] = True
    with pytest.raises(InputError, match=r"network_g.whole_stack=true: only in a test with model_type: BaselineStack"):
        check_options(run.options, "my.yml", is_train=True)


def test_another_network_is_refused(make_run):
    run = make_run("edsr")
    run.options["network_g"]["type"] = "VQGAN"
    with pytest.raises(InputError, match=r"with this model_type, SectionEDVR or .* or Bicubic is expected"):
        check_options(run.options, "my.yml", is_train=True)


def test_validation_while_training_needs_hr_sections(make_run):
    run = make_run("edsr")
    run.options["datasets"]["val"]["dataroot_gt"] = None
    with pytest.raises(InputError, match=r"datasets.val.dataroot_gt=null: expected the HR sections"):
        check_options(run.options, "my.yml", is_train=True)


def test_a_whole_stack_is_tested_at_once(make_run):
    run = make_run("test_basicvsr_stack")
    run.options["datasets"]["val"] = run.options["datasets"].pop("test") | {"type": "SectionStackTestDataset"}
    net = build_network(run.options["network_g"])
    torch.save({"params_ema": net.state_dict()}, run.folder / "net.pth")
    run.options["path"]["pretrain_network_g"] = str(run.folder / "net.pth")
    check_options(run.options, "my.yml", is_train=False)
    check_inputs(run.options, "my.yml")
    model = run.model(is_train=False)
    assert math.isfinite(run.validate(model, save_img=True).Scalars("metrics/psnr")[0].value)
    assert len(list((run.folder / "visualization").rglob("*.png"))) == SECTIONS


@pytest.mark.parametrize(
    ("section", "key", "value", "line"),
    [
        ("network_g", "whole_stack", False, "network_g.whole_stack=false: expected true"),
        ("path", "pretrain_network_g", None, "path.pretrain_network_g=null: the checkpoint to test is expected"),
        ("val", "center_frame_only", True, "val.center_frame_only=true: expected false"),
        ("network_g", "type", "SectionEDSR", 'network_g.type="SectionEDSR"'),
    ],
)
def test_a_test_of_whole_stacks_that_does_not_fit_is_refused(make_run, section, key, value, line):
    run = make_run("test_basicvsr_stack")
    (run.folder / "net.pth").touch()
    run.options["path"]["pretrain_network_g"] = str(run.folder / "net.pth")
    run.options["datasets"]["test"]["type"] = "SectionStackTestDataset"
    run.options[section][key] = value
    with pytest.raises(InputError, match=f"^my.yml: {re.escape(line)}"):
        check_options(run.options, "my.yml", is_train=False)


def test_windows_are_not_scored_on_whole_stacks(make_run):
    run = make_run("edsr")
    run.options["datasets"]["val"]["type"] = "SectionStackTestDataset"
    with pytest.raises(
        InputError, match=r"^my.yml: datasets.val.type=SectionStackTestDataset: expected SectionWindowTestDataset"
    ):
        check_options(run.options, "my.yml", is_train=True)
