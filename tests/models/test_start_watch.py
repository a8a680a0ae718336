"""The warning of a training that has not left its start."""

import logging

import pytest

from gpemsr.models.start_watch import StartWatch


@pytest.fixture
def warnings(caplog):
    """Texts of the warnings logged so far."""
    logger = logging.getLogger("basicsr")
    logger.addHandler(caplog.handler)
    yield lambda: [record.message for record in caplog.records if record.levelno == logging.WARNING]
    logger.removeHandler(caplog.handler)


@pytest.mark.parametrize(("gain", "attention"), [(0.0, 0.5), (-0.3, None), (1.0, 1e-4), (None, 0.0)])
def test_a_start_that_is_not_left_is_told_once_with_both_figures(warnings, gain, attention):
    watch = StartWatch(100)
    watch.gain = gain
    watch.check(9, attention)
    assert warnings() == []
    watch.check(10, attention)
    watch.check(20, attention)
    [text] = warnings()
    assert "After 10 of 100 iterations" in text
    assert ("not validated yet" if gain is None else f"{gain:+.2f} dB") in text
    assert ("none" if attention is None else f"{attention:.2g}") in text


@pytest.mark.parametrize(("gain", "attention"), [(0.5, 0.5), (0.5, None), (None, 0.5)])
def test_a_training_that_learns_is_not_warned_of(warnings, gain, attention):
    watch = StartWatch(100)
    watch.gain = gain
    watch.check(50, attention)
    assert warnings() == []
