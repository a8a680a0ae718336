"""Checks of one mapping of an option file: by a pydantic schema, by a constructor's signature, by a registry."""

from __future__ import annotations

import contextlib
import difflib
import inspect
import json
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from gpemsr.errors import InputError, one_line

PATH_KEY = re.compile(r"(^|_)(path|weights|file|dataroot)(_|$)")
Result = TypeVar("Result")
Schema = TypeVar("Schema", bound=BaseModel)
_NUMBER = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$")


@dataclass(frozen=True)
class Place:
    """A place in an option file: ``file`` and the dotted ``key`` of a mapping in it ('' is the top level)."""

    file: str
    key: str = ""

    def __truediv__(self, name: object) -> Place:
        """Return the place of key ``name`` in this mapping."""
        return Place(self.file, f"{self.key}.{name}" if self.key else str(name))

    def fail(self, value: object, expected: str) -> NoReturn:
        """Raise InputError: file, key, value and what is expected, in one line."""
        if isinstance(value, str) and _NUMBER.match(value):
            expected += f" (YAML reads {value} as text: write !!float {value})"
        shown = "null" if value is None else json.dumps(value, default=str)
        raise InputError(" ".join(f"{self.file}: {self.key}={shown}: {expected}".split()))

    def fail_missing(self, why: str) -> NoReturn:
        """Raise InputError for a key that is not there."""
        raise InputError(f"{self.file}: {self.key} is missing: {why}")

    def fail_unknown(self, accepted: Iterable[str]) -> NoReturn:
        """Raise InputError for a key that nothing reads, with the known ones, the likeliest first."""
        raise InputError(f"{self.file}: {self.key}: unknown key; {nearest(self.key.rpartition('.')[2], accepted)}")


def without_files(section: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a network with null for each file that they name: what is in it comes with a checkpoint."""
    return {key: None if PATH_KEY.search(key) else value for key, value in section.items()}


def nearest(name: str, accepted: Iterable[str]) -> str:
    """Say which of ``accepted`` was meant, or, if none looks like ``name``, list them all."""
    accepted = sorted(set(accepted))
    close = difflib.get_close_matches(name, accepted, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(accepted) or 'none'}"


def check_section(value: object, place: Place) -> Mapping[str, Any]:
    """Return ``value`` if it is a mapping."""
    if not isinstance(value, Mapping):
        place.fail(value, "a section of keys is expected")
    return value


def check_schema(schema: type[Schema], section: Mapping[str, Any], place: Place) -> Schema:
    """A mapping by its schema; an unknown key is named before the one that is missing because of it."""
    try:
        return schema.model_validate(dict(section))
    except ValidationError as error:
        errors = error.errors(include_url=False)
        _fail(sorted(errors, key=lambda e: e["type"] != "extra_forbidden"), section, place, schema)


def check_call(
    target: Callable,
    section: Mapping[str, Any],
    place: Place,
    given: Iterable[str] = ("type",),
    open_ended: bool = True,
) -> None:
    """Check that ``target(**section)`` can be called: no unknown, no missing key, values of the hinted types.

    Args:
        target: a class or a function; where it has no type hints, values must be of the kind of their default.
        given: keys of the section that the caller takes out, and parameters that it fills in, itself.
        open_ended: whether ``**kwargs`` of the target means that any key is accepted.
    """
    given = set(given)
    signature = check_own(lambda: inspect.signature(target), place)
    parameters = {name: p for name, p in signature.parameters.items() if name not in given}
    named = [name for name, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    takes_any = open_ended and any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for key in section:
        if key not in named and key not in given and not takes_any:
            (place / key).fail_unknown(named)
    for name in named:
        if parameters[name].default is inspect.Parameter.empty and name not in section:
            (place / name).fail_missing(f"{getattr(target, '__name__', target)} needs it")
    hints = {
        k: p.annotation for k, p in parameters.items() if not (p.annotation is p.empty or type(p.annotation) is str)
    }
    if inspect.isclass(target) or inspect.isroutine(target):
        with contextlib.suppress(NameError, TypeError):
            hints |= typing.get_type_hints(target.__init__ if inspect.isclass(target) else target)
    for name in named:
        hint = hints.get(name, _hint_of_default(parameters[name].default))
        if name in section:
            check_type(hint, section[name], place / name)
        if PATH_KEY.search(name) and isinstance(section.get(name), str) and section[name] != parameters[name].default:
            check_path(section[name], place / name)
    if (own := getattr(target, "check_options", None)) is not None:
        check_own(lambda: own(**{key: value for key, value in section.items() if key not in given}), place)


def _hint_of_default(default: object) -> Any:
    """Return a loose hint: what is like the default, or None; without default, all but a section."""
    if default is inspect.Parameter.empty:
        return bool | float | str | list | None
    for kind, hint in ((bool, bool), ((int, float), float), (str, str)):
        if isinstance(default, kind):
            return hint | None
    return Any


def check_type(hint: Any, value: object, place: Place) -> None:
    """Check a value as YAML gives it (lists also for tuples) against a type hint, without conversions."""
    try:
        is_schema = inspect.isclass(hint) and issubclass(hint, BaseModel)
        adapter = TypeAdapter(hint, config=None if is_schema else ConfigDict(arbitrary_types_allowed=True))
        adapter.validate_json(json.dumps(value, default=str), strict=True)
    except ValidationError as error:
        _fail(error.errors(include_url=False), value, place)


def check_own(check: Callable[[], Result], place: Place) -> Result:
    """Run a class's own ``check_options``: its ValueError("<key>=<value>: what is expected") gets file and section."""
    try:
        return check()
    except ValueError as error:
        raise InputError(f"{place.file}: {place.key + '.' if place.key else ''}{one_line(error)}") from None
    except (TypeError, AttributeError, ArithmeticError, LookupError) as error:  # inside a section that has no schema
        where = f"{place.file}: {place.key or 'the file'}"
        raise InputError(f"{where}: values of other types are expected ({one_line(error)})") from None


def check_registered(registry: Any, name: object, place: Place) -> Any:
    """Return what is registered under ``name``, or list the names nearest to it."""
    names = dict(iter(registry))
    if not isinstance(name, str):
        place.fail(name, "a registered name is expected")
    if name not in names and f"{name}_basicsr" not in names:
        place.fail(name, f"nothing of this name is registered; {nearest(name, names)}")
    return names.get(name, names.get(f"{name}_basicsr"))


def check_component(registry: Any, section: Mapping[str, Any], place: Place) -> Any:
    """Check a section against the registered class that its ``type`` names, and return that."""
    found = check_registered(registry, section.get("type"), place / "type")
    check_call(found, section, place)
    return found


def check_dataset(kind: Any, section: Mapping[str, Any], place: Place) -> None:
    """Check a section against a class of data sets: its ``Options``, paths, and its own ``check_options``."""
    if hasattr(kind, "Options"):
        check_schema(kind.Options, section, place)
    for name, value in section.items():
        if PATH_KEY.search(name):
            for path in value if isinstance(value, list) else [value]:
                check_path(path, place / name)
    if hasattr(kind, "check_options"):
        check_own(lambda: kind.check_options(section), place)


def check_path(value: object, place: Place) -> None:
    """Check that a file or folder, if one is named, exists."""
    if value is None:
        return
    if not isinstance(value, str):
        place.fail(value, "a path is expected")
    if not Path(value).expanduser().exists():
        place.fail(value, f"no such file or folder{'' if Path(value).is_absolute() else f' below {Path.cwd()}'}")


def _fail(errors: list[Any], value: Any, place: Place, schema: type[BaseModel] | None = None) -> NoReturn:
    """Turn the first of pydantic's errors, with those of the other members of its union, into our one line."""
    first = errors[0]
    section = value
    missing, unknown = first["type"] == "missing", first["type"] == "extra_forbidden"
    *sections, name = first["loc"] or (None,)
    field = known_part(value, tuple(sections) if missing or unknown else first["loc"])
    for part in field:
        place, value = place / part, value[part]
        schema = field_schema(schema, part)
    if unknown:
        (place / name).fail_unknown(schema.model_fields if schema else ())
    if missing:
        (place / name).fail_missing("the key is needed")
    messages = [e["msg"] for e in errors if known_part(section, e["loc"]) == field]
    expected = [re.sub(r"^(Input should be|Value error,) ", "", message) for message in dict.fromkeys(messages)]
    place.fail(first["input"], f"{' or '.join(expected).replace('valid array', 'list')} is expected")


def known_part(value: Any, loc: tuple) -> tuple:
    """Return those parts of pydantic's location that are in the data; the others name a union's members."""
    parts = []
    for part in loc:
        if (isinstance(value, Mapping) and part in value) or (isinstance(value, list) and isinstance(part, int)):
            parts.append(part)
            value = value[part]
    return tuple(parts)


def field_schema(schema: type[BaseModel] | None, field: Any) -> type[BaseModel] | None:
    """Return the schema of a field of ``schema``, if it has one, alone or with None."""
    if schema is None or field not in schema.model_fields:
        return None
    hint = schema.model_fields[field].annotation
    candidates = (hint, *typing.get_args(hint))
    return next((c for c in candidates if inspect.isclass(c) and issubclass(c, BaseModel)), None)
