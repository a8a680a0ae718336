"""What becomes of parts of an LR volume that were never written."""

from pathlib import Path

import numpy as np
import pytest
import zarr

from gpemsr.volume import Job, super_resolve
from gpemsr.volume.perform import BlocksFailed

BICUBIC = str(Path(__file__).resolve().parents[2] / "options/baselines/test_bicubic_x8.yml")


def volume_without(path: Path, sections: list[int]) -> str:
    """A Zarr volume (8, 16, 32) of which the right half of some sections is not there."""
    stack = np.random.default_rng(0).integers(40, 220, (8, 16, 32), dtype=np.uint8)
    array = zarr.create_array(path, shape=stack.shape, chunks=(1, 16, 16), dtype="u1", fill_value=0)
    array[:] = stack
    for section in sections:
        (path / "c" / str(section) / "0" / "1").unlink()
    return str(path)


def run(tmp_path: Path, sections: list[int], **options) -> np.ndarray:
    source = volume_without(tmp_path / "lr.zarr", sections)
    super_resolve(Job(source, str(tmp_path / "sr.zarr"), options=BICUBIC, voxel_size=(50, 32, 32), **options))
    return zarr.open_array(tmp_path / "sr.zarr" / "0")[:]


def test_a_section_that_lacks_a_part_is_replaced(tmp_path):
    sr = run(tmp_path, [2])
    np.testing.assert_array_equal(sr[2], sr[1])
    assert sr.min() > 0


def test_it_is_kept_black_on_request(tmp_path):
    sr = run(tmp_path, [2], on_missing="keep")
    assert (sr[2, :, 192:] == 0).all()
    assert sr[2, :, :64].min() > 0


def test_too_many_such_sections_are_named(tmp_path):
    with pytest.raises(BlocksFailed) as failed:
        run(tmp_path, [1, 2, 3, 4, 5])
    assert "missing or blank" in str(failed.value.errors[0])
    assert not (tmp_path / "sr.zarr").exists()
