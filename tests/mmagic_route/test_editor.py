"""The editor computes what BasicSR's model does, and learns what that learns."""

import copy

import pytest
import torch
from stage_runs import moved, weights
from tiny_mmagic import DATASETS, MODELS, tiny_config
from tiny_stages import INDEXER, VQGAN


@pytest.fixture
def make_editor(stage):
    """Return a function (keys of the model) -> (editor, items of the training set, items of the validation set)."""

    def make(**changes):
        config = tiny_config(stage.options, stage.folder / "run")
        config.model.update(changes)
        editor = MODELS.build(config.model)
        editor.init_weights()
        sets = [copy.deepcopy(config[f"{phase}_dataloader"].dataset) for phase in ("train", "val")]
        return editor, *(DATASETS.build(section) for section in sets)

    return make


def batch_of(dataset, indices) -> dict:
    items = [dataset[i] for i in indices]
    return {key: [item[key] for item in items] for key in ("inputs", "data_samples")}


def test_the_same_weights_give_the_same_sections_as_basicsr(stage, make_editor):
    model = stage.model()
    model.save(0, 5)
    editor, _, data = make_editor(pretrain_network_g=str(stage.folder / "models" / "net_g_5.pth"))
    editor.eval()
    model.start_validation()
    for index, item in enumerate(stage.dataset("val")):
        model.feed_data({"lq": item["lq"][None], "gt": item["gt"][None]})
        model.test()
        [sample] = editor.val_step(batch_of(data, [index]))
        expected = (model.output.clamp(0, 1) * 255).round()[0]
        assert torch.equal(sample.output.pred_img, expected)
        assert torch.equal(sample.gt_img, (item["gt"] * 255).round())
        assert sample.folder == item["folder"]
        with torch.no_grad():
            raw = editor(item["lq"][None])
        torch.testing.assert_close(raw, model.output, rtol=1e-5, atol=1e-5)


def test_the_losses_are_basicsrs(stage, make_editor):
    model = stage.model()
    model.save(0, 5)
    editor, data, _ = make_editor(pretrain_network_g=str(stage.folder / "models" / "net_g_5.pth"))
    batch = batch_of(data, [0, 1])
    lq, gt = torch.stack(batch["inputs"]), torch.stack([sample.gt_img for sample in batch["data_samples"]])
    model.feed_data({"lq": lq, "gt": gt})
    model.optimize_parameters(1)
    losses = editor(**editor.data_preprocessor(batch, True), mode="loss")
    log = model.get_current_log()
    assert losses["loss_pix"].item() == pytest.approx(log["l_pix"], rel=1e-6)
    assert losses["loss_contextual"].item() == pytest.approx(log["l_contextual"], rel=1e-5)
    assert type(editor.pixel_loss).__module__.startswith("mmagic.")


def test_the_prior_is_that_of_stage_two_frozen_and_in_eval_mode(stage, make_editor):
    editor, data, _ = make_editor()
    saved = torch.load(stage.folder / "prior.pth", weights_only=True)["params"]
    assert all(torch.equal(value, saved[key]) for key, value in editor.generator.prior.state_dict().items())
    editor.train()
    prior = editor.generator.prior
    assert editor.generator.training and not any(module.training for module in prior.modules())
    losses = editor(**editor.data_preprocessor(batch_of(data, [0, 1]), True), mode="loss")
    sum(losses.values()).backward()
    assert all(p.grad is None for p in prior.parameters())
    assert all(p.grad is not None for p in editor.generator.parameters() if p.requires_grad)


def test_a_later_validation_sees_the_weights_of_then(make_editor):
    editor, _, data = make_editor()
    editor.eval()
    first = editor.val_step(batch_of(data, [0]))[0].output.pred_img
    other = weights(editor.generator)
    other["conv_last.bias"] += 0.3
    other["conv_first.weight"] += 0.3
    editor.generator.load_state_dict(other)
    second = editor.val_step(batch_of(data, [0]))[0].output.pred_img
    editor.eval()
    assert torch.equal(second, editor.val_step(batch_of(data, [0]))[0].output.pred_img)
    assert not torch.equal(first, second)


def test_windows_in_a_batch_are_those_one_by_one(make_editor):
    editor, _, data = make_editor()
    editor.eval()
    together = [sample.output.pred_img for sample in editor.val_step(batch_of(data, [0, 1, 2]))]
    for index, image in enumerate(together):
        assert torch.equal(image, editor.val_step(batch_of(data, [index]))[0].output.pred_img)


def test_networks_of_all_stages_are_in_mmagics_registry():
    kinds = [
        {"type": "VQGAN", **VQGAN},
        {"type": "LatentIndexer", "scale": 8, **INDEXER},
        {"type": "GPEMSRPatchDiscriminator", "channels": [4, 4, 4, 4]},
    ]
    assert all(type(MODELS.build(kind)).__module__.startswith("gpemsr.archs.") for kind in kinds)


def test_evaluating_changes_no_weights(make_editor):
    editor, _, data = make_editor()
    before = weights(editor)
    editor.eval()
    editor.val_step(batch_of(data, [0]))
    assert moved(before, editor) == set()
