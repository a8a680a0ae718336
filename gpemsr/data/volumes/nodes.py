"""Groups and arrays of Zarr and N5 stores: what their metadata files say, wherever they are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from gpemsr.errors import InputError

METADATA = ("zarr.json", ".zgroup", ".zattrs", "attributes.json")  # of a group
REMOTE = ("http://", "https://", "s3://", "gs://")


def is_remote(path: Path | str) -> bool:
    """Whether it is an address and no path. ``Path`` makes one slash of two."""
    return str(path).startswith(REMOTE)


@dataclass(frozen=True)
class Node:
    """A group or an array."""

    name: str
    """Its path in the store."""
    driver: str
    """``zarr``, ``zarr3`` or ``n5``."""
    attributes: dict[str, Any]
    """What its metadata file holds apart from the layout."""
    shape: tuple[int, ...] | None
    """Shape of an array; None for a group."""
    names: list[str] | None = None
    """Names of an array's axes, as far as they are named."""


class Store:
    """A folder or address, read through tensorstore.

    Args:
        path: a folder, or what begins with one of :data:`REMOTE`; it may be a group or an array within a store.

    Attributes:
        inside: of the path, what lies within the store: what a level is may be said by a group above it.
    """

    def __init__(self, path: Path | str):
        import tensorstore

        self.path = path
        address = str(path) if is_remote(path) else Path(path).resolve().as_uri()
        self._address = address.rstrip("/") + "/"
        self.inside = ""
        retries = {"max_retries": 4, "initial_delay": "200ms", "max_delay": "2s"}
        self._context = tensorstore.Context({f"{kind}_request_retries": retries for kind in ("http", "s3", "gcs")})
        self._store = self._open(self._address)
        self.is_precomputed = not any(map(self._has, METADATA)) and "scales" in (self.json("info") or {})
        while not self.is_precomputed and self._address.count("/") > 4:
            above, _, name = self._address.rstrip("/").rpartition("/")
            store = self._open(f"{above}/")
            if not any(store.read(mark).result().state == "value" for mark in METADATA):
                break
            self._store, self._address = store, f"{above}/"
            self.inside = f"{unquote(name)}/{self.inside}".strip("/")

    def _open(self, address: str) -> Any:
        import tensorstore

        return tensorstore.KvStore.open(address, context=self._context).result()

    def _has(self, name: str) -> bool:
        return self._store.read(name).result().state == "value"

    def json(self, name: str) -> dict[str, Any] | None:
        """The object in a JSON file, None if it is absent. Raises :class:`InputError` if it is damaged."""
        found = self._store.read(name).result()
        if found.state != "value":
            return None
        try:
            content = json.loads(found.value)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{self.path}: {name} is damaged ({error})") from None
        if not isinstance(content, dict):
            raise damaged(self.path, name, content, "an object { }")
        return content

    def array(self, name: str, driver: str, is_sparse: bool):
        """Open an array for reading; a chunk that is absent is an error, or zero where ``is_sparse``."""
        import tensorstore

        spec: dict[str, Any] = {"driver": driver, "kvstore": self._address, "fill_missing_data_reads": is_sparse}
        if driver == "neuroglancer_precomputed":
            spec["scale_metadata"] = {"key": name}
        elif name:
            spec["kvstore"] = f"{self._address}{quote(name)}/"
        opened = tensorstore.open(spec, open=True, read=True, context=self._context).result()
        return opened[tensorstore.d[:].translate_to[0]]

    def node(self, name: str = "") -> Node | None:
        """The group or array of this name, None if there is none. Raises :class:`InputError` if it is damaged."""
        node = self._node(name)
        if node is not None and node.driver != "n5":
            _check_image(node, self.path)
        return node

    def _node(self, name: str) -> Node | None:
        prefix = f"{name}/" if name else ""
        if (found := self.json(f"{prefix}zarr.json")) is not None:
            shape = tuple(found["shape"]) if found.get("node_type") == "array" else None
            return Node(name, "zarr3", found.get("attributes") or {}, shape, found.get("dimension_names"))
        attributes = self.json(f"{prefix}.zattrs") or {}
        if (found := self.json(f"{prefix}.zarray")) is not None:
            return Node(name, "zarr", attributes, tuple(found["shape"]), attributes.get("_ARRAY_DIMENSIONS"))
        if attributes or self._has(f"{prefix}.zgroup"):
            return Node(name, "zarr", attributes, None)
        if (found := self.json(f"{prefix}attributes.json")) is not None:
            shape = tuple(found["dimensions"]) if "dimensions" in found else None
            return Node(name, "n5", found, shape, found.get("axes"))
        return None

    def children(self, name: str = "") -> list[str]:
        """Names of groups and arrays one level down, of folders or of what consolidated metadata list elsewhere."""
        prefix = f"{name}/" if name else ""
        if not is_remote(self.path):
            folder = Path(unquote(urlsplit(self._address).path), name)
            return sorted(
                f"{prefix}{entry.name}" for entry in folder.iterdir() if entry.is_dir() and entry.name[0] != "."
            )
        listed = self.json(".zmetadata") or (self.json("zarr.json") or {}).get("consolidated_metadata") or {}
        below = [key.removeprefix(prefix) for key in listed.get("metadata", ()) if key.startswith(prefix)]
        return sorted({f"{prefix}{key.partition('/')[0]}" for key in below if key and not key.startswith(".")})

    def arrays(self, name: str = "") -> list[str]:
        """Names of all arrays below a group; levels of an image are left out in favour of the image."""
        found = []
        for child in self.children(name):
            node = self.node(child)
            if (node is not None and node.shape is not None) or (node is not None and has_image(node)):
                found.append(child)
            else:  # levels of N5 are s0, s1 ...
                below = self.arrays(child)
                found += [f"{child}/s0"] if f"{child}/s0" in below else below
        return found


def damaged(source: object, name: str, found: Any, expected: str) -> InputError:
    """The error that an entry of a store's metadata is not of the kind that it has to be."""
    return InputError(f"{source}: metadata are damaged: {name} is {json.dumps(found)[:60]}; expected {expected}")


def is_numbers(value: Any, count: int | None = None) -> bool:
    """Whether it is a list of numbers, of ``count`` ones where it is given."""
    kinds = isinstance(value, list) and all(isinstance(item, int | float) for item in value)
    return kinds and count in (None, len(value))


def _check_image(node: Node, source: object) -> None:
    """Raise :class:`InputError` if what the attributes say of a multiscale image has not the form of OME-Zarr."""

    def items(holder: dict, name: str) -> list[dict]:
        found = holder.get(name) or []
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise damaged(source, name, found, "a list of objects { }")
        return found

    for name, found in (("attributes", node.attributes), ("ome", node.attributes.get("ome", {}))):
        if not isinstance(found, dict):
            raise damaged(source, name, found, "an object { }")
    for image in items(node.attributes.get("ome", node.attributes), "multiscales"):
        levels = items(image, "datasets")
        for level in levels:
            if not isinstance(level.get("path"), str):
                raise damaged(source, "path", level.get("path"), "the path of a level")
        for step in [step for holder in [image, *levels] for step in items(holder, "coordinateTransformations")]:
            for kind in {"scale", "translation"} & set(step):
                if not is_numbers(step[kind]):
                    raise damaged(source, kind, step[kind], "a list of numbers")


def has_image(node: Node) -> bool:
    """Whether a group is a multiscale image."""
    return node.driver != "n5" and bool(node.attributes.get("ome", node.attributes).get("multiscales"))
