"""Where a signal ends a training."""

import os
import signal
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch

from gpemsr.models.stopping import Stopped, Stopping


@pytest.fixture
def stopping() -> Iterator[Stopping]:
    stopping = Stopping()
    with stopping.handled():
        yield stopping


def test_before_there_is_a_model_it_ends_at_once(stopping):
    with pytest.raises(Stopped, match="SIGTERM"):
        signal.raise_signal(signal.SIGTERM)


def test_but_not_while_an_object_is_destroyed(stopping):
    """What is raised there is printed with a traceback and goes no further."""
    destroyed = []

    class Loader:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)
            destroyed.append(True)

    Loader()
    assert destroyed
    with pytest.raises(Stopped, match="SIGTERM"):
        stopping.pause()


@pytest.mark.parametrize("place", ["pause", "end_step"])
def test_with_a_model_it_ends_at_a_place_for_it_only(stopping, place):
    stopping.watch(SimpleNamespace(opt={"dist": False}))
    getattr(stopping, place)()
    signal.raise_signal(signal.SIGHUP)
    with pytest.raises(Stopped) as ended:
        getattr(stopping, place)()
    assert ended.value.code == 129


def test_a_signal_that_comes_while_processes_agree_is_for_the_next_step(stopping, monkeypatch):
    monkeypatch.setattr(torch.distributed, "new_group", lambda backend: backend)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda *_: signal.raise_signal(signal.SIGTERM))
    stopping.watch(SimpleNamespace(opt={"dist": True}))
    stopping.end_step()
    with pytest.raises(Stopped, match="SIGTERM"):
        stopping.end_step()


def test_a_worker_that_was_just_forked_goes_on(stopping):
    child = os.fork()
    if not child:
        try:
            signal.raise_signal(signal.SIGTERM)
        except BaseException:
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
