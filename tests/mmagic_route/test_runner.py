"""mmengine's Runner trains, saves, resumes and validates; weights go to BasicSR's route and come from it."""

import shutil

import pytest
import torch
from stage_runs import moved, weights
from tiny_mmagic import MessageHub


def scores(runner) -> dict[str, float]:
    hub = MessageHub.get_instance(runner.experiment_name)
    return {name: float(hub.get_scalar(f"val/{name}").current()) for name in ("psnr", "ssim")}


def files(folder) -> set[str]:
    return {file.name for file in folder.glob("*.pth")}


def test_it_trains_saves_and_continues_as_an_uninterrupted_run(stage, make_runner):
    whole = make_runner("whole")
    before = weights(whole.model.generator)
    whole.train()
    assert files(stage.folder / "whole") == {
        *("iter_2.pth", "iter_4.pth", "net_g_2.pth", "net_g_4.pth", "net_g_latest.pth"),
    }
    changed = moved(before, whole.model.generator)
    assert "conv_last.weight" in changed
    interrupted = stage.folder / "interrupted"
    interrupted.mkdir()
    shutil.copy(stage.folder / "whole" / "iter_2.pth", interrupted)
    (interrupted / "last_checkpoint").write_text(str(interrupted / "iter_2.pth"))
    resumed = make_runner("interrupted", resume=True)
    resumed.train()
    assert resumed.iter == 4 and files(interrupted) == {"iter_2.pth", "iter_4.pth", "net_g_4.pth", "net_g_latest.pth"}
    for key, value in whole.model.generator.state_dict().items():
        torch.testing.assert_close(resumed.model.generator.state_dict()[key], value, rtol=1e-4, atol=1e-6)


def test_its_weights_go_to_basicsr_and_score_the_same_there(stage, make_runner):
    runner = make_runner(train_cfg__val_interval=4)
    runner.train()
    path = stage.folder / "run" / "net_g_latest.pth"
    stage.options["path"] = {"pretrain_network_g": str(path), "strict_load_g": True}
    model = stage.model(is_train=False)
    assert moved(weights(runner.model.generator), model.net_g) == set()
    events = stage.validate(model)
    for name, value in scores(runner).items():
        assert events.Scalars(f"metrics/{name}")[0].value == pytest.approx(value, abs=1e-5)


def test_basicsrs_weights_score_the_same_here(stage, make_runner):
    model = stage.model()
    model.save(0, 3)
    events = stage.validate(model)
    runner = make_runner(
        model__pretrain_network_g=str(stage.folder / "models" / "net_g_3.pth"), model__pretrain_prior=None
    )
    runner.model.init_weights()
    assert moved(weights(model.net_g), runner.model.generator) == set()
    runner.val()
    for name, value in scores(runner).items():
        assert events.Scalars(f"metrics/{name}")[0].value == pytest.approx(value, abs=1e-5)


def test_averaged_weights_are_saved_next_to_the_others(stage, make_runner):
    hooks = [{"type": "EMAHook", "momentum": 0.5}, {"type": "BasicSRCheckpointHook"}]
    runner = make_runner(custom_hooks=hooks, train_cfg__max_iters=2)
    runner.train()
    saved = torch.load(stage.folder / "run" / "net_g_2.pth", weights_only=True)
    averaged = runner._hooks[[type(hook).__name__ for hook in runner._hooks].index("EMAHook")].ema_model.module
    for key, net in (("params", runner.model.generator), ("params_ema", averaged.generator)):
        assert saved[key].keys() == net.state_dict().keys()
        assert moved(saved[key], net) == set()
    assert not torch.equal(saved["params"]["conv_last.weight"], saved["params_ema"]["conv_last.weight"])


def test_mmagics_own_metrics_work_and_agree(stage, make_runner):
    for name in ("hr", "lr_x8"):  # of one volume: MMagic averages over sections, BasicSR over volumes first
        shutil.rmtree(stage.folder / name / "w")
    ours = {"psnr": {"type": "calculate_psnr", "crop_border": 0}, "ssim": {"type": "calculate_ssim", "crop_border": 0}}
    metrics = [{"type": "BasicSRMetrics", "metrics": ours}, {"type": "PSNR"}, {"type": "SSIM"}]
    runner = make_runner(val_evaluator={"type": "Evaluator", "metrics": metrics})
    runner.model.init_weights()
    runner.val()
    hub = MessageHub.get_instance(runner.experiment_name)
    for name, value in scores(runner).items():
        assert hub.get_scalar(f"val/{name.upper()}").current() == pytest.approx(value, abs=1e-4)
