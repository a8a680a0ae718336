"""The picture that compares LR, bicubic, GPEMSR and HR."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from gpemsr.benchmark.demo import plot_comparison
from gpemsr.benchmark.held_back import SectionResult
from gpemsr.benchmark.panels import most_detailed, scale_bar

SCORES = {"psnr": 21.5, "ssim": 0.5, "psnr_bicubic": 20.0, "ssim_bicubic": 0.4, "index_accuracy": 0.1}


def section(shape: tuple[int, int] = (96, 144)) -> SectionResult:
    gt = np.random.default_rng(0).random(shape, np.float32)
    lq = gt.reshape(shape[0] // 8, 8, shape[1] // 8, 8).mean((1, 3))
    flat = np.full_like(gt, gt.mean())
    return SectionResult("v/00000000", lq, flat, gt / 2, gt, SCORES)


def pixels(path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("L"), float)


@pytest.mark.parametrize("shape", [(96, 144), (64, 64)])
def test_panels_show_four_different_images(tmp_path, shape):
    plot_comparison(section(shape), tmp_path / "p.png")
    picture = pixels(tmp_path / "p.png")
    assert picture.shape[1] >= 1200
    lower = picture[len(picture) * 3 // 5 : len(picture) * 9 // 10]  # zooms
    centres = [part[:, part.shape[1] * 2 // 5 : part.shape[1] * 3 // 5] for part in np.array_split(lower, 4, axis=1)]
    deviations = [centre.std() for centre in centres]  # LR, flat, half the contrast, HR
    assert deviations[1] < 1 and deviations[2] == pytest.approx(deviations[3] / 2, rel=0.1)
    assert deviations[3] > deviations[0] > 5


def test_note_and_scale_bar_are_drawn(tmp_path):
    pictures = []
    for arguments in ((None, None), (4.0, None), (None, "EM data: mine")):
        plot_comparison(section((64, 64)), tmp_path / "p.png", *arguments)
        pictures.append(pixels(tmp_path / "p.png"))
    plain, bar, note = pictures
    assert not np.array_equal(plain, bar) and not np.array_equal(plain, note)


@pytest.mark.parametrize(("extent", "pixel_size", "label"), [(384, 4, "200 nm"), (1024, 8, "1 µm")])
def test_scale_bar_has_the_length_that_it_says(extent, pixel_size, label):
    figure = Figure()
    axis = figure.subplots()
    axis.imshow(np.zeros((extent, extent)))
    bar = axis.add_artist(scale_bar(pixel_size))
    figure.draw_without_rendering()
    number, unit = label.split()
    assert bar.info.value == float(number) and (bar.info.units == "nm") == (unit == "nm")
    assert bar.info.length_px * pixel_size == pytest.approx(float(number) * (1000 if unit == "µm" else 1))


def test_zoom_goes_where_most_detail_is():
    image = np.zeros((96, 144), np.float32)
    image[40:60, 100:120] = np.random.default_rng(0).random((20, 20))
    y, x = most_detailed(image, 32)
    assert y <= 40 and y + 32 >= 60 and x <= 100 and x + 32 >= 116
