"""Settings of glibc's malloc."""

import ctypes
import sys
from types import SimpleNamespace

import pytest

from gpemsr.compat.torch_settings import LARGE_BLOCK, M_MMAP_THRESHOLD, OLD_LIMIT, keep_freed_memory


@pytest.mark.parametrize(("limit", "expected"), [(2**40, LARGE_BLOCK), (OLD_LIMIT, OLD_LIMIT)])
def test_malloc_keeps_blocks_as_large_as_this_glibc_allows(monkeypatch, limit, expected):
    taken = {}

    def mallopt(option: int, value: int) -> int:
        if option == M_MMAP_THRESHOLD and value > limit:
            return 0
        taken[option] = value
        return 1

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace(mallopt=mallopt))
    keep_freed_memory()
    assert taken[M_MMAP_THRESHOLD] == expected
