"""Reading BasicSR's option files as data: no key, value or tag of them can run code."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from gpemsr.errors import InputError

BASE, DELETE = "_base_", "_delete_"  # as in MMEngine's configuration files
MOST_BYTES, MOST_VALUES, MOST_BASES = 10**6, 10**5, 20


class OptionLoader(yaml.SafeLoader):
    """PyYAML's safe loader, with mappings in the file's order (``OrderedDict``) and without repeated keys."""

    def construct_ordered(self, node: yaml.MappingNode) -> OrderedDict:
        """Build one mapping; a key given twice is refused, not silently the last one taken."""
        names = [self.construct_object(key, deep=True) for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        for index, name in enumerate(names):
            if isinstance(name, list | dict):
                raise yaml.constructor.ConstructorError(None, None, f"key {name!r} is not text", node.start_mark)
            if name in names[:index]:
                raise yaml.constructor.ConstructorError(None, None, f"key {name!r} is given twice", node.start_mark)
        self.flatten_mapping(node)
        return OrderedDict(self.construct_pairs(node, deep=True))


OptionLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, OptionLoader.construct_ordered)


def read_options(path: str | Path) -> OrderedDict:
    """Read an option file, with the bases that it names, into nested ``OrderedDict``.

    ``_base_: other.yml``, or a list of files, each relative to the file that names it, gives the options to start
    from, a later file before an earlier one; see :func:`merged` for how the file's own options change them.
    Standard YAML tags (``!!float 4e-4``) are fine; tags that build Python objects are refused.

    Raises:
        InputError: a file is missing, is no YAML mapping, has a tag or syntax that is not plain data, or is its own
            base.
    """
    return _resolve(Path(path), ())


def resolved_text(path: str | Path) -> str:
    """An option file as text that needs no other file, below a comment that names it.

    Without ``_base_`` that is the file as it is, with its comments.
    """
    path = Path(path)
    if BASE not in _read_mapping(path, ()):
        return f"# {path}\n{path.read_text(encoding='utf-8')}"
    options = yaml.safe_dump(to_plain(read_options(path)), sort_keys=False, default_flow_style=None, width=120)
    return f"# {path}, with the options of its {BASE}\n{options}"


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> OrderedDict:
    """``base`` with ``changes``: mappings are merged, at any depth; lists and all else are replaced.

    A mapping of ``changes`` with ``_delete_: true`` takes nothing from the base's.
    """
    result = OrderedDict() if changes.get(DELETE) else OrderedDict(base)
    for key, value in changes.items():
        if isinstance(value, Mapping):
            below = result.get(key)
            result[key] = merged(below if isinstance(below, Mapping) else {}, value)
        elif key != DELETE:
            result[key] = value
    return result


def _resolve(path: Path, readers: tuple[Path, ...]) -> OrderedDict:
    """Options of ``path``, which the last of ``readers`` names as its base."""
    if path.resolve() in [reader.resolve() for reader in readers]:
        raise InputError(f"{readers[-1]}: {BASE} leads back to {path}; a file cannot be its own base")
    if len(readers) > MOST_BASES:
        raise InputError(f"{readers[0]}: {BASE} leads through more than {MOST_BASES} files, to {path}")
    options = _read_mapping(path, readers)
    names = options.pop(BASE, [])
    names = names if isinstance(names, list) else [names]
    if not all(isinstance(name, str) for name in names):
        raise InputError(f"{path}: {BASE}={json.dumps(names)}: the path of a file, or a list of paths, is expected")
    result: OrderedDict[str, Any] = OrderedDict()
    for name in names:
        result = merged(result, _resolve(path.parent / name, (*readers, path)))
    return merged(result, options)


def _read_mapping(path: Path, readers: tuple[Path, ...]) -> OrderedDict:
    """What ``path`` itself says."""
    named = f"{readers[-1]}: {BASE}: {path}" if readers else str(path)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(
                f"{named}: {path.stat().st_size} bytes; an option file of at most {MOST_BYTES} is expected"
            )
        options = _load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        problem = " ".join(str(getattr(error, "problem", None) or error).split())
        raise InputError(f"{named}{where}: {problem}; plain YAML data is expected") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise InputError(f"{named}: {reason}; a YAML option file is expected") from None
    if not isinstance(options, OrderedDict):
        raise InputError(f"{named}: holds {type(options).__name__}, not a mapping of option keys; see options/")
    return options


def _load(text: str) -> Any:
    """YAML data that is a tree of at most ``MOST_VALUES`` values. Raises yaml.YAMLError."""
    try:
        loaded = yaml.load(text, Loader=OptionLoader)
        _count(loaded, {})
    except RecursionError:
        raise yaml.YAMLError("nested without end") from None
    except ValueError as error:  # such as a date that is none, or a number of thousands of digits
        raise yaml.YAMLError(str(error)) from None
    return loaded


def _count(value: Any, counted: dict[int, int]) -> int:
    """Values in ``value``, those behind each alias counted again. Raises yaml.YAMLError for too many."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in counted:
        inner = value.values() if isinstance(value, dict) else value
        counted[id(value)] = 1 + sum(_count(each, counted) for each in inner)
    if counted[id(value)] > MOST_VALUES:
        raise yaml.YAMLError(f"more than {MOST_VALUES} values")
    return counted[id(value)]


def to_plain(value: Any) -> Any:
    """Nested ordered mappings, also those in lists, as plain ones, which YAML writes without tags."""
    if isinstance(value, list):
        return [to_plain(item) for item in value]
    return {k: to_plain(v) for k, v in value.items()} if isinstance(value, dict) else value


def override(options: OrderedDict, entries: Sequence[str]) -> OrderedDict:
    """Apply ``--force_yml`` entries such as ``train:ema_decay=0.999`` to ``options``, in place; return it.

    Values are read as in an option file; ``none`` and ``!!float4e-4`` are BasicSR's own spellings.

    Raises:
        InputError: an entry has no ``=``, its section does not exist, or its value is not plain data.
    """
    for entry in entries:
        dotted, equals, text = entry.partition("=")
        *sections, key = (part.strip() for part in dotted.split(":"))
        if not equals or not key:
            raise InputError(f"--force_yml {entry}: section:key=value is expected, e.g. train:ema_decay=0.999")
        target: Any = options
        for section in sections:
            if not isinstance(target, dict) or not isinstance(target.get(section), dict):
                raise InputError(f"--force_yml {entry}: the options have no section {section!r}")
            target = target[section]
        target[key] = _read_value(entry, text.strip())
    return options


def _read_value(entry: str, text: str) -> Any:
    if text.lower() == "none":
        return None
    try:
        if text.startswith("!!float"):
            return float(text.removeprefix("!!float"))
        return _load(text)
    except (yaml.YAMLError, ValueError):
        raise InputError(
            f"--force_yml {entry}: {text!r} is not a plain value; a number, text or [list] is expected"
        ) from None
