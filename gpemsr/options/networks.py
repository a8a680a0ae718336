"""Checks of network options that need no network to be built."""

from __future__ import annotations

import inspect
from types import SimpleNamespace


class OptionChecked:
    """Mixin for networks whose options depend on each other.

    A subclass implements ``_check(options)``, which gets every constructor option as an attribute
    (defaults filled in) and raises ValueError("<key>=<value>: what is expected").
    """

    @classmethod
    def check_options(cls, **options) -> None:
        """Raise ValueError naming the first wrong option; TypeError for an unknown one."""
        bound = inspect.signature(cls).bind(**options)
        bound.apply_defaults()
        cls._check(SimpleNamespace(**bound.arguments))

    @classmethod
    def _check(cls, options: SimpleNamespace) -> None:
        """Raise ValueError("<key>=<value>: what is expected")."""


def check_positive(options: SimpleNamespace, *keys: str) -> None:
    """Raise ValueError unless every named option is a positive integer."""
    for key in keys:
        value = getattr(options, key)
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{key}={value}: a positive integer")


def check_widths(channels: list[int], divisor: int, key: str, length: int) -> None:
    """Raise ValueError unless ``channels`` has ``length`` widths that GroupNorm can split into ``divisor`` groups."""
    if (
        not isinstance(channels, list | tuple)
        or len(channels) != length
        or any(not isinstance(c, int) or c <= 0 or c % divisor for c in channels)
    ):
        groups = f", each a positive multiple of norm_groups={divisor}" if divisor > 1 else ", each positive"
        raise ValueError(f"{key}={channels}: {length} widths{groups}")


def check_nested(network: type[OptionChecked], options: dict | None, key: str) -> None:
    """Check the options of a network inside another; raise ValueError naming ``key.<option>``."""
    accepted = list(inspect.signature(network).parameters)
    for name in options or {}:
        if name not in accepted:
            raise ValueError(f"{key}.{name}: unknown; {network.__name__} takes {', '.join(accepted)}")
    try:
        network.check_options(**(options or {}))
    except ValueError as error:
        raise ValueError(f"{key}.{error}") from None
