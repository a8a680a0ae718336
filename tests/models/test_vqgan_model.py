"""Training of stage I."""

import copy

import cv2
import numpy as np
import pytest
import torch
from basicsr.models.base_model import BaseModel
from stage_runs import check_resumed, moved, train, weights

from gpemsr.errors import InputError
from gpemsr.options.check import check_options


@pytest.fixture
def stage(make_stage):
    return make_stage(1)


def test_the_generator_learns_at_once_and_the_discriminator_from_gan_start_iter_on(stage):
    model = stage.model()
    batches = stage.batches()
    before_g, before_d = weights(model.net_g), weights(model.net_d)
    train(model, batches, range(1, 3))
    assert moved(before_g, model.net_g) == set(before_g)
    assert moved(before_d, model.net_d) == set()
    assert set(model.get_current_log()) == {"l_pix", "l_codebook", "perplexity", "dead_codes"}
    train(model, batches, range(3, 4))
    assert moved(before_d, model.net_d) == set(before_d) - {"model.11.bias"}  # it moves real and fake scores alike
    assert {"l_g_gan", "l_d_real", "l_d_fake"} < set(model.get_current_log())
    assert all(p.requires_grad for p in model.net_d.parameters())


def test_the_losses_are_those_of_the_paper(stage):
    stage.options["train"] |= {"gan_start_iter": 0, "codebook_weight": 10.0, "r1_opt": None}
    model = stage.model()
    net, net_d = copy.deepcopy(model.net_g), copy.deepcopy(model.net_d)
    batch = stage.batches()[0]
    train(model, [batch], range(1, 2))
    log = model.get_current_log()
    with torch.no_grad():
        result, codebook_loss, _ = net(batch["gt"])
        assert log["l_pix"] == pytest.approx((result - batch["gt"]).abs().mean().item(), rel=1e-4)
        assert log["l_codebook"] == pytest.approx(10 * codebook_loss.item(), rel=1e-4)
        assert log["l_g_gan"] == pytest.approx(-0.1 * net_d(result).mean().item(), rel=1e-3, abs=1e-6)
        assert log["l_d_real"] == pytest.approx(-net_d(batch["gt"]).mean().item(), rel=1e-3, abs=1e-6)
        assert log["l_d_fake"] == pytest.approx(net_d(result).mean().item(), rel=1e-3, abs=1e-6)


def test_the_gradient_penalty_comes_every_r1_every_iterations(stage):
    stage.options["train"] |= {"gan_start_iter": 0, "r1_every": 2}
    batches = stage.batches()
    nets = []
    for weight in (0.0, 100.0):
        stage.options["train"]["r1_opt"]["loss_weight"] = weight
        model = stage.model()
        train(model, batches, range(1, 2))
        first = weights(model.net_d)
        train(model, batches, range(2, 3))
        nets.append((first, weights(model.net_d)))
    (first, second), (first_punished, second_punished) = nets
    assert all(torch.equal(first[key], first_punished[key]) for key in first)
    assert not torch.equal(second["model.0.weight"], second_punished["model.0.weight"])


def test_without_gradient_penalty_it_trains_too(stage):
    stage.options["train"] |= {"gan_start_iter": 0, "r1_opt": None}
    train(stage.model(), stage.batches(), range(1, 3))


def test_up_to_quantize_start_iter_it_is_an_autoencoder_then_all_codes_start_on_latent_vectors(make_stage):
    stage = make_stage(1, quantize_start_iter=2, gan_start_iter=100)
    model, batches = stage.model(), stage.batches()
    before = weights(model.net_g)
    train(model, batches, range(1, 3))
    assert "codebook.embedding.weight" not in moved(before, model.net_g)
    assert "encoder.stem.0.weight" in moved(before, model.net_g)
    assert model.get_current_log()["l_codebook"] == 0
    model.feed_data(batches[1])
    with torch.no_grad():
        latents = model.net_g.encoder(model.gt).permute(0, 2, 3, 1).flatten(0, 2)
    model.optimizer_g.param_groups[0]["lr"] = 0.0
    model.optimize_parameters(3)
    entries = model.net_g.codebook.embedding.weight
    assert all((latents - entry).abs().amax(1).min() < 1e-6 for entry in entries)
    assert model.get_current_log()["l_codebook"] > 0


def test_only_codes_that_are_hardly_chosen_are_moved(make_stage):
    stage = make_stage(1, restart_dead_codes_every=3)
    model, batches = stage.model(), stage.batches()
    model.feed_data(batches[0])
    model.usage.update(torch.tensor([2, 3]).repeat(50))
    before = weights(model.net_g)["codebook.embedding.weight"]
    model.restart_dead_codes()
    after = model.net_g.codebook.embedding.weight
    same = (after == before).all(1).nonzero().flatten().tolist()
    assert same == [2, 3]
    assert model.usage.dead().tolist() == []


def test_codes_are_moved_every_few_iterations(make_stage, monkeypatch):
    stage = make_stage(1, restart_dead_codes_every=2, quantize_start_iter=3, gan_start_iter=100)
    model = stage.model()
    restarts = []
    restart = model.restart_dead_codes
    iteration = 0
    monkeypatch.setattr(model, "restart_dead_codes", lambda: (restarts.append(iteration), restart()))
    batches = stage.batches()
    for iteration in range(1, 9):
        train(model, batches, range(iteration, iteration + 1))
    assert restarts == [4, 6, 8]


def test_validation_writes_metrics_code_usage_and_a_picture(stage):
    events = stage.validate(stage.model())
    assert {"metrics/V/psnr", "metrics/V/perplexity", "metrics/V/codes_used"} <= set(events.Tags()["scalars"])
    assert events.Tags()["images"] == ["V/lq_result_gt"]
    [picture] = events.Images("V/lq_result_gt")
    assert (picture.height, picture.width) == (96, 3 * 112)
    [used] = events.Scalars("metrics/V/codes_used")
    [perplexity] = events.Scalars("metrics/V/perplexity")
    assert 1 <= perplexity.value <= used.value + 1e-3 and used.step == 7


def test_validation_saves_pictures_if_asked(stage):
    stage.validate(stage.model(), save_img=True)
    [*pictures] = (stage.folder / "visualization").rglob("*.png")
    assert len(pictures) == 4
    assert cv2.imread(str(pictures[0]), cv2.IMREAD_UNCHANGED).shape == (96, 112)


def test_a_validation_of_blank_sections_only_is_refused(stage):
    for path in (stage.folder / "hr" / "v").iterdir():
        cv2.imwrite(str(path), np.zeros((96, 112), np.uint8))
    with pytest.raises(InputError, match="V: all HR sections are blank, so there are no scores"):
        stage.validate(stage.model())


def test_validation_changes_nothing_of_the_training(stage):
    model = stage.model()
    before, counts = weights(model.net_g), model.usage.counts.clone()
    stage.validate(model)
    assert moved(before, model.net_g) == set()
    assert torch.equal(model.usage.counts, counts)
    assert model.net_g.training


def test_a_resumed_run_goes_on_as_an_uninterrupted_one(make_stage):
    """Restarts of codes depend on the usage before, and draw random latent vectors."""
    stage = make_stage(1, restart_dead_codes_every=3, ema_decay=0.5)
    check_resumed(stage, 4, 7, "net_g", "net_d", "net_g_ema")


def test_averaged_weights_are_validated_and_saved(make_stage):
    stage = make_stage(1, ema_decay=0.5)
    model, batches = stage.model(), stage.batches()
    before = weights(model.net_g)
    train(model, batches, range(1, 2))
    key = "decoder.head.weight"
    expected = (before[key] + model.net_g.state_dict()[key]) / 2
    torch.testing.assert_close(model.net_g_ema.state_dict()[key], expected)
    model.feed_data(batches[0])
    model.start_validation()
    model.test()
    with torch.no_grad():
        assert torch.equal(model.output, model.net_g_ema(batches[0]["gt"])[0])
    model.save(0, 1)
    saved = torch.load(stage.folder / "models" / "net_g_1.pth", weights_only=True)
    assert torch.equal(saved["params_ema"][key], model.net_g_ema.state_dict()[key])
    assert torch.equal(saved["params"][key], model.net_g.state_dict()[key])


def test_a_checkpoint_says_what_network_it_is_of_and_basicsr_loads_it(stage):
    model = stage.model()
    model.save(0, 1)
    saved = {name: torch.load(stage.folder / f"models/net_{name}_1.pth", weights_only=True) for name in "gd"}
    for name in "gd":
        metadata = {"key_names": "gpemsr", f"network_{name}": stage.options[f"network_{name}"]}
        assert saved[name]["metadata"] == metadata
    for parameter in model.net_g.parameters():
        torch.nn.init.zeros_(parameter)
    BaseModel.load_network(model, model.net_g, str(stage.folder / "models" / "net_g_1.pth"))
    assert moved(saved["g"]["params"], model.net_g) == set()


def test_the_option_file_fits(stage):
    check_options(stage.options, "my.yml", True)


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("", "network_d", None, "network_d is missing: VQGANModel needs this network"),
        ("network_g", "norm_groups", 3, "network_g.channels=[8, 8, 8, 8, 8]: 5 widths, each a positive multiple of"),
        ("train", "gan_start_iter", -1, "train.gan_start_iter=-1: greater than or equal to 0 is expected"),
        ("train", "r1_every", 0, "train.r1_every=0: greater than 0 is expected"),
        ("train", "gan_opt", {"type": "GANLos"}, 'train.gan_opt.type="GANLos": nothing of this name is registered'),
    ],
)
def test_options_that_do_not_fit_are_named(stage, section, key, value, message):
    (stage.options[section] if section else stage.options)[key] = value
    with pytest.raises(InputError) as refused:
        check_options(stage.options, "my.yml", True)
    assert str(refused.value).startswith(f"my.yml: {message}")


def test_crops_that_the_discriminator_cannot_see_are_refused_if_it_learns(stage):
    stage.options["datasets"]["train"]["gt_size"] = 64
    stage.options["train"] |= {"total_iter": 3, "gan_start_iter": 3}
    check_options(stage.options, "my.yml", True)
    stage.options["train"]["gan_start_iter"] = 2
    with pytest.raises(InputError, match=r"my.yml: datasets.train.gt_size=64: at least 70 is expected"):
        check_options(stage.options, "my.yml", True)
