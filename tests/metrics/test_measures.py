"""Measures of a section: the libraries' figures, better and worse told apart, and what is missing said in one line."""

import json
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
import torchvision

from gpemsr.compat import importable_basicsr
from gpemsr.data.degradations import degrade
from gpemsr.data.grey_values import eight_bits
from gpemsr.errors import InputError
from gpemsr.metrics import measures
from gpemsr.metrics.measures import MEASURES, measure_section, missing_measures
from gpemsr.metrics.psnr_ssim import psnr_ssim

with importable_basicsr():
    from basicsr.utils.matlab_functions import imresize

SHAPE = (168, 176)
NAMES = ["psnr", "ssim", "ms_ssim", "gmsd", "haarpsi", "lpips", "frc_nm", "lr_rmse"]


def textured(shape=SHAPE) -> np.ndarray:
    image = cv2.GaussianBlur(np.random.default_rng(0).random(shape, np.float32), (0, 0), 2)
    return cv2.normalize(image, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def sections(shape=SHAPE, scale=8) -> dict[str, np.ndarray]:
    """A section, its LR section, and three tries at it, from the best to the worst."""
    gt = textured(shape)
    lq = eight_bits(degrade(gt / np.float32(255), scale, "bicubic"))
    return {
        "gt": gt,
        "lq": lq,
        "near": eight_bits(np.clip(gt / 255 + np.random.default_rng(1).normal(0, 0.01, shape), 0, 1)),
        "blurred": cv2.GaussianBlur(gt, (0, 0), 2),
        "bicubic": eight_bits(imresize(lq / np.float32(255), scale)),
    }


@pytest.fixture(scope="module")
def made():
    return sections()


@pytest.fixture(autouse=True)
def empty_hub(tmp_path, monkeypatch):
    """A machine without downloaded weights."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    measures._lpips_network.cache_clear()
    yield tmp_path / "hub" / "checkpoints" / "alexnet-owt-7be5be79.pth"
    measures._lpips_network.cache_clear()


@pytest.fixture
def alexnet(empty_hub, monkeypatch):
    """Random weights in the place of AlexNet's, so that LPIPS computes."""

    def random_alexnet(**_):
        with torch.device("meta"):
            features = torchvision.models.AlexNet().features
        features.to_empty(device="cpu")
        generator = torch.Generator().manual_seed(0)
        for weight in features.parameters():
            torch.nn.init.normal_(weight, std=0.05, generator=generator)
        return SimpleNamespace(features=features)

    monkeypatch.setattr(torchvision.models, "alexnet", random_alexnet)
    empty_hub.parent.mkdir(parents=True)
    empty_hub.touch()


def test_the_table_names_each_measure_in_order(made):
    assert list(MEASURES) == NAMES == list(measure_section(made["near"], made["gt"], made["lq"], 8, 10.0))
    assert [name for name, measure in MEASURES.items() if measure.higher_is_better] == [
        "psnr",
        "ssim",
        "ms_ssim",
        "haarpsi",
    ]


def test_each_measure_separates_better_from_worse(made, alexnet):
    ranks = [measure_section(made[name], made["gt"], made["lq"], 8, 10.0) for name in ("near", "blurred", "bicubic")]
    for name, measure in MEASURES.items():
        if name == "lr_rmse":  # bicubic of the LR section agrees with it, however blurred it is
            continue
        values = [figures[name] for figures in ranks]
        assert values == sorted(values, reverse=measure.higher_is_better), name
        assert len(set(values)) == 3, name


def test_equal_sections_get_the_best_figures(made, alexnet):
    figures = measure_section(made["gt"], made["gt"], made["lq"], 8, 10.0)
    assert figures.pop("psnr") is None  # infinite
    assert figures == pytest.approx(
        {"ssim": 1, "ms_ssim": 1, "gmsd": 0, "haarpsi": 1, "lpips": 0, "frc_nm": 20, "lr_rmse": 0}, abs=1e-6
    )
    json.dumps(figures, allow_nan=False)


def test_psnr_and_ssim_are_those_of_the_held_back_sections(made):
    figures = measure_section(made["bicubic"], made["gt"], made["lq"], 8, 10.0)
    expected = psnr_ssim(made["bicubic"], made["gt"])
    assert {name: figures[name] for name in expected} == expected


@pytest.mark.parametrize("scale", [8, 16])
def test_lr_consistency_is_in_grey_levels(scale):
    made = sections((176, 192), scale)
    darker = made["gt"] // 2
    lq = eight_bits(degrade(darker / np.float32(255), scale, "bicubic"))
    assert measure_section(darker, made["gt"], lq, scale, 10.0)["lr_rmse"] == 0
    shifted = np.where(np.indices(lq.shape).sum(0) % 2, lq + 3, lq - 3).astype(np.uint8)
    assert measure_section(darker, made["gt"], shifted, scale, 10.0)["lr_rmse"] == pytest.approx(3)


def test_lr_consistency_is_with_lr_as_it_was_made(made):
    lq = eight_bits(degrade(made["gt"] / np.float32(255), 8, "area"))
    assert measure_section(made["gt"], made["gt"], lq, 8, 10.0, "area")["lr_rmse"] == 0
    assert measure_section(made["gt"], made["gt"], lq, 8, 10.0)["lr_rmse"] > 0
    assert measure_section(made["gt"], made["gt"], lq, 8, 10.0, "em")["lr_rmse"] is None
    assert "noise" in missing_measures(kind="em")["lr_rmse"]
    assert "not made from HR" in missing_measures(kind="real")["lr_rmse"]


def test_lpips_without_weights_is_missing_and_says_where_they_belong(made, empty_hub):
    (reason,) = missing_measures().values()
    assert "alexnet-owt-7be5be79.pth" in reason and str(empty_hub) in reason and "\n" not in reason
    assert measure_section(made["near"], made["gt"], made["lq"], 8, 10.0)["lpips"] is None


def test_lpips_with_weights_is_not_missing(alexnet):
    assert missing_measures() == {}


def test_absent_lpips_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "lpips", None)
    assert missing_measures() == {"lpips": "needs the package lpips: pip install gpemsr[benchmark]"}


def test_small_sections_have_no_ms_ssim_and_say_why(alexnet):
    made = sections((152, 176))
    figures = measure_section(made["near"], made["gt"], made["lq"], 8, 10.0)
    assert [name for name, value in figures.items() if value is None] == ["ms_ssim"]
    assert missing_measures((152, 176)) == {
        "ms_ssim": "needs sections of at least 161 x 161 pixels, these have 152 x 176"
    }


def test_the_least_sides_are_the_libraries(alexnet):
    for name, side in measures.SHORTEST_SIDE.items():
        assert name not in missing_measures((side, side)) and name in missing_measures((side - 1, side))
    made = sections((168, 168))
    crop = np.s_[:161, :161]
    piq = pytest.importorskip("piq")
    x, y = (torch.from_numpy(made[name][crop] / 255)[None, None] for name in ("near", "gt"))
    assert 0 < piq.multi_scale_ssim(x, y) < 1
    assert 0 < piq.haarpsi(x[..., :16, :16], y[..., :16, :16]) < 1
    assert measures._lpips(x[..., :31, :31], y[..., :31, :31]) > 0


def test_absent_piq_is_named_in_one_line(made, monkeypatch):
    monkeypatch.setitem(sys.modules, "piq", None)
    for call in (missing_measures, lambda: measure_section(made["gt"], made["gt"], made["lq"], 8, 10.0)):
        with pytest.raises(InputError, match=r"measuring sections needs piq .*: pip install gpemsr\[benchmark\]$"):
            call()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sr": np.zeros((8, 8), np.uint8)}, "sr and gt of one size"),
        ({"lq": np.zeros((20, 22), np.uint8)}, "8 times that of lq"),
        ({"sr": np.zeros(SHAPE, np.float32)}, "float32, uint8, uint8: expected uint8"),
    ],
)
def test_sections_of_other_sizes_or_types_are_refused(made, change, message):
    images = {"sr": made["gt"], "gt": made["gt"], "lq": made["lq"], **change}
    with pytest.raises(ValueError, match=message):
        measure_section(**images, scale=8, pixel_size=10.0)
