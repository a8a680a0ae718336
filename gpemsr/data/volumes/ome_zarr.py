"""Which array of a Zarr or N5 store is the volume, which of its axes are z, y and x, and how large its voxels are."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gpemsr.data.volumes.array import choose, listed
from gpemsr.data.volumes.axes import Axes, named_axes, unnamed_axes
from gpemsr.data.volumes.nodes import Node, Store, has_image
from gpemsr.data.volumes.volume import Opening
from gpemsr.data.volumes.voxel_size import VoxelSize, complete, from_attributes, nanometres
from gpemsr.errors import InputError


@dataclass(frozen=True)
class Found:
    """An array to be read.

    Attributes:
        name: its path in the store.
        driver: tensorstore's.
        axes: where z, y and x are.
        voxel_size: finds (z, y, x) in nm.
    """

    name: str
    driver: str
    axes: Axes
    voxel_size: Callable[[], VoxelSize | None]


def find_image(store: Store, opening: Opening) -> Found:
    """The array that ``opening`` names, or the finest level of the image that it names or that the store holds.

    Raises:
        InputError: there is none, it is unclear which, or its axes are not those of a stack.
    """
    name = "/".join(part for part in (store.inside, (opening.dataset or "").strip("/")) if part)
    node = store.node(name)
    if node is None and name:
        raise InputError(f"{store.path}: no array {name!r}; {listed(store.arrays())}")
    if node is None and not store.children():
        raise InputError(f"{store.path}: no Zarr, N5 or precomputed volume")
    if node is None or (node.shape is None and not has_image(node)):
        _refuse_plates(node, store)
        prefix = f"{name}/" if name else ""
        found = [array.removeprefix(prefix) for array in store.arrays(name)]
        name = prefix + choose(store.path, found, default="raw")
        node = store.node(name)
        assert node is not None
    image, level = _multiscale(node), name
    if node.shape is None and image is not None:
        level = "/".join(filter(None, (name, _finest(image, store))))
        node = store.node(level)
    elif image is None:
        image = _image_of(store, level)
    if node is None or node.shape is None:
        raise InputError(f"{store.path}: no array {level!r}; {listed(store.arrays())}")
    if image is not None:
        names = [axis["name"] if isinstance(axis, dict) else str(axis) for axis in image.get("axes") or ()]
        axes = named_axes(names or list("tczyx")[-len(node.shape) :], node.shape, opening, store.path)
        return Found(level, node.driver, axes, lambda: _ome_voxel_size(image, level, axes))
    return Found(level, node.driver, axes := _axes(node, opening, store), lambda: _attribute_size(store, node, axes))


def _refuse_plates(node: Node | None, store: Store) -> None:
    attributes = {} if node is None else node.attributes.get("ome", node.attributes)
    for kind in ("plate", "well"):
        if kind in attributes:
            raise InputError(f"{store.path}: a {kind} of many images; --dataset names one, such as A/1/0")


def _multiscale(node: Node) -> dict | None:
    """The first multiscale image of OME-Zarr metadata (0.4: at the top; 0.5: under ``ome``)."""
    return node.attributes.get("ome", node.attributes)["multiscales"][0] if has_image(node) else None


def _image_of(store: Store, level: str) -> dict | None:
    """The image that an array is a level of, in a group above it, also above the path that was given."""
    parts = level.split("/") if level else []
    for count in range(len(parts) - 1, -1, -1):
        node = store.node("/".join(parts[:count]))
        image = None if node is None else _multiscale(node)
        if image and any(item.get("path") == "/".join(parts[count:]) for item in image.get("datasets", [])):
            return image
    return None


def _scale(item: dict) -> list[float] | None:
    for transformation in item.get("coordinateTransformations") or []:
        if transformation.get("type") == "scale":
            return [float(factor) for factor in transformation["scale"]]
    return None


def _finest(image: dict, store: Store) -> str:
    """Path of the level with the smallest voxels; the first one if no scales are given."""
    levels = image.get("datasets") or []
    if not levels:
        raise InputError(f"{store.path}: OME-Zarr metadata name no levels")
    return min(levels, key=lambda level: math.prod(_scale(level) or [1.0]))["path"].strip("/")


def _ome_voxel_size(image: dict, level: str, axes: Axes) -> VoxelSize | None:
    """(z, y, x) in nm: the level's scale times the image's, by the axes' units; None if any is missing."""
    item: dict = next((item for item in image["datasets"] if f"/{level}".endswith(f"/{item['path']}")), {})
    scale, common, units = _scale(item), _scale(image), image.get("axes") or []
    if scale is None or len(scale) != len(units) or not all(isinstance(axis, dict) for axis in units):
        return None
    factors = common if common and len(common) == len(scale) else [1.0] * len(scale)
    return complete(
        [None if axes.z is None and place == 0 else nanometres(scale[place] * factors[place], units[place].get("unit"))
         for place in axes.places]
    )  # fmt: skip


def _axes(node: Node, opening: Opening, store: Store) -> Axes:
    assert node.shape is not None
    if node.names and {"y", "x"} <= {str(name).lower() for name in node.names}:
        return named_axes(node.names, node.shape, opening, store.path)
    axes = unnamed_axes(node.shape, opening, store.path)
    return Axes(axes.x, axes.y, axes.z or 0, axes.fixed) if node.driver == "n5" else axes  # N5 counts x first


def _attribute_size(store: Store, node: Node, axes: Axes) -> VoxelSize | None:
    """From the attributes of an array or, where it has none, of the groups that hold it."""
    parts = node.name.split("/") if node.name else []
    factors = node.attributes.get("downsamplingFactors")  # of N5, in the order of its axes
    for count in range(len(parts), -1, -1):
        holder = store.node("/".join(parts[:count]))
        attributes: dict[str, Any] = {} if holder is None else holder.attributes
        if (found := from_attributes(attributes, axes.places, store.path)) is None:
            continue
        if factors and (count < len(parts) or "pixelResolution" in attributes):
            z, y, x = (size * float(factors[place]) for size, place in zip(found, axes.places, strict=True))
            return z, y, x
        return found
    return None
