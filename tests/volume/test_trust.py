"""Trust layers beside the image: what they hold, where they lie, resumed; and an image that is consistent."""

import numpy as np
import pytest
import tifffile
import torch
import zarr
from test_super_resolve import contents, image

from gpemsr.data.degradations import degrade
from gpemsr.errors import InputError
from gpemsr.files import sha256
from gpemsr.volume import run as run_module
from gpemsr.volume.calibration import Calibration
from gpemsr.volume.network import VolumeNetwork
from gpemsr.volume.perform import super_resolve
from gpemsr.volume.trust import CUES
from gpemsr.volume.trust_summary import summary_file


def layer(job, name: str) -> np.ndarray:
    return zarr.open_array(f"{job.output}/trust/{name}/0", mode="r")[:]


def names(job) -> set[str]:
    return {path.name for path in (job.path / "trust").iterdir() if path.is_dir()}


def test_layers_are_those_of_the_network(job, lr, weights):
    made = job(weights=weights, trust="basic")
    super_resolve(made)
    assert names(made) == {"confidence", "entropy", "mask", "residual"}
    network = VolumeNetwork(None, weights)
    section = network.encode_sections(torch.from_numpy(lr[2].astype(np.float32) / 255)[None, None, None])
    for name in ("confidence", "entropy", "mask"):
        expected = getattr(section, name).numpy().squeeze().repeat(2, 0).repeat(2, 1)[:30, :42]
        np.testing.assert_allclose(layer(made, name)[2], expected, rtol=1e-5)
    assert (layer(made, "entropy") > 0).all() and (layer(made, "confidence") <= 1).all()
    degraded = np.stack([255 * degrade(section / np.float32(255), 8, "bicubic") for section in image(made)])
    np.testing.assert_allclose(layer(made, "residual"), degraded - lr, atol=0.5)  # the image is rounded


def test_a_network_without_a_prior_gives_the_layers_that_it_has(job):
    made = job(trust="full", degradation="area")
    super_resolve(made)
    assert names(made) == {"residual", "disagreement"}
    assert layer(made, "disagreement").max() < 1e-3  # turning does not matter to bicubic interpolation
    assert layer(made, "residual").std() > 1


def test_layers_lie_on_the_lr_voxels(job):
    made = job(trust="basic", region=((1, 4), (None, 20), (8, None)))
    super_resolve(made)
    group = zarr.open_group(f"{made.output}/trust/residual", mode="r")
    steps = group.attrs["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    assert steps[0]["scale"] == [40, 80, 80] and steps[1]["translation"] == [40, 0, 640]
    assert layer(made, "residual").shape == (3, 20, 34)


def test_a_stopped_run_goes_on_with_the_same_layers(tiled, monkeypatch):
    whole, stopped = (tiled(output=name, trust="full") for name in ("a.zarr", "sr.zarr"))
    super_resolve(whole)
    done, original = [], run_module.Run.do

    def stop_after_two(self, task, advance=None):
        if len(done) == 2:
            raise KeyboardInterrupt
        original(self, task)
        done.append(task)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(run_module.Run, "do", stop_after_two)
        super_resolve(stopped)
    shard = next(file for file in (stopped.folder / "image.zarr/trust/residual/0/c").rglob("*") if file.is_file())
    shard.write_bytes(b"damaged")
    super_resolve(stopped, resume=True)
    assert contents(whole.path / "trust") == contents(stopped.path / "trust")


def test_nothing_is_said_where_nothing_was_super_resolved(tiled, lr, tmp_path):
    mask = np.zeros(lr.shape, np.uint8)
    mask[2:] = 1
    tifffile.imwrite(tmp_path / "mask.tif", mask, photometric="minisblack")
    made = tiled(mask="mask.tif", trust="basic")
    super_resolve(made)
    assert np.isnan(layer(made, "residual")[:2]).all() and np.isfinite(layer(made, "residual")[2:]).all()


def test_the_least_trusted_regions_are_drawn(tiled):
    made = tiled(trust="basic")
    super_resolve(made)
    assert summary_file(made.path).read_bytes().startswith(b"\x89PNG")


def test_a_calibration_gives_the_error_to_expect_in_grey_levels(tiled, tmp_path):
    residual = np.linspace(0, 0.1, 1000)
    calibration = Calibration.fit({"residual": residual}, residual**2, 8, None, "bicubic")
    calibration.save(tmp_path / "a.json")
    made = tiled(trust="basic", calibration=str(tmp_path / "a.json"))
    super_resolve(made)
    found = np.abs(layer(made, "residual"))
    np.testing.assert_allclose(layer(made, "expected_error"), found.clip(0.5, 25), rtol=0.1, atol=0.3)


def cues_of(lr: np.ndarray, sr: np.ndarray, z: int) -> dict[str, np.ndarray]:
    section = sr[z].astype(float)
    steps = np.hypot(*np.gradient(section))
    before, after = lr[max(0, z - 1)], lr[min(len(lr) - 1, z + 1)]
    return {
        "brightness": lr[z],
        "gradient": steps.reshape(lr.shape[1], 8, lr.shape[2], 8).mean(axis=(1, 3)),
        "change": (np.abs(lr[z] - before) + np.abs(lr[z] - after)) / 2,
    }


@pytest.mark.parametrize("name", CUES)
def test_a_calibration_looks_at_the_sections_besides(job, lr, weights, tmp_path, name):
    values = np.linspace(0, 1, 1000)
    slope = Calibration.fit({name: values}, values**2, 8, sha256(tmp_path / "net.pth"), "bicubic")
    slope.save(tmp_path / "a.json")
    made = job(weights=weights, trust="basic", calibration=str(tmp_path / "a.json"))
    super_resolve(made)
    assert name not in names(made)
    for z in (0, 2, 4):
        expected = cues_of(lr.astype(float), image(made), z)[name].clip(255 / 64, 251)
        np.testing.assert_allclose(layer(made, "expected_error")[z], expected, atol=1.5)


@pytest.mark.parametrize("degradation", ["bicubic", "area"])
def test_a_consistent_image_gives_the_source_back(tiled, lr, degradation):
    lr = lr // 4 + 96
    made = tiled(stack=lr, degradation=degradation, consistent=True, trust="basic")
    super_resolve(made)
    back = np.stack([255 * degrade(section / np.float32(255), 8, degradation) for section in image(made)])
    assert np.abs(back - lr).max() < 0.5
    assert np.abs(layer(made, "residual")).max() > 2  # of the network's image


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"trust": "basic", "output": "sr.tif"}, "has no place for --trust; expected .zarr"),
        ({"calibration": "a.json"}, "expected with --trust"),
        ({"trust": "basic", "calibration": "absent.json"}, "absent.json: cannot be read"),
        ({"consistent": True, "region": ((None, None), (0, 1), (None, None))}, "too small for bicubic x8"),
    ],
)
def test_what_does_not_go_together_is_refused(job, changes, said):
    with pytest.raises(InputError, match=said):
        super_resolve(job(**changes))
