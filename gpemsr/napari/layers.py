"""From a layer of napari to a job of :mod:`gpemsr.volume`, and from its result to layers at the same place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from gpemsr.data.volumes.reader import open_volume
from gpemsr.data.volumes.volume import GREY_TYPES, Volume
from gpemsr.data.volumes.writer import TiffStackWriter
from gpemsr.errors import InputError
from gpemsr.volume.plan import Job
from gpemsr.volume.trust import FOLDER

FULL_RANGE = ("uint8", "uint16")  # other types have the layer's contrast limits as their range
LayerData = tuple[Any, dict[str, Any], str]


@dataclass(frozen=True)
class Part:
    """What is super-resolved of an image layer: all its sections, and a rectangle of them."""

    layer: Any
    """Grey values, (z, y, x) or (y, x)."""
    y: tuple[int, int]
    """First row, and the one after the last."""
    x: tuple[int, int]
    """First column, and the one after the last."""

    @classmethod
    def of(cls, layer: Any, shapes: Any = None) -> Part:
        """The whole layer, or what the shape that was drawn last holds of it.

        Raises:
            InputError: no such layer can be super-resolved, or the shape lies outside it.
        """
        if layer is None:
            raise InputError("no image layer; open an LR stack first")
        if layer.rgb or layer.ndim not in (2, 3):
            raise InputError(f"{layer.name}: expected grey values of (z, y, x) or (y, x)")
        if not np.allclose(layer.affine.affine_matrix, np.eye(layer.ndim + 1)):
            raise InputError(f"{layer.name}: has an affine transform; expected scale, rotation and translation only")
        height, width = finest(layer).shape[-2:]
        if shapes is None:
            return cls(layer, (0, height), (0, width))
        if not len(shapes.data):
            raise InputError(f"{shapes.name}: has no shape; draw a rectangle")
        world = [shapes.data_to_world(corner)[-2:] for corner in shapes.data[-1]]
        leading = layer.data_to_world([0] * layer.ndim)[:-2]
        corners = np.array([layer.world_to_data((*leading, *corner))[-2:] for corner in world])
        low = np.maximum(np.round(corners.min(0) + 0.5), 0).astype(int)
        high = np.minimum(np.round(corners.max(0) + 0.5), (height, width)).astype(int)
        if (high <= low).any():
            raise InputError(f"{shapes.name}: the shape that was drawn last holds no pixel of {layer.name}")
        return cls(layer, (int(low[0]), int(high[0])), (int(low[1]), int(high[1])))

    @property
    def start(self) -> np.ndarray:
        """(z, y, x) of its first voxel in the layer."""
        return np.array([0, self.y[0], self.x[0]], float)

    @property
    def voxel_size(self) -> tuple[float, float, float]:
        """(z, y, x) in nm; where the layer has no unit of length, its scale."""
        sizes = [abs(float(step)) * in_nm(unit) for step, unit in zip(self.layer.scale, self.layer.units, strict=True)]
        z, y, x = sizes if len(sizes) == 3 else [sizes[0], *sizes]
        return z, y, x

    def job(self, folder: Path, **choices: Any) -> Job:
        """A job for it, whose source is written to ``folder``; ``choices`` are those of :class:`Job`.

        Raises:
            InputError: the disk is full.
        """
        data = finest(self.layer)
        stack = data if data.ndim == 3 else data[None]
        shape = (stack.shape[0], self.y[1] - self.y[0], self.x[1] - self.x[0])
        dtype = np.dtype(stack.dtype.name if stack.dtype.name in GREY_TYPES else np.float32)
        with TiffStackWriter(folder / "lr.tif", shape, dtype, self.voxel_size) as writer:
            for z in range(shape[0]):
                writer.write(np.asarray(stack[z, slice(*self.y), slice(*self.x)], dtype))
        low, high = (float(limit) for limit in self.layer.contrast_limits)
        grey_range = None if stack.dtype.name in FULL_RANGE else (low, high)
        more = {"voxel_size": self.voxel_size, "grey_range": grey_range, "output": str(folder / "sr.zarr")}
        return Job(**{**more, **choices, "source": str(folder / "lr.tif")})

    def results(self, output: Path) -> list[LayerData]:
        """The super-resolved image and its trust layers, for napari to add, placed where the part is."""
        names = sorted(path.name for path in (output / FOLDER).glob("*") if path.is_dir())
        with open_volume(output, on_missing="keep") as volume:
            limits, name = list(self.layer.contrast_limits), f"{self.layer.name} super-resolved"
            look = {"name": name, "contrast_limits": limits, "colormap": self.layer.colormap.name}
            found = [self._layer(volume, output, {**look, "multiscale": True})]
        for name in names:
            with open_volume(output / FOLDER / name, on_missing="keep") as volume:
                look = {"name": f"{self.layer.name} {name}", "colormap": "magma", "visible": False}
                found.append(self._layer(volume, output / FOLDER / name, look))
        return found

    def _layer(self, volume: Volume, path: Path, look: dict[str, Any]) -> LayerData:
        group = zarr.open_group(str(path), mode="r")
        levels: list[Any] = [group[key] for key in sorted(group.array_keys())]
        if self.layer.ndim == 2:
            levels = [level[0] for level in levels]
        assert volume.voxel_size is not None
        relative = np.array(volume.voxel_size) / self.voxel_size
        first = (self.start + np.array(volume.translation) / self.voxel_size)[-self.layer.ndim :]
        place = {
            "scale": self.layer.scale * relative[-self.layer.ndim :],
            "translate": self.layer.data_to_world(first),
            "rotate": self.layer.rotate,
            "shear": self.layer.shear,
            "units": self.layer.units,
        }
        return levels if look.get("multiscale") else levels[0], {**look, **place}, "image"


def finest(layer: Any) -> Any:
    """The layer's array, of the finest level if it has several."""
    return layer.data[0] if layer.multiscale else layer.data


def in_nm(unit: Any) -> float:
    """A unit of length in nm; 1 for others, such as pixels."""
    return float(unit._REGISTRY.Quantity(1, unit).to("nm").magnitude) if unit.is_compatible_with("nm") else 1.0
