"""Where not to believe a super-resolved volume: layers at LR resolution, stored with the image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gpemsr.data.degradations import Kind, block_means, check_degradation
from gpemsr.data.volumes.ome_zarr_writer import ImageLayout, ImageLevel, create_image
from gpemsr.errors import InputError
from gpemsr.files import sha256
from gpemsr.volume.calibration import Calibration
from gpemsr.volume.consistent import residual
from gpemsr.volume.tiles import Block, blend

if TYPE_CHECKING:
    import torch

    from gpemsr.volume.blocks import TileSection
    from gpemsr.volume.plan import Job, Plan
    from gpemsr.volume.planning import NetworkFacts

FOLDER = "trust"  # within the image
PRIOR = ("confidence", "entropy", "mask")
GREY = ("residual", "disagreement", "expected_error")  # in grey levels; until they are written, in [0, 1]
MEANING = {
    "confidence": "probability of the code that the prior chose",
    "entropy": "of the probabilities of all codes, in bits",
    "mask": "how far the network trusts the prior, 0 to 1",
    "residual": "the network's image, degraded again, minus the LR section; grey levels",
    "disagreement": "mean absolute difference from the section super-resolved turned by 180 degrees; grey levels",
    "expected_error": "root mean square error to expect of the image; grey levels",
}
CUES = ("brightness", "gradient", "change")  # what a calibration also looks at; not written
RANKING = ("expected_error", "disagreement", "entropy", "residual")  # the first of these says what to trust least
WINDOW = 16  # LR pixels
MOST = 6  # windows


def layer_names(how: str | None, has_prior: bool, is_calibrated: bool = False) -> list[str]:
    """Names of the layers.

    Args:
        how: ``full`` for all, ``basic`` for those that take no second prediction, None for none.
    """
    if how is None:
        return []
    names = [*(PRIOR if has_prior else ()), "residual"]
    return names + ["disagreement"] * (how == "full") + ["expected_error"] * is_calibrated


def plan_trust(job: Job, network: NetworkFacts, shape: tuple[int, int, int]) -> dict[str, Any]:
    """``degradation``, ``consistent``, ``trust`` and ``calibration`` of a plan for an LR region of this shape.

    Raises:
        InputError: the job's do not go together, or the calibration is not for them.
    """
    if job.trust and job.path.suffix != ".zarr":
        raise InputError(f"{job.path}: has no place for --trust; expected .zarr")
    if job.calibration and not job.trust:
        raise InputError(f"--calibration {job.calibration}: expected with --trust")
    if job.trust or job.consistent:
        check_degradation(tuple(network.scale * n for n in shape[1:]), network.scale, job.degradation)
    names = layer_names(job.trust, network.has_prior, job.calibration is not None)
    found = None
    if job.calibration is not None:
        calibration = Calibration.load(Path(job.calibration))
        weights = None if job.weights is None else sha256(Path(job.weights).expanduser())
        calibration.check(job.calibration, network.scale, weights, job.degradation, [*names, *CUES])
        found = calibration.model_dump()
    return {"degradation": job.degradation, "consistent": job.consistent, "trust": names, "calibration": found}


def section_layers(
    section: TileSection, turned: TileSection | None, names: Sequence[str], scale: int, kind: Kind
) -> dict[str, np.ndarray]:
    """The named layers of a section of a tile, (h, w) float32, grey values in [0, 1].

    Args:
        turned: the same, super-resolved turned by 180 degrees; for ``disagreement``.
        names: other than ``expected_error``; also those of :data:`CUES`.
        kind: the degradation, for ``residual``.
    """
    found = {}
    height, width = section.lq.shape
    for name in names:
        if name == "residual":
            layer = residual(np.clip(section.sr, 0, 1), section.lq, scale, kind)
        elif name == "disagreement":
            assert turned is not None
            difference = np.abs(np.clip(section.sr, 0, 1) - np.clip(turned.sr[::-1, ::-1], 0, 1))
            layer = block_means(difference, scale)
        elif name == "brightness":
            layer = section.lq
        elif name == "gradient":
            layer = block_means(np.hypot(*np.gradient(np.clip(section.sr, 0, 1))), scale)
        elif name == "change":
            layer = _change(section, height, width)
        else:
            layer = _of_prior(section, name, height, width)
        found[name] = layer.astype(np.float32)
    return found


def _change(section: TileSection, height: int, width: int) -> np.ndarray:
    """Mean absolute difference of the LR section from its two neighbours; 0 of a network that sees none."""
    window = section.window.lq[section.row, :, 0, :height, :width].float().cpu().numpy()
    centre = len(window) // 2
    neighbours = window[[max(0, centre - 1), min(len(window) - 1, centre + 1)]]
    return np.abs(neighbours - window[centre]).mean(axis=0)


def _of_prior(section: TileSection, name: str, height: int, width: int) -> np.ndarray:
    """A layer of the prior, which has one value for each code, repeated to LR pixels."""
    layers: torch.Tensor = getattr(section.window, name)[section.row]
    centre = layers[len(layers) // 2]
    codes = centre.reshape(centre.shape[-2:]).float().cpu().numpy()
    factor = section.window.lq.shape[-1] // codes.shape[-1]
    return codes.repeat(factor, 0).repeat(factor, 1)[:height, :width]


class BlockTrust:
    """Gathers the layers of a block while its tiles are super-resolved, and blends them as those."""

    def __init__(self, plan: Plan, block: Block) -> None:
        self._plan, self._grid, self._block = plan, plan.grid, block
        shape = [stop - start for start, stop in (block.z, block.y, block.x)]
        cues = [name for name in CUES if plan.calibration and name in plan.calibration["layers"]]
        names = [name for name in (*plan.trust, *cues) if name != "expected_error"]
        self._layers = {name: np.zeros(shape, np.float32) for name in names}

    def see(self, section: TileSection, turned: TileSection | None) -> None:
        """Add a section of a tile."""
        plan = self._plan
        found = section_layers(section, turned, list(self._layers), plan.scale, plan.degradation)
        for name, layer in found.items():
            blend(self._layers[name][section.z - self._block.z[0]], layer, self._grid, self._block, section.tile, 1)

    def layers(self) -> dict[str, np.ndarray]:
        """All layers of the plan, (z, y, x) float32."""
        if self._plan.calibration is not None:
            error = Calibration.model_validate(self._plan.calibration).expected_error(self._layers)
            self._layers["expected_error"] = error.astype(np.float32)
        low, high = self._plan.grey_range
        span = np.float32(high - low)
        layers = {name: self._layers[name] for name in self._plan.trust}
        return {name: layer * span if name in GREY else layer for name, layer in layers.items()}


def layer_layout(plan: Plan) -> ImageLayout:
    """Of a layer: its voxels are those of the LR region, NaN where nothing was super-resolved."""
    image = plan.layout
    height, width = (-(-length // plan.scale) for length in image.shard[1:])
    ends = zip(plan.translation, plan.region, plan.voxel_size, strict=True)
    z, y, x = (origin + start * size for origin, (start, _), size in ends)
    return replace(
        image, shape=plan.shape, dtype="float32", voxel_size=plan.voxel_size, translation=(z, y, x),
        chunk=(1, height, width), shard=(plan.depth, height, width), factors=((1, 1, 1),), fill=float("nan"),
    )  # fmt: skip


def create_layers(image: Path, plan: Plan) -> None:
    """Make the layers of a plan without voxels, each a separate image in the folder ``trust`` of ``image``."""
    import zarr

    if plan.trust:
        zarr.create_group(str(image / FOLDER), zarr_format=3 if plan.ome_version == "0.5" else 2)
    for name in plan.trust:
        create_image(image / FOLDER / name, layer_layout(plan), name, {"gpemsr": {"content": MEANING[name]}})


def write_layers(image: Path, plan: Plan, block: Block, layers: Mapping[str, np.ndarray]) -> Iterator[Path]:
    """Write a block's layers; yields the files."""
    layout = layer_layout(plan)
    for name, layer in layers.items():
        start = (block.z[0], block.y[0], block.x[0])
        yield from ImageLevel(image / FOLDER / name, layout, 0).write(start, layer)


def least_trusted(layers: Mapping[str, np.ndarray], block: Block) -> list[list[Any]]:
    """Windows of a block that are trusted least, at most :data:`MOST` and of each place its worst section.

    Returns:
        [Mean of the layer that ranks them, z, y, x] of each, the worst first.
    """
    if not layers:
        return []
    layer = np.abs(layers[ranking(layers)])
    found = []
    for y in range(0, layer.shape[1], WINDOW):
        for x in range(0, layer.shape[2], WINDOW):
            means = layer[:, y : y + WINDOW, x : x + WINDOW].mean(axis=(1, 2))
            z = int(means.argmax())
            found.append([float(means[z]), block.z[0] + z, block.y[0] + y, block.x[0] + x])
    return sorted(found, reverse=True)[:MOST]


def ranking(names: Sequence[str] | Mapping[str, Any]) -> str:
    """The layer that says what to trust least."""
    return next(name for name in RANKING if name in names)
