"""Layers of napari as jobs, and their results as layers: the same structure lies at the same place."""

import numpy as np
import pytest

napari_layers = pytest.importorskip("napari.layers", reason="the extra 'napari' is not installed")
Image, Shapes = napari_layers.Image, napari_layers.Shapes

from scipy import ndimage  # noqa: E402

from gpemsr.data.volumes.reader import open_volume  # noqa: E402
from gpemsr.errors import InputError  # noqa: E402
from gpemsr.napari.layers import Part  # noqa: E402
from gpemsr.volume.perform import super_resolve  # noqa: E402

SPOT = (2, 17.0, 25.0)  # of the LR stack


@pytest.fixture
def options(tmp_path) -> str:
    (tmp_path / "bicubic.yml").write_text("network_g: {type: Bicubic, scale: 8}\n")
    return str(tmp_path / "bicubic.yml")


def spot_stack(dtype=np.uint8) -> np.ndarray:
    place = np.indices((5, 32, 40), float) - np.reshape(SPOT, (3, 1, 1, 1))
    return (20 + 200 * np.exp(-(place[1] ** 2 + place[2] ** 2) / 8)).astype(dtype)


def centre_in_world(layer, z: int) -> np.ndarray:
    """World coordinates of the bright spot's centre of mass in a section."""
    data = np.asarray(layer.data[0] if layer.multiscale else layer.data, float)
    section = np.maximum(data[z] - 40, 0)
    return np.array(layer.data_to_world((z, *ndimage.center_of_mass(section))))


def super_resolved(part, folder, options) -> list:
    job = part.job(folder, options=options, device="cpu", trust="basic")
    super_resolve(job)
    return [Image(data, **look) for data, look, _ in part.results(job.path)]


@pytest.mark.parametrize(
    "look",
    [
        {},
        {"scale": (40, 8, 8), "translate": (100, -50, 7), "units": "nm"},
        {"scale": (0.04, 0.008, 0.012), "units": "um"},
        {"scale": (4, 2, 2), "rotate": np.array([[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]]), "translate": (0, 5, 5)},
    ],
)
@pytest.mark.parametrize("corners", [None, [[9, 13], [9, 37], [29, 37], [29, 13]]])
def test_a_structure_is_at_the_same_place_in_both_layers(tmp_path, options, look, corners):
    lr = Image(spot_stack(), **look)
    shapes = None
    if corners is not None:
        corners = [lr.data_to_world((0, *corner)) for corner in corners]
        shapes = Shapes([np.array(corners)], units=lr.units)
    sr, residual = super_resolved(Part.of(lr, shapes), tmp_path, options)
    assert np.allclose(centre_in_world(sr, 2), centre_in_world(lr, 2), atol=0.02 * max(lr.scale[1:]))
    assert np.allclose(sr.scale[1:], lr.scale[1:] / 8) and np.allclose(residual.scale, lr.scale)
    assert sr.units == lr.units


def test_the_rectangle_holds_the_pixels_whose_centres_it_holds(tmp_path, options):
    lr = Image(spot_stack())
    part = Part.of(lr, Shapes([np.array([[0, 8.6, 12.4], [0, 8.6, 36.6], [0, 28.6, 36.6], [0, 28.6, 12.4]])]))
    assert (part.y, part.x) == ((9, 29), (13, 37))
    (sr, residual) = super_resolved(part, tmp_path, options)
    assert residual.data.shape == (5, 20, 24) and sr.data[0].shape == (5, 160, 192)


def test_a_section_alone_and_other_types_are_super_resolved(tmp_path, options):
    lr = Image(spot_stack(np.float32)[2], contrast_limits=(0, 250))
    sr, _ = super_resolved(Part.of(lr), tmp_path, options)
    assert sr.ndim == 2 and sr.data[0].shape == (256, 320) and sr.dtype == np.float32
    assert 200 < np.max(sr.data[0]) < 240


@pytest.mark.parametrize("dtype", ["float64", "int32", ">u2"])
def test_types_that_no_file_has_are_brought_to_one(tmp_path, dtype):
    part = Part.of(Image(spot_stack(np.dtype(dtype)), contrast_limits=(0, 250)))
    job = part.job(tmp_path)
    with open_volume(job.source) as volume:
        assert volume.dtype == ("uint16" if dtype == ">u2" else "float32")
        assert np.allclose(volume.present(0), part.layer.data[0], rtol=1e-6)
    assert job.grey_range == (None if dtype == ">u2" else (0, 250))


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (None, "no image layer"),
        (lambda: Image(np.zeros((8, 8, 3), np.uint8), rgb=True, name="rgb"), "rgb: expected grey values"),
        (lambda: Image(np.zeros((2, 3, 8, 8), np.uint8), name="time"), "time: expected grey values"),
        (lambda: Image(np.zeros((8, 8), np.uint8), name="a", affine=np.diag([2, 1, 1])), "a: has an affine"),
    ],
)
def test_layers_that_are_none_are_refused(layer, expected):
    with pytest.raises(InputError, match=expected):
        Part.of(layer and layer())


def test_a_shape_beside_the_image_is_refused():
    lr = Image(spot_stack())
    with pytest.raises(InputError, match="holds no pixel"):
        Part.of(lr, Shapes([np.array([[0, 100, 0], [0, 100, 9], [0, 110, 9], [0, 110, 0]])]))
    with pytest.raises(InputError, match="has no shape"):
        Part.of(lr, Shapes(ndim=3))
