"""Fixtures of the tests of MMagic's side. The folder is not named `mmagic`, which would stand for that package."""

import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from stage_runs import Stage
from tiny_stages import write_sections

from gpemsr import compat


@pytest.fixture(scope="session", autouse=True)
def patched_basicsr() -> None:
    compat.apply()


@pytest.fixture(autouse=True)
def plain_configs(monkeypatch) -> None:
    """mmengine formats each config five times, for its logs, which takes longer than the tests."""
    if find_spec("yapf") is not None:
        monkeypatch.setattr("yapf.yapflib.yapf_api.FormatCode", lambda text, **_: (text, True))


@pytest.fixture
def stage(tmp_path) -> Stage:
    """Stage III on two volumes, of four sections and of two."""
    write_sections(tmp_path)
    for name in ("hr", "lr_x8"):
        (tmp_path / name / "w").mkdir()
        for z, source in enumerate((3, 1)):
            shutil.copy(tmp_path / name / "v" / f"{source}.png", tmp_path / name / "w" / f"{z}.png")
    made = Stage(3, tmp_path, 8, {})
    made.options["val"]["metrics"]["ssim"] = {"type": "calculate_ssim", "crop_border": 0}
    return made


@pytest.fixture
def make_runner(stage) -> Callable[..., Any]:
    """Return a function (work folder's name, changes of the config) -> Runner."""
    from mmengine.runner import Runner
    from tiny_mmagic import tiny_config

    def make(name: str = "run", **changes: Any) -> Any:
        folder = Path(stage.folder, name)
        return Runner.from_cfg(tiny_config(stage.options, folder, **changes))

    return make
