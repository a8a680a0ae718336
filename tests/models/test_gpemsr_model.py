"""Training and test of stage III, and the chain of the three stages."""

import copy
import re

import cv2
import pytest
import torch
from stage_runs import Stage, check_resumed, moved, train, weights
from tiny_stages import AFFINITY_NETWORKS, stage_options, trainable, write_network

from gpemsr.archs import weights as published
from gpemsr.archs.gpemsr_without_arch import PARTS
from gpemsr.checkpoints.inputs import check_inputs
from gpemsr.errors import InputError
from gpemsr.options.check import check_options


@pytest.fixture
def stage(make_stage):
    return make_stage(3)


VARIANTS = {
    "vqgan, train": {},
    "vgg19, train": {"perceptual": "vgg19"},
    "vqgan, spynet": {"flow": "spynet", "flow_levels": 6},
    "both flows": {"bidirectional_flow": True},
}


def test_it_starts_from_the_prior_that_path_names(stage):
    saved = torch.load(stage.folder / "prior.pth", weights_only=True)["params"]
    prior = stage.model().net_g.prior.state_dict()
    assert prior.keys() == saved.keys()
    assert all(torch.equal(value, saved[key]) for key, value in prior.items())


def test_without_encoder_it_takes_what_it_needs_of_the_prior(stage):
    stage.options["network_g"]["perceptual"] = "vgg19"
    stage.options["train"]["contextual_opt"] = None
    saved = torch.load(stage.folder / "prior.pth", weights_only=True)["params"]
    prior = stage.model().net_g.prior.state_dict()
    assert saved.keys() - prior.keys() == {key for key in saved if key.startswith("vqgan.encoder.")}
    assert all(torch.equal(value, saved[key]) for key, value in prior.items())


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=list(VARIANTS))
@pytest.mark.parametrize("scale", [8, 16], ids="x{}".format)
def test_what_is_not_frozen_learns_and_nothing_else(make_stage, scale, changes):
    stage = make_stage(3, scale)
    stage.options["network_g"] |= changes
    if changes.get("perceptual") == "vgg19":
        stage.options["train"]["contextual_opt"] = None
    model = stage.model()
    before = weights(model.net_g)
    train(model, stage.batches(), range(1, 5))
    learned, changed = set(trainable(model.net_g)), moved(before, model.net_g)
    assert changed <= learned
    late = ("flow.", "align.flow_branch", "align.offset", "align.cas_offset")  # through offsets, which start at zero
    assert {name for name in learned - changed if not name.startswith(late)} == set()
    assert not any(name.startswith(("prior.", "perceptual.")) for name in trainable(model.net_g))


def test_the_losses_are_l1_and_the_contextual_loss_of_encoder_features(stage):
    model, batch = stage.model(), stage.batches()[0]
    net, contextual = copy.deepcopy(model.net_g), model.cri_contextual
    encoder = net.prior.vqgan.encoder
    contextual.extractor = torch.nn.Sequential(encoder.stem, *encoder.steps[:2])
    with torch.no_grad():
        result, reference = net(batch["lq"], return_reference=True)
        expected = contextual(result, reference).item()
    model = stage.model()
    train(model, [batch], range(1, 2))
    log = model.get_current_log()
    assert log["l_pix"] == pytest.approx((result - batch["gt"]).abs().mean().item(), rel=1e-4)
    assert log["l_contextual"] == pytest.approx(expected, rel=1e-4)


def test_the_contextual_loss_can_be_left_out_or_have_vgg_features(stage):
    batches = stage.batches()
    stage.options["train"]["contextual_opt"] = None
    model = stage.model()
    train(model, batches, range(1, 2))
    assert set(model.get_current_log()) == {"l_pix", "attention"}
    stage.options["train"]["contextual_opt"] = {"type": "ContextualLoss", "features": "vgg19", "vgg_weights": None}
    train(stage.model(), batches, range(1, 2))


def test_a_perceptual_loss_joins_the_others(stage):
    weights = write_network(stage.folder / "affinities.pth", AFFINITY_NETWORKS[0])
    stage.options["train"]["perceptual_opt"] = {"type": "AffinityFeatureLoss", "weights": weights}
    check_options(stage.options, "my.yml", is_train=True)
    model = stage.model()
    train(model, stage.batches(), range(1, 2))
    assert model.get_current_log()["l_percep"] > 0


@pytest.mark.parametrize(("logit", "attention"), [(0, 0.5), (-30, 0), (30, 1)])
def test_the_log_shows_how_far_attention_over_sections_is_open(stage, logit, attention):
    model = stage.model()
    for embedding in (model.net_g.fusion.temporal_attn1, model.net_g.fusion.temporal_attn2):
        torch.nn.init.zeros_(embedding.weight)
        torch.nn.init.zeros_(embedding.bias)
    with torch.no_grad():
        model.net_g.fusion.temporal_attn1.bias[0] = 1
        model.net_g.fusion.temporal_attn2.bias[0] = logit
    train(model, stage.batches(), range(1, 2))
    assert model.get_current_log()["attention"] == pytest.approx(attention, abs=1e-6)


def test_offsets_of_deformable_convolutions_learn_more_slowly(make_stage):
    model = make_stage(3, offset_lr_mul=0.25).model()
    others, offsets = model.optimizer_g.param_groups
    assert offsets["lr"] == pytest.approx(0.25 * others["lr"])
    named = dict(model.net_g.named_parameters())
    expected = [p for name, p in named.items() if "conv_offset" in name]
    assert expected and all(a is b for a, b in zip(offsets["params"], expected, strict=True))
    assert len(others["params"]) + len(expected) == len(trainable(model.net_g))


def test_averaged_weights_follow_and_the_prior_is_there_at_once(make_stage):
    stage = make_stage(3, ema_decay=0.5)
    model = stage.model()
    before = weights(model.net_g)
    assert moved(before, model.net_g_ema) == set()
    train(model, stage.batches(), range(1, 2))
    averaged = model.net_g_ema.state_dict()
    for name, value in model.net_g.state_dict().items():
        torch.testing.assert_close(averaged[name], (before[name] + value) / 2)


def test_averaged_weights_have_the_prior_that_path_names_with_other_weights_too(make_stage):
    stage = make_stage(3, ema_decay=0.5)
    stage.model().save(0, 1)
    prior = torch.load(stage.folder / "prior.pth", weights_only=True)["params"]
    for value in prior.values():
        value.add_(1) if value.is_floating_point() else None
    torch.save({"params": prior}, stage.folder / "prior.pth")
    stage.options["path"]["pretrain_network_g"] = str(stage.folder / "models" / "net_g_1.pth")
    model = stage.model()
    for net in (model.net_g, model.net_g_ema):
        assert all(torch.equal(value, prior[key]) for key, value in net.prior.state_dict().items())


def test_a_training_still_at_the_bilinear_image_is_warned_of(stage):
    model = stage.model()
    torch.nn.init.zeros_(model.net_g.conv_last.weight)
    torch.nn.init.zeros_(model.net_g.conv_last.bias)
    events = stage.validate(model)
    assert events.Scalars("metrics/V/psnr_above_bilinear")[0].value == 0
    assert model.start_watch.has_warned


def test_validation_writes_metrics_and_a_picture_and_encodes_each_section_once(make_stage):
    stage = make_stage(3)
    model = stage.model()
    before = weights(model.net_g)
    images = []
    model.net_g.prior.vqgan.decoder.register_forward_hook(lambda module, inputs, output: images.append(len(output[0])))
    events = stage.validate(model)
    assert images == [1, 1, 1, 1]
    assert "metrics/psnr" in events.Tags()["scalars"]
    [picture] = events.Images("V/lq_result_gt")
    assert (picture.height, picture.width) == (96, 3 * 112)
    assert moved(before, model.net_g) == set()
    assert model.net_g.training and not model.net_g.prior.training


def test_a_later_validation_sees_the_weights_of_then(stage):
    stage.options["train"]["optim_g"]["lr"] = 0.005
    model, batches = stage.model(), stage.batches()
    lq = stage.dataset("val")[1]["lq"][None]
    for iteration in (1, 2):
        train(model, batches, range(iteration, iteration + 1))
        model.feed_data({"lq": lq})
        model.start_validation()
        model.test()
        with torch.no_grad():
            torch.testing.assert_close(model.output, model.net_g(lq), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("ema_decay", [0.0, 0.5])
def test_a_section_is_tested_as_forward_computes_it(make_stage, ema_decay):
    stage = make_stage(3, ema_decay=ema_decay)
    model = stage.model()
    train(model, stage.batches(), range(1, 2))
    lq = stage.dataset("val")[1]["lq"][None]
    model.feed_data({"lq": lq})
    model.start_validation()
    model.test()
    net = model.net_g_ema if ema_decay else model.net_g
    with torch.no_grad():
        torch.testing.assert_close(model.output, net(lq), rtol=1e-5, atol=1e-5)


def test_pictures_are_saved_by_volume_and_section(stage):
    stage.validate(stage.model(), save_img=True)
    pictures = sorted(path.relative_to(stage.folder / "visualization") for path in stage.folder.rglob("*_7.png"))
    assert [str(path) for path in pictures] == [f"V/v/{z:08d}_7.png" for z in range(4)]
    assert cv2.imread(str(stage.folder / "visualization" / pictures[0]), cv2.IMREAD_UNCHANGED).shape == (96, 112)


def test_testing_needs_neither_prior_nor_training_options(stage):
    trained = stage.model()
    trained.save(0, 3)
    del stage.options["train"], stage.options["path"]["pretrain_prior"]
    stage.options["path"]["pretrain_network_g"] = str(stage.folder / "models" / "net_g_3.pth")
    model = stage.model(is_train=False)
    assert moved(weights(trained.net_g), model.net_g) == set()
    events = stage.validate(model)
    assert events.Scalars("metrics/psnr")[0].value > 0
    assert not model.net_g.training


@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_a_resumed_run_goes_on_as_an_uninterrupted_one(make_stage, ema_decay):
    names = ("net_g", "net_g_ema") if ema_decay else ("net_g",)
    check_resumed(make_stage(3, ema_decay=ema_decay), 2, 4, *names, rtol=1e-4, atol=1e-6)


def test_a_whole_checkpoint_needs_no_published_weights(stage, monkeypatch):
    changes = {"perceptual": "vgg19", "flow": "spynet", "flow_levels": 6}
    stage.options["network_g"] |= changes
    stage.options["train"]["contextual_opt"] = None
    stage.model().save(0, 3)
    monkeypatch.setattr(published, "fetch", lambda weights: pytest.fail("download"))
    for key in ("vgg_weights", "flow_weights"):
        stage.options["network_g"][key] = "download"
    stage.options["path"]["pretrain_network_g"] = str(stage.folder / "models" / "net_g_3.pth")
    check_options(stage.options, "my.yml", True)
    train(stage.model(), stage.batches(), range(1, 2))


@pytest.mark.parametrize("scale", [8, 16], ids="x{}".format)
def test_each_stage_starts_from_the_checkpoint_of_the_one_before(make_stage, scale):
    """Stage I -> II -> III through the files that they save, without conversion or sizes of the network before."""
    stage = make_stage(3, scale)
    models = stage.folder / "models"
    first = Stage.__new__(Stage)
    first.folder, first.options = stage.folder, stage_options(1, stage.folder)
    model = first.model()
    train(model, first.batches(), range(1, 5))
    model.save(0, 1)
    second = Stage.__new__(Stage)
    second.folder, second.options = stage.folder, stage_options(2, stage.folder, scale)
    second.options["path"]["pretrain_prior"] = str(models / "net_g_1.pth")
    del second.options["network_g"]["vqgan"], stage.options["network_g"]["prior"]
    indexer = second.model()
    assert moved(weights(model.net_g), indexer.net_g.vqgan) == set()
    train(indexer, second.batches(), range(1, 3))
    indexer.save(0, 2)
    stage.options["path"]["pretrain_prior"] = str(models / "net_g_2.pth")
    gpemsr = stage.model()
    assert moved(weights(indexer.net_g), gpemsr.net_g.prior) == set()
    train(gpemsr, stage.batches(), range(1, 3))
    assert moved(weights(indexer.net_g), gpemsr.net_g.prior) == set()


@pytest.mark.parametrize("part", PARTS)
def test_it_is_trained_without_a_part(stage, part):
    stage.options["network_g"] |= {"type": "GPEMSRWithout", "without": part}
    if part == "prior":
        stage.options["path"]["pretrain_prior"] = None
    check_options(stage.options, "my.yml", True)
    train(stage.model(), stage.batches(), range(1, 3))


@pytest.fixture
def without_prior(stage):
    """The averaged network of two steps without prior; the stage's options name its file."""
    full = copy.deepcopy(stage.options)
    stage.options["network_g"] |= {"type": "GPEMSRWithout", "without": "prior"}
    stage.options["path"]["pretrain_prior"] = None
    stage.options["train"]["ema_decay"] = 0.5
    model = stage.model()
    train(model, stage.batches(), range(1, 3))
    model.save(0, 2)
    stage.options = full
    stage.options["path"]["pretrain_without_prior"] = str(stage.folder / "models" / "net_g_2.pth")
    return model.net_g_ema


@torch.no_grad()
def test_it_goes_on_from_a_network_without_prior(stage, without_prior):
    check_options(stage.options, "my.yml", True)
    check_inputs(stage.options, "my.yml")
    stage.options["train"]["ema_decay"] = 0.5
    model, lq = stage.model(), stage.batches()[0]["lq"]
    for net in (model.net_g, model.net_g_ema):
        torch.testing.assert_close(net(lq), without_prior(lq))
    saved = torch.load(stage.folder / "prior.pth", weights_only=True)["params"]
    assert moved(saved, model.net_g_ema.prior) == set()


def test_then_the_prior_is_let_in(stage, without_prior):
    model = stage.model()
    before = weights(model.net_g)
    train(model, stage.batches(), range(1, 5))
    fusion = {name for name in trainable(model.net_g) if name.startswith("mpf.")}
    assert fusion <= moved(before, model.net_g)


def test_a_resumed_run_does_not_start_from_it_again(stage, without_prior):
    stage.options["path"]["resume_state"] = "any.state"
    net = stage.model().net_g
    assert moved(without_prior.conv_last.state_dict(), net.conv_last)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network_g": {"type": "GPEMSRWithout", "without": "mask"}}, "only with network_g.type: GPEMSR"),
        ({"path": {"pretrain_network_g": __file__}}, "not with path.pretrain_network_g"),
        ({"path": {"pretrain_prior": None}}, "path.pretrain_prior=null: expected the checkpoint of stage II"),
        ({"network_g": {"num_reconstruct_block": 3}}, "not the weights of this GPEMSRWithout"),
    ],
)
def test_a_network_without_prior_that_does_not_fit_is_refused(stage, without_prior, changes, message):
    for section, values in changes.items():
        stage.options[section] |= values
    with pytest.raises(InputError, match=re.escape(message)):
        check_options(stage.options, "my.yml", True)
        check_inputs(stage.options, "my.yml")


def test_the_option_file_fits(stage):
    check_options(stage.options, "my.yml", True)


def test_a_training_that_validates_without_hr_sections_is_refused(stage):
    stage.options["datasets"]["val"]["dataroot_gt"] = None
    with pytest.raises(InputError) as refused:
        check_options(stage.options, "my.yml", True)
    assert str(refused.value).startswith("my.yml: datasets.val.dataroot_gt=null: expected the HR sections")


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("path", "pretrain_prior", None, "path.pretrain_prior=null: expected the checkpoint of stage II (net_g_*.pth)"),
        ("network_g", "num_frame", 5, "datasets.train.num_frame=3: expected network_g.num_frame=5"),
        (
            "network_g",
            "perceptual",
            "vgg19",
            "train.contextual_opt.features=vqgan: only with network_g.perceptual: vqgan",
        ),
        ("network_g", "deformable_groups", 3, "network_g.num_feat=8: a multiple of deformable_groups=3"),
        ("network_g", "scale", 16, "network_g.scale=16: the file's scale=8 is expected"),
        ("train", "pixel_opt", None, "train.pixel_opt"),
    ],
)
def test_options_that_do_not_fit_are_named(stage, section, key, value, message):
    stage.options[section][key] = value
    with pytest.raises(InputError) as refused:
        check_options(stage.options, "my.yml", True)
    assert str(refused.value).startswith(f"my.yml: {message}")
