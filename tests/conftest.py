"""Fixtures that the whole suite shares."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
try:
    import pytestqt.plugin
    from PySide6 import QtTest, QtWidgets  # noqa: F401
except ImportError:  # not installed, or one of the system's libraries is absent: such as libEGL
    pass
else:
    pytest_plugins = [pytestqt.plugin.__name__]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With ``-m cuda`` import only what has such tests: the rest may need packages that a GPU machine lacks."""
    if config.option.markexpr != "cuda" or not collection_path.name.startswith("test_"):
        return None
    return None if re.search(r"mark\.cuda|DEVICES", collection_path.read_text(encoding="utf-8")) else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests of GPUs where there is none."""
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("cuda"):
                item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.fixture(scope="session", autouse=True)
def whole_float32() -> Iterator[None]:
    """GPUs compute convolutions in fp32, not in TF32."""
    allowed, torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.allow_tf32, False
    yield
    torch.backends.cudnn.allow_tf32 = allowed


@pytest.fixture(scope="session")
def em_data() -> Path:
    """Folder of the real EM volumes; a test that needs them is skipped where they are absent."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("GPEMSR_TEST_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"the real EM volumes are absent: GPEMSR_TEST_DATA names no folder ({folder})")
    return folder
