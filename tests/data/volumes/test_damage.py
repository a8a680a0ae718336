"""Random damage to volumes of every format, by the script that does it a thousand times."""

from pathlib import Path

import pytest

pytest.importorskip("ncempy.io", reason="the extra formats is not installed")
pytest.importorskip("mrcfile", reason="the extra formats is not installed")


def test_damage_is_refused_in_one_line_and_never_silent_under_a_checksum(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[3] / "benchmarks")
    import damaged_volumes

    found, faults = damaged_volumes.run(40, seed=1)
    assert faults == []
    assert sum(sum(outcomes.values()) for outcomes in found.values()) == 40
    assert sum(outcomes["refused"] for outcomes in found.values()) > 10
