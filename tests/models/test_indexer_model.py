"""Training of stage II."""

import pytest
import torch
from stage_runs import check_resumed, moved, train, weights
from tiny_stages import trainable
from torch.nn import functional as F

from gpemsr.data.stored_codes import write_codes
from gpemsr.errors import InputError
from gpemsr.models.indexer_model import accuracy
from gpemsr.options.check import check_options


@pytest.fixture(params=[8, 16], ids="x{}".format)
def stage(make_stage, request):
    return make_stage(2, request.param)


def test_it_starts_from_the_stage_one_network_that_path_names(stage):
    prior = torch.load(stage.folder / "prior.pth", weights_only=True)["params"]
    net = stage.model().net_g
    assert net.vqgan.state_dict().keys() == prior.keys()
    assert all(torch.equal(value, prior[key]) for key, value in net.vqgan.state_dict().items())


def test_the_indexer_learns_and_stage_one_does_not(stage):
    model = stage.model()
    before = weights(model.net_g)
    train(model, stage.batches(), range(1, 4))
    assert moved(before, model.net_g) == set(trainable(model.net_g))
    assert not any(name.startswith("vqgan.") for name in trainable(model.net_g))
    assert set(model.get_current_log()) == {"l_index", "accuracy"}


def test_the_loss_is_the_cross_entropy_against_the_codes_of_stage_one(stage):
    model, batch = stage.model(), stage.batches()[0]
    with torch.no_grad():
        expected = F.cross_entropy(model.net_g(batch["lq"]), model.net_g.vqgan.encode(batch["gt"]))
    train(model, [batch], range(1, 2))
    assert model.get_current_log()["l_index"] == pytest.approx(expected.item(), rel=1e-4)


def test_the_loss_is_against_stored_codes_where_the_batch_has_them(make_stage):
    stage = make_stage(2)
    model, batch = stage.model(), stage.batches()[0]
    codes = torch.arange(32).view(2, 4, 4) % 16
    with torch.no_grad():
        expected = F.cross_entropy(model.net_g(batch["lq"]), codes)
    train(model, [{**batch, "codes": codes}], range(1, 2))
    assert model.get_current_log()["l_index"] == pytest.approx(expected.item(), rel=1e-4)


def test_codes_of_another_stage_one_than_the_training_resumes_are_refused(make_stage, tmp_path):
    stage = make_stage(2)
    train_set, path = stage.dataset("train"), tmp_path / "codes"
    stage.options["datasets"]["train"]["codes"] = str(path)
    model = None
    for state in (torch.load(tmp_path / "prior.pth", weights_only=True)["params"], {"a": torch.ones(1)}):
        write_codes(path, train_set.gt_store, train_set.augmentations, state, lambda image: image[:, 0, ::16, ::16])
        if model is None:
            model = stage.model()
            model.save(0, 2)
    with pytest.raises(InputError, match="made with stage I weights other than those of the training"):
        stage.resumed(2)


def test_what_is_seen_again_and_again_is_learned(make_stage):
    stage = make_stage(2)
    stage.options["train"]["optim_g"]["lr"] = 0.01
    model, batch = stage.model(), stage.batches()[0]
    train(model, [batch], range(1, 2))
    first = model.get_current_log()["l_index"]
    train(model, [batch], range(2, 40))
    assert model.get_current_log()["l_index"] < 0.7 * first


def test_accuracy_counts_the_codes_among_the_most_probable():
    logits = torch.tensor([[3.0, 2, 1, 0], [0, 1, 2, 3], [3, 2, 1, 0], [0, 3, 2, 1]]).T.view(1, 4, 2, 2)
    codes = torch.tensor([[[0, 3], [1, 0]]])
    assert [accuracy(logits, codes, top).item() for top in (1, 2, 3, 4, 5)] == [0.5, 0.75, 0.75, 1, 1]


def test_validation_writes_metrics_accuracies_and_a_picture(stage):
    model = stage.model()
    before = weights(model.net_g)
    events = stage.validate(model)
    names = ("psnr", "accuracy", "accuracy_top5", "cross_entropy")
    assert {f"metrics/V/{name}" for name in names} <= set(events.Tags()["scalars"])
    scalars = {name: events.Scalars(f"metrics/V/{name}")[0].value for name in names}
    assert 0 <= scalars["accuracy"] <= scalars["accuracy_top5"] <= 1
    assert scalars["cross_entropy"] > 0
    [picture] = events.Images("V/lq_result_gt")
    assert (picture.height, picture.width) == (96, 3 * 112)
    assert moved(before, model.net_g) == set()
    assert model.net_g.training and not model.net_g.vqgan.training


def test_validation_figures_are_means_over_the_sections_of_one_validation(make_stage):
    stage = make_stage(2)
    model, dataset = stage.model(), stage.dataset("val")
    stage.validate(model)
    events = stage.validate(model)
    with torch.no_grad():
        each = [
            accuracy(model.net_g(item["lq"][None]), model.net_g.targets(item["gt"][None]), 1).item()
            for item in (dataset[i] for i in range(len(dataset)))
        ]
    assert len(each) == 4
    assert events.Scalars("metrics/V/accuracy")[-1].value == pytest.approx(sum(each) / 4, abs=1e-6)


def test_the_result_is_the_reference_image(stage):
    model, batch = stage.model(), stage.batches()[0]
    model.feed_data({"lq": batch["lq"]})
    model.test()
    with torch.no_grad():
        assert torch.equal(model.output, model.net_g.prior(batch["lq"]).image)


def test_a_resumed_run_goes_on_as_an_uninterrupted_one(make_stage):
    check_resumed(make_stage(2), 2, 4, "net_g", rtol=1e-5, atol=1e-7)


def test_the_option_file_fits(stage):
    check_options(stage.options, "my.yml", True)


def test_the_result_of_stage_one_is_needed(stage):
    stage.options["path"]["pretrain_prior"] = None
    with pytest.raises(InputError) as refused:
        check_options(stage.options, "my.yml", True)
    assert str(refused.value) == "my.yml: path.pretrain_prior=null: expected the checkpoint of stage I (net_g_*.pth)"


def test_a_test_or_a_checkpoint_of_its_own_needs_no_prior(stage):
    prior = stage.options["path"].pop("pretrain_prior")
    stage.options["path"]["pretrain_network_g"] = prior
    check_options(stage.options, "my.yml", True)


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("train", "index_opt", None, "train.index_opt"),
        ("train", "ema_decay", 0.9, "train.ema_decay=0.9: "),
        ("network_g", "scale", 4, "network_g.scale=4: "),
        ("network_g", "vqgan", {"channels": [8]}, "network_g.vqgan.channels=[8]: 5 widths"),
    ],
)
def test_options_that_do_not_fit_are_named(stage, section, key, value, message):
    stage.options[section][key] = value
    with pytest.raises(InputError) as refused:
        check_options(stage.options, "my.yml", True)
    assert str(refused.value).startswith(f"my.yml: {message}")


def test_a_checkpoint_of_another_size_is_refused(stage):
    torch.save({"params": {"a": torch.ones(1)}}, stage.folder / "prior.pth")
    with pytest.raises((RuntimeError, ValueError)):
        stage.model()
