"""Fixtures that the whole suite shares."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def em_data() -> Path:
    """Folder of the real EM volumes; a test that needs them is skipped where they are absent."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("GPEMSR_TEST_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"the real EM volumes are absent: GPEMSR_TEST_DATA names no folder ({folder})")
    return folder
