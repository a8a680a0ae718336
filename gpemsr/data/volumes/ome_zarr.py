"""Which array of a Zarr or N5 store is the volume, which of its axes are z, y and x, and how large its voxels are."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpemsr.data.volumes.array import choose, listed
from gpemsr.data.volumes.axes import Axes, named_axes, unnamed_axes
from gpemsr.data.volumes.nodes import Node, Store, has_image, is_numbers
from gpemsr.data.volumes.volume import Opening
from gpemsr.data.volumes.voxel_size import VoxelSize, complete, from_attributes, nanometres, unit_length
from gpemsr.errors import InputError


@dataclass(frozen=True)
class Found:
    """An array to be read."""

    name: str
    """Its path in the store."""
    driver: str
    """tensorstore's name of the format."""
    axes: Axes
    """Where z, y and x are."""
    voxel_size: Callable[[], VoxelSize | None]
    """Finds (z, y, x) in nm."""
    translation: Callable[[], VoxelSize] = lambda: (0.0, 0.0, 0.0)
    """Finds (z, y, x) in nm of the centre of the first voxel."""


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
        level = "/".join(filter(None, (name, _level(image, store, opening.level))))
        node = store.node(level)
    elif opening.level is not None:
        raise InputError(f"{store.path}: --level {opening.level}: expected an OME-Zarr image, which has levels")
    elif image is None:
        image = _image_of(store, level)
    if node is None or node.shape is None:
        raise InputError(f"{store.path}: no array {level!r}; {listed(store.arrays())}")
    if image is not None:
        names = [axis["name"] if isinstance(axis, dict) else str(axis) for axis in image.get("axes") or ()]
        axes = named_axes(names or list("tczyx")[-len(node.shape) :], node.shape, opening, store.path)
        geometry = functools.partial(_ome_geometry, image, level, axes)
        return Found(level, node.driver, axes, lambda: geometry()[0], lambda: geometry()[1])
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


def _transformation(item: dict, kind: str) -> list[float] | None:
    for transformation in item.get("coordinateTransformations") or []:
        if transformation.get("type") == kind and kind in transformation:
            return [float(value) for value in transformation[kind]]
    return None


def _level(image: dict, store: Store, number: int | None) -> str:
    """Path of a level; by default of the one with the smallest voxels, or the first one if no scales are given."""
    levels = image.get("datasets") or []
    if not levels:
        raise InputError(f"{store.path}: OME-Zarr metadata name no levels")
    if number is None:
        return min(levels, key=lambda level: math.prod(_transformation(level, "scale") or [1.0]))["path"].strip("/")
    if not 0 <= number < len(levels):
        raise InputError(f"{store.path}: --level {number}: expected 0 to {len(levels) - 1}, the number of a level")
    return levels[number]["path"].strip("/")


def _ome_geometry(image: dict, level: str, axes: Axes) -> tuple[VoxelSize | None, VoxelSize]:
    """Voxel size, None if it is not said, and centre of the first voxel: (z, y, x) in nm.

    The level's transformations come before the image's; those of another number of axes are left out.
    """
    item: dict = next((item for item in image["datasets"] if f"/{level}".endswith(f"/{item['path']}")), {})
    named = image.get("axes") or []
    scale, shift = np.ones(len(named)), np.zeros(len(named))
    for holder in (item, image):
        for kind in ("scale", "translation"):
            values = np.array(_transformation(holder, kind) or [])
            if kind == "scale" and values.shape == scale.shape:
                scale, shift = scale * values, shift * values
            elif values.shape == shift.shape:
                shift = shift + values
    units = [unit_length(axis.get("unit")) if isinstance(axis, dict) else None for axis in named]
    factors = [None if place is None or not units else units[place] for place in (axes.z, axes.y, axes.x)]
    sizes: list[float | None] = [None] * 3
    if len(_transformation(item, "scale") or []) == len(named):
        sizes = [f and nanometres(scale[place] * f, "nm") for place, f in zip(axes.places, factors, strict=True)]
    z, y, x = (float(shift[place] * f) if f else 0.0 for place, f in zip(axes.places, factors, strict=True))
    return complete(sizes), (z, y, x)


def _axes(node: Node, opening: Opening, store: Store) -> Axes:
    assert node.shape is not None
    if node.names and {"y", "x"} <= {str(name).lower() for name in node.names}:
        return named_axes(node.names, node.shape, opening, store.path)
    axes = unnamed_axes(node.shape, opening, store.path)
    return Axes(axes.x, axes.y, axes.z or 0, axes.fixed) if node.driver == "n5" else axes  # N5 counts x first


def _attribute_size(store: Store, node: Node, axes: Axes) -> VoxelSize | None:
    """From the attributes of an array or, where it has none, of the groups that hold it."""
    parts = node.name.split("/") if node.name else []
    own = node.attributes.get("downsamplingFactors")  # of N5, in the order of its axes
    for count in range(len(parts), -1, -1):
        holder = store.node("/".join(parts[:count]))
        attributes: dict[str, Any] = {} if holder is None else holder.attributes
        if (found := from_attributes(attributes, axes.places, store.path)) is None:
            continue
        if count == len(parts) and (own is None or "pixelResolution" not in attributes):
            return found
        factors = _factors(store, parts) if own is None else own
        if not is_numbers(factors, len(node.shape or ())):
            return found
        z, y, x = (size * float(factors[place]) for size, place in zip(found, axes.places, strict=True))
        return z, y, x
    return None


def _factors(store: Store, parts: list[str]) -> Any:
    """How much coarser level ``s<number>`` of an N5 image is, as a group above lists it for all of its levels."""
    match = re.fullmatch(r"s(\d+)", parts[-1])
    for count in range(len(parts) - 1, -1, -1):
        holder = store.node("/".join(parts[:count]))
        if match is None or holder is None or holder.driver != "n5":
            continue
        for name in ("downsamplingFactors", "scales"):
            levels = holder.attributes.get(name)
            if isinstance(levels, list) and int(match[1]) < len(levels):
                return levels[int(match[1])]
    return None
