"""OME-Zarr images: where their levels lie, whole shards, and that other libraries read them."""

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from gpemsr.data.volumes.ome_zarr_writer import ImageLayout, ImageLevel, create_image, pyramid_factors, shrink
from gpemsr.data.volumes.reader import open_volume

STACK = np.random.default_rng(0).integers(1, 255, (5, 40, 70), np.uint8)


def layout_of(version: str = "0.5", **changes) -> ImageLayout:
    settings = {
        "shape": STACK.shape,
        "dtype": "uint8",
        "voxel_size": (40.0, 4.0, 4.0),
        "translation": (0.0, -14.0, -14.0),
        "chunk": (2, 16, 16),
        "shard": (4, 32, 32),
        "factors": ((1, 1, 1), (1, 2, 2)),
        "version": version,
    }
    return ImageLayout(**settings | changes)


def written(path, version: str = "0.5"):
    layout = layout_of(version)
    create_image(path, layout, "sr", {})
    for level, image in enumerate((STACK, shrink(STACK, (1, 2, 2)))):
        for shard in range(layout.shards(level)):
            where = layout.region(level, shard)
            ImageLevel(path, layout, level).write(tuple(s.start for s in where), image[where])
    return path


@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_our_reader_reads_it_back(tmp_path, version):
    with open_volume(written(tmp_path / "a.zarr", version)) as volume:
        np.testing.assert_array_equal(volume.read(range(5)), STACK)
        assert volume.voxel_size == (40, 4, 4)


@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_other_libraries_read_it(tmp_path, version):
    ngff_zarr, tensorstore = pytest.importorskip("ngff_zarr"), pytest.importorskip("tensorstore")
    reader = pytest.importorskip("ome_zarr.reader")
    io = pytest.importorskip("ome_zarr.io")
    path = written(tmp_path / "a.zarr", version)
    (node,) = reader.Reader(io.parse_url(path))()
    np.testing.assert_array_equal(np.asarray(node.data[0]), STACK)
    assert node.metadata["coordinateTransformations"][1][1]["translation"] == [0, -12, -12]
    image = ngff_zarr.from_ngff_zarr(str(path)).images[0]
    assert image.scale == {"z": 40, "y": 4, "x": 4} and image.translation == {"z": 0, "y": -14, "x": -14}
    driver = "zarr3" if version == "0.5" else "zarr"
    spec = {"driver": driver, "kvstore": {"driver": "file", "path": str(path / "1")}}
    np.testing.assert_array_equal(tensorstore.open(spec).result().read().result(), shrink(STACK, (1, 2, 2)))


def test_levels_lie_on_each_other():
    """The outer edge of the first voxel is the same in each level."""
    layout = layout_of(factors=((1, 1, 1), (1, 2, 2), (2, 8, 4)))
    for item in layout.metadata("sr")["ome"]["multiscales"][0]["datasets"]:
        scale, shift = (item["coordinateTransformations"][k][name] for k, name in ((0, "scale"), (1, "translation")))
        assert [origin - size / 2 for origin, size in zip(shift, scale, strict=True)] == [-20, -16, -16]


def test_levels_halve_y_and_x_until_voxels_are_nearly_cubes():
    assert pyramid_factors((100, 4096, 4096), (40, 4, 4)) == (
        (1, 1, 1),
        (1, 2, 2),
        (1, 4, 4),
        (1, 8, 8),
        (2, 16, 16),
    )
    assert pyramid_factors((1, 600, 100), (4, 4, 4)) == ((1, 1, 1), (1, 2, 2), (1, 4, 4))
    assert pyramid_factors((8, 200, 200), (4, 4, 4)) == ((1, 1, 1),)


@settings(deadline=None, max_examples=30)
@given(st.tuples(*[st.integers(1, 9)] * 3), st.sampled_from([(1, 2, 2), (2, 2, 2)]))
def test_a_coarser_voxel_is_the_mean_of_finer_ones(shape, factors):
    image = np.random.default_rng(0).integers(0, 60000, shape, np.uint16)
    result = shrink(image, factors)
    assert result.dtype == image.dtype and result.shape == tuple(
        -(-n // f) for n, f in zip(shape, factors, strict=True)
    )
    z, y, x = (slice(0, f) for f in factors)
    if all(n >= f for n, f in zip(shape, factors, strict=True)):
        assert abs(int(result[0, 0, 0]) - image[z, y, x].mean()) <= 0.5


def test_a_region_is_written_alone_and_to_the_same_bytes(tmp_path):
    layout = layout_of()
    create_image(tmp_path / "a.zarr", layout, "sr", {})
    level = ImageLevel(tmp_path / "a.zarr", layout, 0)
    (first,) = level.write((0, 0, 32), STACK[:4, :32, 32:64])
    before = first.read_bytes()
    first.write_bytes(b"damaged")
    first.with_name("1.0123.partial").write_bytes(b"left by a killed writer")
    assert level.write((0, 0, 32), STACK[:4, :32, 32:64]) == [first]
    assert first.read_bytes() == before and [file.name for file in first.parent.iterdir()] == ["1"]
    assert zarr.open_array(tmp_path / "a.zarr" / "0")[:, :32, :32].max() == 0
