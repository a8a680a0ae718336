"""gpemsr-upscale on a GPU: the image of the CPU, in bf16 as good, with a smaller batch where memory is short."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from test_super_resolve import image

from gpemsr.checkpoints.shipped import weights_file
from gpemsr.data.degradations import degrade
from gpemsr.volume.perform import perform, super_resolve
from gpemsr.volume.planning import prepare

pytestmark = pytest.mark.cuda
UNIT = {"grey_range": (0.0, 1.0)}
MANY = 256  # tiles in a batch; what a batch of 32 takes is mostly weights and workspaces


@pytest.fixture
def unit(lr) -> np.ndarray:
    return lr.astype(np.float32) / 255


def test_a_gpu_is_taken_where_there_is_one(job, weights):
    run, needs = prepare(job(weights=weights, device=None, tile=28, overlap=12))
    assert run.network.device.type == "cuda" and run.plan.batch > 1
    assert needs.memory > 0 and needs.seconds > 0


def test_the_image_is_that_of_the_cpu(tiled, unit, weights):
    images = []
    for device in ("cpu", "cuda"):
        made = tiled(stack=unit, weights=weights, device=device, output=f"{device}.zarr", trust="full", batch=2, **UNIT)
        super_resolve(made)
        images.append(image(made))
    assert images[0].dtype == np.float32
    np.testing.assert_allclose(images[1], images[0], atol=1e-3)


def test_bf16_is_as_near_to_hr_as_fp32(job):
    hr = gaussian_filter(np.random.default_rng(0).standard_normal((3, 256, 256)), (0, 6, 6))
    hr = np.clip(0.5 + 0.2 * hr / hr.std(), 0, 1).astype(np.float32)
    low = np.stack([degrade(section, 8, "bicubic") for section in hr]).astype(np.float32)
    scores = []
    for precision in ("fp32", "bf16"):
        settings = {"weights": str(weights_file("fib25-x8")), "device": "cuda", "precision": precision, **UNIT}
        made = job(stack=low, output=f"{precision}.zarr", **settings)
        super_resolve(made)
        scores.append(-10 * np.log10(np.square(image(made) - hr).mean()))
    assert abs(scores[1] - scores[0]) < 0.05


def test_out_of_memory_makes_the_batch_smaller(tiled, unit, weights):
    wide = np.tile(unit[:1], (1, 10, 8))  # some 370 tiles of 28 x 28
    settings = {"stack": wide, "weights": weights, "device": "cuda", **UNIT}
    taken, needed = {}, {}
    for batch in (1, MANY):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        super_resolve(tiled(batch=batch, output=f"{batch}.zarr", **settings))
        taken[batch], needed[batch] = torch.cuda.max_memory_reserved(), torch.cuda.max_memory_allocated()
    assert needed[MANY] > taken[1]
    limit = (needed[MANY] + taken[1]) / 2  # enough for a batch of one, not for MANY
    run, _ = prepare(tiled(batch=MANY, output="short.zarr", **settings))
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(limit / torch.cuda.get_device_properties(0).total_memory)
    try:
        assert perform(run) is not None
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert run.plan.batch == MANY > run.batch >= 1
    np.testing.assert_allclose(image(run.job), image(tiled(output="1.zarr")), atol=1e-3)
