"""Held-back sections: super-resolved as the network does it, scored as BasicSR does."""

import numpy as np
import pytest
import torch
from tiny_stages import GPEMSR, tiny_network, write_sections

from gpemsr.benchmark.held_back import held_back_sections
from gpemsr.compat import importable_basicsr
from gpemsr.metrics.codebook_usage import CodebookUsage

with importable_basicsr():
    from basicsr.data import build_dataset
    from basicsr.metrics import calculate_metric
    from basicsr.utils import tensor2img
    from basicsr.utils.matlab_functions import imresize

SHAPE = (80, 112)  # 10 x 14 LR pixels, which the network pads to multiples of 4


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sections")
    write_sections(folder, shape=SHAPE)
    options = {
        "name": "V",
        "type": "SectionWindowTestDataset",
        "phase": "val",
        "scale": 8,
        "dataroot_gt": str(folder / "hr"),
        "dataroot_lq": str(folder / "lr_x8"),
        "io_backend": {"type": "disk"},
        "num_frame": GPEMSR["num_frame"],
    }
    return build_dataset(options)


@pytest.fixture(scope="module")
def net():
    return tiny_network(3).eval()


@pytest.fixture(scope="module")
def usage() -> CodebookUsage:
    return CodebookUsage(16, memory=10**9)


@pytest.fixture(scope="module")
def results(net, dataset, usage):
    return list(held_back_sections(net, dataset, usage))


def test_each_section_comes_once_with_its_images(results, dataset):
    assert [r.key for r in results] == [f"v/{z:08d}" for z in range(4)]
    for result, item in zip(results, dataset, strict=True):
        assert np.array_equal(result.gt, item["gt"][0]) and np.array_equal(result.lq, item["lq"][1, 0])
        assert result.sr.shape == result.bicubic.shape == SHAPE


def test_the_result_is_the_networks(results, dataset, net):
    for result, item in zip(results, dataset, strict=True):
        with torch.no_grad():
            expected = net(item["lq"][None])[0, 0].clamp(0, 1)
        assert np.allclose(result.sr, expected, atol=1e-5)


def test_scores_are_basicsrs(results):
    for result in results:
        gt = tensor2img(torch.from_numpy(result.gt)[None])
        for suffix, image in (("", result.sr), ("_bicubic", result.bicubic)):
            images = {"img": tensor2img(torch.from_numpy(image)[None]), "img2": gt}
            psnr = calculate_metric(images, {"type": "calculate_psnr", "crop_border": 0})
            assert result.scores[f"psnr{suffix}"] == pytest.approx(psnr, abs=1e-9)
            images = {name: image[..., None] for name, image in images.items()}  # BasicSR's SSIM wants channels
            ssim = calculate_metric(images, {"type": "calculate_ssim", "crop_border": 0})
            assert result.scores[f"ssim{suffix}"] == pytest.approx(ssim, abs=1e-9)


def test_bicubic_is_matlabs(results):
    for result in results:
        assert np.allclose(result.bicubic, imresize(result.lq, 8).clip(0, 1), atol=1e-6)


@pytest.mark.parametrize("code", [0, 3])
def test_index_accuracy_is_the_share_of_codes_found(dataset, code):
    net = tiny_network(3)
    torch.nn.init.zeros_(net.prior.classifier.weight)
    net.prior.classifier.bias.data = torch.eye(16)[code]  # always this code
    for result in held_back_sections(net.eval(), dataset, CodebookUsage(16)):
        codes = net.prior.targets(torch.from_numpy(result.gt)[None, None])
        assert codes.shape == (1, 5, 7)
        assert result.scores["index_accuracy"] == pytest.approx((codes == code).float().mean().item())


def test_usage_counts_the_codes_of_the_hr_sections(results, net, usage):
    codes = torch.cat([net.prior.targets(torch.from_numpy(r.gt)[None, None]).flatten() for r in results])
    assert torch.allclose(usage.counts, torch.bincount(codes, minlength=16).float(), atol=1e-3)
