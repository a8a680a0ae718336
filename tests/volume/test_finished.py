"""A volume that is complete: ``resume`` reads it, says that all is done, and refuses one made in another way."""

import pytest

from gpemsr.errors import InputError
from gpemsr.volume.perform import super_resolve


@pytest.mark.parametrize("output", ["sr.zarr", "sr.tif", "sr.ome.tif", "sr.h5"])
def test_a_finished_volume_is_read_and_reported_again(tiled, output):
    made = tiled(output=output)
    summary = super_resolve(made)
    before = {file: file.stat().st_mtime_ns for file in made.path.parent.rglob("*")}
    again = super_resolve(made, resume=True)
    assert again.items() >= summary.items()
    assert {file: file.stat().st_mtime_ns for file in before} == before and not made.folder.exists()


def test_a_part_that_comes_late_finds_all_done(tiled):
    super_resolve(tiled())
    assert super_resolve(tiled(), part=(2, 2)) is not None


def test_a_volume_made_in_another_way_is_refused_naming_what_differs(tiled, lr):
    super_resolve(tiled())
    with pytest.raises(InputError, match=r"sr.zarr: was begun with halo 4, not 0; expected the same, or remove it"):
        super_resolve(tiled(halo=0), resume=True)
    with pytest.raises(InputError, match="was begun with source"):
        super_resolve(tiled(stack=255 - lr), resume=True)


def test_a_damaged_shard_of_a_finished_volume_is_found(tiled):
    made = tiled()
    super_resolve(made)
    shard = next(file for file in (made.path / "0" / "c").rglob("*") if file.is_file())
    shard.write_bytes(shard.read_bytes()[:-5])
    with pytest.raises(InputError, match="cannot be read"):
        super_resolve(made, resume=True)


def test_a_volume_of_others_is_no_finished_run(job):
    made = job(output="sr.tif")
    made.path.write_bytes(b"II*\0 nothing of ours")
    with pytest.raises(InputError, match="not a volume of gpemsr-upscale; expected the name of a new one"):
        super_resolve(made, resume=True)
