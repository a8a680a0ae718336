"""A whole volume super-resolved: as the network's forward, tile by tile, resumed, in parts, with its metadata."""

import json
import shutil

import numpy as np
import pytest
import tifffile
import torch
import zarr

from gpemsr.data.grey_values import GreyRange
from gpemsr.data.volumes.hdf5_writer import Hdf5Writer
from gpemsr.data.volumes.ome_zarr_writer import ImageLayout, ImageLevel, create_image
from gpemsr.data.volumes.reader import open_volume
from gpemsr.errors import InputError
from gpemsr.files import sha256
from gpemsr.volume import probe as probe_module
from gpemsr.volume import run as run_module
from gpemsr.volume.network import VolumeNetwork
from gpemsr.volume.perform import BlocksFailed, super_resolve
from gpemsr.volume.planning import prepare
from gpemsr.volume.preflight import Cost


def image(job, level: int = 0) -> np.ndarray:
    return zarr.open_array(f"{job.output}/{level}", mode="r")[:]


def contents(folder) -> dict[str, str]:
    return {str(file.relative_to(folder)): sha256(file) for file in sorted(folder.rglob("*")) if file.is_file()}


def enlarged(job, lr: np.ndarray, grey_range: GreyRange | None = None) -> np.ndarray:
    network, grey_range = VolumeNetwork(job.options, job.weights), grey_range or GreyRange.full(lr.dtype)
    sections = torch.from_numpy(grey_range.to_unit(lr))[:, None, None, None]
    results = [network.reconstruct(network.encode_sections(section))[0, 0].numpy() for section in sections]
    return grey_range.from_unit(np.stack(results), lr.dtype)


def test_whole_sections_are_as_the_windowed_forward(job, lr, weights):
    made = job(weights=weights)
    assert super_resolve(made)["seams"] is None
    network = VolumeNetwork(None, weights)
    padded = torch.from_numpy(GreyRange.full(lr.dtype).to_unit(lr))[[0, 0, 1, 2, 3, 4, 4], None]
    for z in range(5):
        window = network.encode_sections(padded[None, z : z + 3])
        expected = GreyRange.full(lr.dtype).from_unit(network.reconstruct(window)[0, 0].numpy(), np.uint8)
        assert np.abs(image(made)[z].astype(int) - expected).max() <= 1
    assert image(made).shape == (5, 240, 336)


def test_tiles_are_as_whole_sections_where_the_halo_suffices(tiled, lr):
    made = tiled()
    summary = super_resolve(made)
    np.testing.assert_array_equal(image(made), enlarged(made, lr))
    assert summary["seams"] == pytest.approx(1, abs=0.1)


def test_a_network_that_learns_goes_through_tiles_in_batches(tiled, lr, weights):
    one, two = (tiled(stack=lr[:1, :20], weights=weights, output=f"{n}.zarr", batch=n) for n in (1, 2))
    super_resolve(one), super_resolve(two)
    assert np.abs(image(one).astype(int) - image(two)).max() <= 1


def test_a_region_is_cut_and_placed(job, lr):
    made = job(region=((1, 4), (None, 20), (8, None)))
    super_resolve(made)
    np.testing.assert_array_equal(image(made), enlarged(made, lr[1:4, :20, 8:]))
    group = zarr.open_group(made.output, mode="r")
    steps = group.attrs["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    assert steps[0]["scale"] == [40, 10, 10]
    assert steps[1]["translation"] == [40, -35, 8 * 80 - 35]


def test_the_image_says_how_it_was_made(job, weights):
    made = job(weights=weights)
    super_resolve(made)
    note = zarr.open_group(made.output, mode="r").attrs["gpemsr"]
    assert note["content"] == "super-resolved" and note["weights"] == sha256(made.path.parent / "net.pth")
    assert note["network"]["type"] == "GPEMSR" and note["source_file"] == "lr.tif"
    assert not made.folder.exists() and "begun" in (made.path.parent / "sr.zarr.log").read_text()


def test_dtype_and_grey_values_are_kept(job, lr):
    wide = lr.astype(np.uint16) * 257
    made = job(wide)
    super_resolve(made)
    assert image(made).dtype == np.uint16
    np.testing.assert_array_equal(image(made), enlarged(made, wide))


def test_black_sections_are_replaced_and_listed(job, lr):
    black = lr.copy()
    black[2] = 0
    made = job(black)
    assert super_resolve(made)["replaced_sections"] == [{"section": 2, "replaced_by": 1}]
    np.testing.assert_array_equal(image(made)[2], image(made)[1])


def test_blocks_of_one_grey_value_and_without_tissue_are_skipped(tiled, lr, tmp_path):
    lr[:, :16] = 7
    mask = np.zeros(lr.shape, np.uint8)
    mask[2:] = 1
    tifffile.imwrite(tmp_path / "mask.tif", mask, photometric="minisblack")
    made = tiled(stack=lr, mask="mask.tif", memory=1)
    summary = super_resolve(made)
    assert summary["blocks_without_tissue"] > 0 and summary["constant_blocks"]
    assert (image(made)[:2] == 0).all() and (image(made)[2:, :128] == 7).all()
    assert image(made)[2:, 130:].std() > 0


def test_a_stopped_run_goes_on_with_the_same_bytes(tiled, monkeypatch):
    whole, stopped = tiled(output="a.zarr"), tiled()
    super_resolve(whole)
    run, _ = prepare(stopped)
    done, original = [], run_module.Run.do

    def stop_after_one(self, task, advance=None):
        if done:
            raise KeyboardInterrupt
        original(self, task)
        done.append(task)

    monkeypatch.setattr(run_module.Run, "do", stop_after_one)
    with pytest.raises(KeyboardInterrupt):
        super_resolve(stopped)
    again = []
    monkeypatch.setattr(run_module.Run, "do", lambda self, task, advance: (again.append(task), original(self, task)))
    super_resolve(stopped, resume=True)
    assert done[0] not in again and len(set(again)) == len(again)
    for level in ("0", "1"):
        assert contents(whole.path / level) == contents(stopped.path / level)
    assert len(run.plan.wanted) == len([task for task in again if task[0] == 0]) + 1


def stopped_before_the_pyramid(job, monkeypatch):
    def fail(self, task, advance=None):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run_module.Run, "_shrink", fail)
        with pytest.raises(KeyboardInterrupt):
            super_resolve(job)


def test_a_truncated_shard_is_found_and_done_again(tiled, monkeypatch):
    whole, damaged = tiled(output="a.zarr"), tiled()
    super_resolve(whole)
    stopped_before_the_pyramid(damaged, monkeypatch)
    shard = next(file for file in (damaged.folder / "image.zarr" / "0" / "c").rglob("*") if file.is_file())
    shard.write_bytes(shard.read_bytes()[:-5])
    super_resolve(damaged, resume=True)
    assert "is not what was written" in (damaged.path.parent / "sr.zarr.log").read_text()
    assert contents(whole.path / "0") == contents(damaged.path / "0")


def test_another_plan_is_refused_naming_what_differs(tiled, monkeypatch):
    stopped_before_the_pyramid(tiled(), monkeypatch)
    with pytest.raises(InputError, match="was begun with overlap 12, not 8"):
        super_resolve(tiled(overlap=8), resume=True)
    with pytest.raises(InputError, match="a run that has not ended; --resume goes on with it"):
        super_resolve(tiled())


def test_a_run_takes_the_sizes_of_its_plan(job, tiled, monkeypatch):
    stopped_before_the_pyramid(tiled(), monkeypatch)
    assert super_resolve(job(), resume=True) is not None


def test_parts_give_the_bytes_of_one_run(tiled):
    whole, parts = tiled(output="a.zarr"), tiled()
    super_resolve(whole)
    assert super_resolve(parts, part=(1, 2)) is None
    assert not parts.path.exists()
    assert super_resolve(parts, part=(2, 2)) is not None
    for level in ("0", "1"):
        assert contents(whole.path / level) == contents(parts.path / level)


def test_a_failing_block_is_named_and_the_others_are_done(tiled, monkeypatch):
    made = tiled()
    original = run_module.Run._super_resolve

    def fail(self, task, advance):
        if task[1] == 1:
            raise InputError("section 2 is damaged")
        return original(self, task, advance)

    with monkeypatch.context() as patch:
        patch.setattr(run_module.Run, "_super_resolve", fail)
        with pytest.raises(BlocksFailed, match=r"block 1, LR region \S+: section 2 is damaged"):
            super_resolve(made)
    assert not made.path.exists()
    run, _ = prepare(made, resume=True)
    assert run.tasks(0) == [(0, 1)]
    assert super_resolve(made, resume=True) is not None


def test_a_full_disk_ends_in_one_line_and_the_run_goes_on(tiled, monkeypatch):
    made = tiled()
    original = run_module.ImageLevel.write

    def full(self, start, data):
        if start[0] > 0:
            raise OSError(28, "No space left on device")
        return original(self, start, data)

    with monkeypatch.context() as patch:
        patch.setattr(run_module.ImageLevel, "write", full)
        with pytest.raises(InputError, match="the disk is full; make room, then go on with --resume"):
            super_resolve(made)
    assert super_resolve(made, resume=True) is not None


def test_out_of_memory_makes_the_batch_smaller_not_the_tile(tiled, monkeypatch):
    made = tiled(batch=4)
    original = VolumeNetwork.encode_sections

    def encode(self, lq):
        if len(lq) > 1:
            raise torch.OutOfMemoryError
        return original(self, lq)

    monkeypatch.setattr(VolumeNetwork, "encode_sections", encode)
    assert super_resolve(made) is not None
    with monkeypatch.context() as patch, pytest.raises(BlocksFailed, match="out of memory with one tile of 28"):
        patch.setattr(VolumeNetwork, "encode_sections", lambda self, lq: encode(self, torch.cat([lq, lq])))
        patch.setattr(probe_module, "probe", lambda network: Cost(0, 1, 0))
        super_resolve(tiled(output="b.zarr"))


@pytest.mark.parametrize(
    ("source", "dtype", "shape"),
    [
        ("v.tif", "uint8", (1, 2, 3)),
        ("v.h5", "uint16", (2, 5, 9)),
        ("v.zarr", "int16", (3, 9, 2)),
        ("v.zarr", "float32", (2, 3, 4)),
    ],
)
def test_every_writer_keeps_what_every_reader_reads(job, tmp_path, source, dtype, shape):
    stack = np.random.default_rng(0).integers(0, 120, shape).astype(dtype)
    voxel_size, translation = (40.0, 8.0, 16.0), (400.0, 80.0, -160.0)
    if source.endswith("tif"):
        tifffile.imwrite(tmp_path / source, stack, photometric="minisblack")
        translation = (0.0, 0.0, 0.0)
    elif source.endswith("h5"):
        with Hdf5Writer(tmp_path / source, shape, dtype, voxel_size, translation=translation) as writer:
            for section in stack:
                writer.write(section)
    else:
        layout = ImageLayout(shape, dtype, voxel_size, translation, shape, shape)
        create_image(tmp_path / source, layout, source, {})
        ImageLevel(tmp_path / source, layout, 0).write((0, 0, 0), stack)
    for output in ("sr.zarr", "sr.tif", "sr.ome.tif", "sr.h5"):
        made = job(source=source, output=output, voxel_size=voxel_size, grey_range=(0.0, 120.0))
        super_resolve(made)
        with open_volume(made.path) as volume:
            np.testing.assert_array_equal(volume.read(range(shape[0])), enlarged(made, stack, GreyRange(0, 120)))
            assert volume.dtype == dtype
            assert volume.voxel_size == pytest.approx((40, 1, 2))
            if not output.endswith("tif"):
                assert volume.translation == pytest.approx((translation[0], translation[1] - 3.5, translation[2] - 7))


def test_a_level_of_a_pyramid_is_the_one_that_is_read(job, lr, tmp_path):
    group = zarr.create_group(tmp_path / "lr.zarr")
    levels = {"a": lr, "b": 255 - lr[:, ::2, ::2]}
    steps = [
        {"path": path, "coordinateTransformations": [{"type": "scale", "scale": [40, size, size]}]}
        for path, size in (("a", 80), ("b", 160))
    ]
    axes = [{"name": axis, "type": "space", "unit": "nanometer"} for axis in "zyx"]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": steps}]}
    for path, array in levels.items():
        group.create_array(path, data=array)
    made = job(source="lr.zarr", voxel_size=None, level=1)
    super_resolve(made)
    np.testing.assert_array_equal(image(made), enlarged(made, levels["b"]))
    assert json.dumps(zarr.open_group(made.output, mode="r").attrs.asdict()).count("[40.0, 20.0, 20.0]") == 1
    with pytest.raises(InputError, match="--level 2: expected 0 to 1, the number of a level"):
        super_resolve(job(source="lr.zarr", output="b.zarr", level=2))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"voxel_size": None}, "voxel size unknown; --voxel-size Z Y X is expected"),
        ({"output": "sr.mrc"}, "not a format that is written; expected .zarr"),
        ({"output": "absent/sr.zarr"}, "no such folder"),
        ({"output": "lr.tif"}, "lr.tif exists; expected the name of a new volume"),
        ({"source": "absent.tif"}, "no such file or folder"),
        ({"region": ((0, 9), (None, None), (None, None))}, "region z 0:9 is not within 0:5"),
        ({"weights": "absent.pth"}, "absent.pth: no such file"),
        ({"options": None}, "no network: expected a checkpoint"),
        ({"overlap": 4, "halo": 4}, "--overlap 4: expected 8 or more"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(job, changes, said, tmp_path):
    made = job(**changes)
    before = contents(tmp_path)
    with pytest.raises(InputError, match=said):
        super_resolve(made)
    assert contents(tmp_path) == before


def test_a_volume_that_does_not_fit_on_the_disk_is_refused(job, monkeypatch):
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    made = job()
    with pytest.raises(InputError, match=r"needs up to \d+ kB on disk, of which 1 kB are free"):
        super_resolve(made)
    assert not made.folder.exists()
