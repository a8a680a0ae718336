"""Training steps in fp32, bf16 and fp16, on each device."""

import pytest
import torch
from fill import DEVICES
from stage_runs import moved, train, weights

from gpemsr.compat import importable_basicsr

with importable_basicsr():
    from basicsr.data import build_dataloader
    from basicsr.data.prefetch_dataloader import CUDAPrefetcher


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("stage", [1, 2, 3])
@pytest.mark.parametrize("device", DEVICES)
def test_a_stage_learns_in(make_stage, device, stage, precision):
    run = make_stage(stage, precision=precision)
    run.options["num_gpu"] = int(device == "cuda")
    model = run.model()
    used = []
    part = {1: "decoder.head", 2: "classifier", 3: "conv_first"}[stage]
    model.net_g.get_submodule(part).register_forward_hook(lambda module, args, output: used.append(output.dtype))
    before = weights(model.net_g)
    train(model, run.batches(), range(1, 5))
    assert moved(before, model.net_g)
    assert set(used) == {{"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]}
    assert all(p.dtype == torch.float32 for p in model.net_g.parameters())


@pytest.mark.cuda
def test_pinned_batches_reach_the_gpu(make_stage):
    dataset = make_stage(3).dataset("train")
    options = {**dataset.opt, "num_worker_per_gpu": 1, "pin_memory": True, "use_shuffle": False}
    loader = build_dataloader(dataset, options, num_gpu=1, dist=False)
    batch = CUDAPrefetcher(loader, {"num_gpu": 1}).next()
    assert {key: value.device.type for key, value in batch.items() if torch.is_tensor(value)} == {
        "lq": "cuda",
        "gt": "cuda",
    }


@pytest.mark.parametrize("device", DEVICES)
def test_a_resumed_training_goes_on_with_the_scale_of_the_losses(make_stage, device):
    run = make_stage(2, precision="fp16")
    run.options["num_gpu"] = int(device == "cuda")
    batches = run.batches()
    model = run.model()
    model.scaler.load_state_dict({**model.scaler.state_dict(), "scale": 512.0})
    train(model, batches, range(1, 3))
    model.save(0, 2)
    train(model, batches, range(3, 5))
    resumed = run.resumed(2)
    assert (resumed.scaler.get_scale(), resumed.scaler._get_growth_tracker()) == (512, 2)
    train(resumed, batches, range(3, 5))
    assert resumed.scaler.state_dict() == model.scaler.state_dict()
    for key, value in model.net_g.state_dict().items():
        torch.testing.assert_close(resumed.net_g.state_dict()[key], value, rtol=1e-4, atol=1e-6)
