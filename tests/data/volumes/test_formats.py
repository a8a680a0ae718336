"""Every format gives what was written into it; the table of docs/data.md says which types, axes and voxel sizes."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from volume_samples import EXTRA, SAMPLES, VOXEL_SIZE, write

from gpemsr.data.volumes.formats import create_volume, formats
from gpemsr.data.volumes.reader import open_volume
from gpemsr.data.volumes.volume import GREY_TYPES
from gpemsr.errors import InputError

DOC = Path(__file__).parents[3] / "docs" / "data.md"
WRITERS = sorted({suffix for form in formats() if form.create for suffix in form.suffixes})


def read(path, **options):
    with open_volume(path, **options) as volume:
        return volume.read(range(volume.shape[0])), volume.voxel_size


def stack_of(shape, dtype, seed=0):
    low, high = (0, 255) if np.dtype(dtype).itemsize == 1 else (0, 65535)
    values = np.random.default_rng(seed).integers(low, high + 1, shape)
    if np.dtype(dtype).kind == "i":
        values += np.iinfo(dtype).min
    values.flat[0], values.flat[-1] = values.min(), values.max()
    return (values / 7 if np.dtype(dtype).kind == "f" else values).astype(dtype)


def installed(name):
    if name in EXTRA:
        pytest.importorskip("ncempy.io", reason="the extra formats is not installed")
        pytest.importorskip("mrcfile", reason="the extra formats is not installed")


def proven(name, folder) -> tuple[str, ...]:
    """A row of the table, of what is written and read back the same."""
    sample, types, axes, sizes = SAMPLES[name], [], [], set()
    for dtype in GREY_TYPES:
        stack = stack_of((3, 6, 5), dtype)
        (folder / dtype).mkdir()
        try:
            found, size = read(write(name, folder / dtype, stack))
        except (InputError, KeyError, OSError, TypeError, ValueError):  # what the writer's library, or ours, refuses
            continue
        if found.dtype == stack.dtype and np.array_equal(found, stack):
            types.append(dtype)
            sizes.add(size)
    for order in sample.axes:
        (folder / order).mkdir()
        stack = stack_of((3, 6, 5), types[0])
        found, size = read(write(name, folder / order, stack, order))
        assert np.array_equal(found, stack), order
        axes.append(order)
        sizes.add(size)
    expected = pytest.approx(VOXEL_SIZE) if sample.voxel_size else None
    assert all(size == expected for size in sizes)
    return sample.label, ", ".join(types), ", ".join(axes), sample.voxel_size or "none", sample.numbers


@pytest.mark.parametrize("name", SAMPLES)
def test_the_table_of_the_guide_says_what_is_read(name, tmp_path):
    installed(name)
    row = f"| {' | '.join(proven(name, tmp_path))} |"
    assert row in DOC.read_text(encoding="utf-8"), f"docs/data.md lacks this row:\n{row}"


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from([name for name in SAMPLES if name not in EXTRA]),
    dtype=st.sampled_from(["uint8", "uint16"]),
    shape=st.tuples(st.integers(1, 5), st.integers(2, 11), st.integers(2, 11)),
    big=st.booleans(),
    data=st.data(),
)
def test_every_reader_gives_what_was_written(tmp_path_factory, name, dtype, shape, big, data):
    compression = data.draw(st.sampled_from(SAMPLES[name].compressions))
    stack = stack_of(shape, dtype, seed=data.draw(st.integers(0, 99)))
    stack[:, 0, 0] = stack[:, -1, -1] ^ 1  # no section of one value
    folder = tmp_path_factory.mktemp("a")
    found, _ = read(write(name, folder, stack, compression=compression, byteorder=">" if big else "<"))
    assert (found.dtype, found.shape) == (stack.dtype, stack.shape)
    np.testing.assert_array_equal(found, stack)


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    suffix=st.sampled_from(WRITERS),
    dtype=st.sampled_from(["uint8", "uint16"]),
    shape=st.tuples(st.integers(1, 5), st.integers(2, 11), st.integers(2, 11)),
)
def test_every_writer_is_read_back(tmp_path_factory, suffix, dtype, shape):
    stack = stack_of(shape, dtype)
    stack[:, 0, 0] = stack[:, -1, -1] ^ 1
    path = tmp_path_factory.mktemp("a") / f"a{suffix}"
    with create_volume(path, shape, stack.dtype, VOXEL_SIZE) as writer:
        for section in stack:
            writer.write(section)
    found, size = read(path)
    np.testing.assert_array_equal(found, stack)
    assert size == pytest.approx(VOXEL_SIZE)


@pytest.mark.parametrize("name", [name for name in SAMPLES if name not in ("png", "tif_folder")])
def test_a_rectangle_is_that_part_of_the_section(name, tmp_path):
    installed(name)
    stack = stack_of((3, 9, 7), "uint8")
    with open_volume(write(name, tmp_path, stack)) as volume:
        for z in (2, 0):
            np.testing.assert_array_equal(volume.region(z, slice(2, 8), slice(1, 6)), stack[z, 2:8, 1:6])


@pytest.mark.parametrize("name", EXTRA)
def test_a_format_of_the_extra_asks_for_it(name, tmp_path, monkeypatch):
    (tmp_path / f"a{SAMPLES[name].suffix}").write_bytes(bytes(2000))
    for module in ("mrcfile", "ncempy", "ncempy.io", "ncempy.io.dm", "ncempy.io.ser"):
        monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(InputError, match=r"pip install gpemsr\[formats\]"):
        open_volume(tmp_path / f"a{SAMPLES[name].suffix}")
