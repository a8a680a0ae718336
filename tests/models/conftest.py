"""Fixtures of the tests of the models."""

from collections.abc import Callable
from typing import Any

import pytest
from stage_runs import Stage
from tiny_stages import write_sections

from gpemsr import compat


@pytest.fixture(scope="session", autouse=True)
def patched_basicsr() -> None:
    """What the launchers do."""
    compat.apply()


@pytest.fixture
def make_stage(tmp_path) -> Callable[..., Stage]:
    """Return a function (stage, scale, **train options) -> :class:`Stage`."""

    def make(stage: int, scale: int = 8, **train: Any) -> Stage:
        write_sections(tmp_path, scale)
        return Stage(stage, tmp_path, scale, train)

    return make
