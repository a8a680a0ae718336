"""The pictures: which sections they show, and what they hold."""

import numpy as np
import pytest
import tifffile
from tiny_benchmark import row, write_benchmark

from gpemsr.benchmark.report.plots import colours, plot_bars, plot_time
from gpemsr.benchmark.report.report import draw_pictures
from gpemsr.benchmark.report.results import load_benchmark
from gpemsr.benchmark.report.scores import Scores
from gpemsr.benchmark.report.sections import choose_sections, overlay, plot_crops, view_of


def method(name: str, *psnr: float | None) -> dict:
    return row(name, scores={"psnr": list(psnr)}, sections=len(psnr))


def scores_of(folder, rows: list[dict] | None = None, **changes) -> Scores:
    return Scores(load_benchmark(write_benchmark(folder, rows, **changes)))


def choice_of(folder, *rows: dict):
    return choose_sections(scores_of(folder, list(rows), sections=len(rows[0]["scores"]["psnr"])))


def test_sections_are_chosen_by_the_gain_of_the_first_trained_method(tmp_path):
    found, rule = choice_of(
        tmp_path, method("Bicubic", 20, 30, 25), method("First", 21, 35, 22), method("Second", 9, 1, 40)
    )
    assert found == {"best": 1, "median": 0, "worst": 2}
    assert rule == "PSNR gain of First over Bicubic"


def test_sections_are_chosen_by_psnr_without_bicubic(tmp_path):
    found, rule = choice_of(tmp_path, method("First", 21, 35, 22, 20), method("Second", 9, 1, 40, 3))
    assert found == {"best": 1, "median": 2, "worst": 3}
    assert rule == "PSNR of First"


def test_section_without_psnr_is_not_chosen(tmp_path):
    found, _ = choice_of(tmp_path, method("Bicubic", 20, None, 20), method("First", 21, 99, 22))
    assert found == {"best": 2, "worst": 0}


def test_rule_and_section_are_in_the_caption(tmp_path):
    scores = scores_of(tmp_path)
    captions = {picture.name: picture.caption for picture in draw_pictures(scores)}
    chosen, _ = choose_sections(scores)
    for rank, index in chosen.items():
        assert f"tiny/{index:08d}" in captions[f"section_{rank}.png"]
        assert "PSNR gain of GPEMSR over Bicubic" in captions[f"section_{rank}.png"]


@pytest.mark.parametrize("shape", [(500, 300), (240, 240), (64, 300), (9, 9)])
def test_zoom_lies_in_the_crop_off_the_border_of_the_section(shape):
    image = np.random.default_rng(0).integers(0, 9, shape).astype(np.uint8)
    image[-20:, :20] = np.random.default_rng(0).integers(0, 256, image[-20:, :20].shape)
    crop, detail = view_of(image)
    side, zoom = min(240, *shape), max(2, min(240, *shape) // 4)
    assert image[crop].shape == (side, side) and image[detail].shape == (zoom, zoom)
    for outer, inner, extent in zip(crop, detail, shape, strict=True):
        assert outer.start <= inner.start and inner.stop <= outer.stop
        assert zoom // 2 <= inner.start <= extent - zoom - zoom // 2


def test_zoom_shows_the_strongest_gradients():
    image = np.zeros((500, 300), np.uint8)
    image[410:430, 60:80] = np.random.default_rng(0).integers(0, 256, (20, 20))
    assert image[view_of(image)[1]].astype(int).sum() == image.astype(int).sum()


def test_crops_show_lr_methods_and_hr_with_one_error_scale(tmp_path):
    scores = scores_of(tmp_path)
    hr, lr = (tifffile.imread(tmp_path / f"{name}.tif") for name in ("hr", "lr"))
    images = {r.slug: tifffile.imread(tmp_path / "rows" / r.slug / "sr.tif")[1] for r in scores.benchmark.scored}
    figure = plot_crops(scores, 1, hr[1], lr[1], images)
    drawn = [axis.images[0] for axis in figure.axes if axis.images]
    greys = [image for image in drawn if image.get_cmap().name == "gray"]
    errors = [image for image in drawn if image.get_cmap().name == "magma"]
    assert len(greys) == 2 * (2 + len(images)) and len(errors) == len(images)
    assert len({image.get_clim() for image in greys}) == len({image.get_clim() for image in errors}) == 1
    _, zoom = view_of(hr[1])
    for image, slug in zip(errors, images, strict=True):
        expected = np.abs(images[slug].astype(int) - hr[1])[zoom]
        assert np.array_equal(image.get_array(), expected)


def test_ten_methods_are_wrapped_into_blocks(tmp_path):
    rows = [row(f"Method {index}", level=index / 10, segmentation={}) for index in range(10)]
    sizes = {picture.name: picture.figure.get_size_inches() for picture in draw_pictures(scores_of(tmp_path, rows))}
    width, height = sizes["section_median.png"]
    assert 6 <= width <= 13 and height > width


def test_overlay_colours_neurons_and_leaves_the_rest_grey():
    ids = np.array([[0, 3], [3, 4]], np.uint32)
    grey = np.array([[10, 20], [20, 20]], np.uint8)
    found = overlay(ids, grey)
    assert np.allclose(found[0, 0], 10 / 255, atol=0.01)
    assert np.array_equal(found[0, 1], found[1, 0]) and not np.allclose(found[0, 1], found[1, 1])
    assert np.array_equal(found, overlay(ids, grey))


def test_each_row_has_its_own_colour(tmp_path):
    rows = [row(f"Method {index}") for index in range(10)]
    assert len(set(colours(scores_of(tmp_path, rows).benchmark.scored).values())) == 10


def test_bars_start_at_zero_and_are_means_but_of_psnr_gains_over_bicubic(tmp_path):
    scores = scores_of(tmp_path)
    for name, axis in zip(("psnr", "ssim"), plot_bars(scores).axes, strict=False):
        means = scores.of(name).mean().to_numpy()
        assert scores.benchmark.scored[0].slug == "bicubic"
        expected = means - means[0] if name == "psnr" else means
        assert [bar.get_width() for bar in axis.patches] == pytest.approx(expected)
        assert [bar.get_x() for bar in axis.patches] == [0] * len(means)
        assert ("above bicubic" in axis.get_title()) == (name == "psnr")


def test_bars_are_the_means_without_bicubic(tmp_path):
    axis = plot_bars(scores_of(tmp_path, [method("A", 20, 22, 24), method("B", 19, 19, 22)])).axes[0]
    assert [bar.get_width() for bar in axis.patches] == pytest.approx([22, 20])
    assert axis.get_title() == "PSNR (dB), higher is better"


def test_names_of_points_do_not_overlap_and_stay_inside(tmp_path):
    close = [row(f"A rather long name {index}", level=index / 50, seconds=[0.5] * 3) for index in range(8)]
    figure = plot_time(scores_of(tmp_path, close))
    figure.draw_without_rendering()
    frame = figure.axes[0].get_window_extent()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts if text.get_text()]
    assert len(boxes) == 8
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 for box in boxes)
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
