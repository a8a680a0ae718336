"""Reading BasicSR's option files as data: no key, value or tag of them can run code."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from gpemsr.errors import InputError


class OptionLoader(yaml.SafeLoader):
    """PyYAML's safe loader, with mappings in the file's order (``OrderedDict``) and without repeated keys."""

    def construct_ordered(self, node: yaml.MappingNode) -> OrderedDict:
        """Build one mapping; a key given twice is refused, not silently the last one taken."""
        names = [self.construct_object(key, deep=True) for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise yaml.constructor.ConstructorError(None, None, f"key {name!r} is given twice", node.start_mark)
        self.flatten_mapping(node)
        return OrderedDict(self.construct_pairs(node, deep=True))


OptionLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, OptionLoader.construct_ordered)


def read_options(path: str | Path) -> OrderedDict:
    """Read an option file into nested ``OrderedDict`` in the file's order.

    Standard YAML tags (``!!float 4e-4``) are fine; tags that build Python objects are refused.

    Raises:
        InputError: the file is missing, is no YAML mapping, or has a tag or syntax that is not plain data.
    """
    try:
        options = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=OptionLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        raise InputError(f"{path}{where}: {getattr(error, 'problem', None) or error}; plain YAML data fits") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise InputError(f"{path}: {reason}; -opt wants a YAML option file") from None
    if not isinstance(options, OrderedDict):
        raise InputError(f"{path}: holds {type(options).__name__}, not a mapping of option keys; see options/")
    return options


def to_plain(value: Any) -> Any:
    """Nested ordered mappings as plain ones, which YAML writes without tags."""
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
            raise InputError(f"--force_yml {entry}: section:key=value fits, e.g. train:ema_decay=0.999")
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
        return yaml.load(text, Loader=OptionLoader)
    except (yaml.YAMLError, ValueError):
        raise InputError(f"--force_yml {entry}: {text!r} is no plain value; a number, text or [list] fits") from None
