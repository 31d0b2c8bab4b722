"""Freed memory goes back to the system, and where that is not possible nothing breaks."""

import ctypes
import sys

import psutil
import pytest

from tts_lab.memory import host


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs glibc")
def test_gaps_between_kept_blocks_are_returned() -> None:
    if host._trim() is None:
        pytest.skip("this C library cannot trim")
    process = psutil.Process()
    blocks = [ctypes.create_string_buffer(b"x" * 60_000) for _ in range(2000)]  # below glibc's mmap threshold
    del blocks[1::2]
    blocks = blocks[::200]  # a few stay, so that the heap cannot simply shrink
    before = process.memory_info().rss
    host.give_back_free_memory()
    assert before - process.memory_info().rss > 50 << 20
    assert len(blocks) == 5


def test_a_c_library_without_it_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "_trim", lambda: None)
    assert host.give_back_free_memory() is False
