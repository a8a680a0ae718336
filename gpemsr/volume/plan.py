"""What could change the bytes of a super-resolved volume, fixed once and stored next to it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpemsr.data.volumes.nodes import is_remote
from gpemsr.data.volumes.ome_zarr_writer import ImageLayout, pyramid_factors
from gpemsr.errors import InputError
from gpemsr.files import read_record
from gpemsr.volume.stack import Region
from gpemsr.volume.tiles import Block, Grid

if TYPE_CHECKING:
    from gpemsr.archs.precision import Precision

CHUNK = (8, 128, 128)
NOT_TOLD = ("blocks", "pyramid", "ome_version", "batch", "depth", "tiles")  # in the image
SHARD = 1024  # HR pixels along y and x, where the network sees whole sections


@dataclass(frozen=True)
class Job:
    """What to super-resolve, and with what."""

    source: str
    """The LR volume; all that :func:`gpemsr.data.volumes.reader.open_volume` reads."""
    output: str
    """The volume to make; its suffix says the format: ``.zarr``, ``.ome.tif``, ``.tif`` or ``.h5``."""
    weights: str | None = None
    """Checkpoint, its URL, or the name of a shipped one; None for a network without weights."""
    options: str | None = None
    """Option file with ``network_g``; None where the checkpoint names its network."""
    dataset: str | None = None
    """As in :class:`~gpemsr.data.volumes.volume.Opening`, like ``level``, ``channel`` and ``time``."""
    level: int | None = None
    channel: int | None = None
    time: int | None = None
    voxel_size: tuple[float, float, float] | None = None
    """(z, y, x) in nm of the LR voxels, in place of what the source says."""
    grey_range: tuple[float, float] | str | None = None
    """Grey values that become 0 and 1, as in training, or a choice of :func:`~gpemsr.data.grey_values.choose_range`."""
    region: tuple[tuple[int | None, int | None], ...] = ((None, None),) * 3
    """(start, stop) along z (section numbers), y and x, half-open; None is that end of the volume."""
    mask: str | None = None
    """Volume of whole numbers, not 0 where there is tissue."""
    missing: tuple[int, ...] = ()
    """Numbers of sections known to be damaged."""
    on_missing: str | None = None
    """``replace`` what is there in part only, or ``keep`` it, black; None is ``keep`` with a mask."""
    tile: int | None = None
    """As in :class:`Plan`, like ``overlap``, ``halo``, ``depth`` and ``batch``; None is chosen by the memory."""
    overlap: int | None = None
    halo: int | None = None
    depth: int | None = None
    batch: int | None = None
    memory: int | None = None
    """Bytes that may be taken; None is most of what is free."""
    precision: Precision = "fp32"
    """``fp32`` or ``bf16``."""
    device: str | None = None
    """``cpu``, ``cuda``, ...; None is a GPU if there is one."""
    ome_version: str = "0.5"
    """``0.5`` or ``0.4``."""
    degradation: str = "bicubic"
    """What the network was trained with: ``bicubic`` or ``area``."""
    consistent: bool = False
    """Whether the image, degraded, is to give back the source."""
    trust: str | None = None
    """``basic`` or ``full``, see :func:`gpemsr.volume.trust.layer_names`; None for no layers."""
    calibration: str | None = None
    """File of ``gpemsr-calibrate``, for the error to expect."""

    def absolute(self) -> Job:
        """The same from any working directory."""
        names = ("source", "output", "weights", "options", "mask", "calibration")
        paths = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        absolute = {name: str(Path(path).absolute()) for name, path in paths.items() if not is_remote(path)}
        return replace(self, **absolute)  # type: ignore[arg-type]

    @property
    def path(self) -> Path:
        """The volume to make."""
        return Path(self.output)

    @property
    def folder(self) -> Path:
        """Where plan, markers and the image are until all of it is done."""
        return self.path.with_name(f"{self.path.name}.run")

    @property
    def is_begun(self) -> bool:
        """Whether there is a run of it, or the volume that came of one."""
        return self.folder.exists() or self.path.exists()


@dataclass(frozen=True)
class Plan:
    """What is fixed before the first block."""

    version: str
    """Version of this package."""
    source: dict[str, Any]
    """Fingerprint, shape and data type of the LR volume."""
    region: Region
    """z, y and x of the LR volume, in voxels."""
    voxel_size: tuple[float, float, float]
    """(z, y, x) in nm of the LR voxels."""
    translation: tuple[float, float, float]
    """(z, y, x) in nm of the centre of the LR volume's first voxel."""
    grey_range: tuple[float, float]
    """Grey values that become 0 and 1."""
    mask: str | None
    """Fingerprint of the mask."""
    missing: list[int]
    """Sections known to be damaged."""
    weights: str | None
    """SHA-256 of the checkpoint."""
    network: dict[str, Any]
    """Options of the network."""
    num_frame: int
    """Sections of a window."""
    scale: int
    """HR over LR size."""
    precision: Precision
    """``fp32`` or ``bf16``."""
    tile: int
    """LR pixels along y and x, like ``overlap`` and ``halo``; see :class:`~gpemsr.volume.tiles.Tiling`."""
    overlap: int
    halo: int
    depth: int
    """Sections of a block."""
    tiles: int
    """Tiles of a block along y and x."""
    batch: int
    """Tiles that go through the network together."""
    blocks: list[int] | None
    """Numbers of those to super-resolve; None is all, others have no tissue."""
    pyramid: bool
    """Whether coarser levels are made."""
    ome_version: str
    """Version of OME-Zarr of the image."""
    degradation: str
    """As in :class:`Job`, like ``consistent``."""
    consistent: bool
    trust: list[str]
    """Names of the layers of trust."""
    calibration: dict[str, Any] | None
    """A :class:`~gpemsr.volume.calibration.Calibration` as plain data."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(z, y, x) of the LR region."""
        z, y, x = (stop - start for start, stop in self.region)
        return z, y, x

    @property
    def grid(self) -> Grid:
        """Tiles and blocks."""
        return Grid(self.shape, self.tile, self.overlap, self.halo, self.depth, self.tiles)

    @property
    def wanted(self) -> range | list[int]:
        """Numbers of the blocks that are super-resolved."""
        return range(len(self.grid)) if self.blocks is None else self.blocks

    @property
    def layout(self) -> ImageLayout:
        """Of the image."""
        r, (z, y, x) = self.scale, self.shape
        voxel_size = (self.voxel_size[0], self.voxel_size[1] / r, self.voxel_size[2] / r)
        corner = (0.0, (1 - r) / 2 * voxel_size[1], (1 - r) / 2 * voxel_size[2])  # an LR voxel's first HR voxel
        translation = tuple(
            origin + start * size + shift
            for origin, (start, _), size, shift in zip(
                self.translation, self.region, self.voxel_size, corner, strict=True
            )
        )
        shape = (z, r * y, r * x)
        chunk, shard = [math.gcd(self.depth, CHUNK[0])], [self.depth]
        for axis in (self.grid.y, self.grid.x):
            if axis.count > 1:
                shard.append(r * axis.core)
                chunk.append(math.gcd(r * axis.core, CHUNK[1]))
            else:
                chunk.append(CHUNK[1])
                shard.append(min(SHARD, -(-r * axis.size // CHUNK[1]) * CHUNK[1]))
        return ImageLayout(
            shape, self.source["dtype"], voxel_size, translation, tuple(chunk), tuple(shard),  # type: ignore[arg-type]
            pyramid_factors(shape, voxel_size) if self.pyramid else ((1, 1, 1),), self.ome_version,
        )  # fmt: skip

    def start_of(self, block: Block) -> tuple[int, int, int]:
        """First voxel of a block in the image."""
        return block.z[0], self.scale * block.y[0], self.scale * block.x[0]

    def to_json(self) -> dict[str, Any]:
        """Plain data, as it is stored."""
        return json.loads(json.dumps(asdict(self)))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Plan:
        """The inverse of :meth:`to_json`."""
        region = tuple((int(start), int(stop)) for start, stop in data["region"])
        tuples = {name: tuple(data[name]) for name in ("voxel_size", "translation", "grey_range")}
        return cls(**{**data, **tuples, "region": region})

    def told(self) -> dict[str, Any]:
        """What the image says of it."""
        return {name: value for name, value in self.to_json().items() if name not in NOT_TOLD}

    def refuse_unless_same(self, theirs: Mapping[str, Any], path: Path) -> None:
        """Raise :class:`InputError` naming what differs from what is stored at ``path`` of a plan, as plain data."""
        for name, ours in self.to_json().items():
            if name in theirs and ours != theirs[name]:
                was, now = (json.dumps(value)[:120] for value in (theirs[name], ours))
                raise InputError(f"{path}: was begun with {name} {was}, not {now}; expected the same, or remove it")


def stored_plan(folder: Path) -> Plan:
    """The plan that a run was begun with. Raises :class:`InputError` if there is none."""
    try:
        return Plan.from_json(read_record(folder / "plan.json")["plan"])
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{folder}: has no plan of a run; expected a folder that gpemsr-upscale made") from None


def stored_job(folder: Path) -> Job:
    """The job that a run was begun with."""
    stored = read_record(folder / "plan.json")["job"]
    names = ("missing", "voxel_size", "grey_range")
    tuples = {name: tuple(stored[name]) for name in names if isinstance(stored[name], list)}
    return Job(**{**stored, **tuples, "region": tuple(tuple(ends) for ends in stored["region"])})
