"""Memory of the process itself."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any


@lru_cache(maxsize=1)
def _trim() -> Any:
    """glibc's malloc_trim, or None where the C library has none (macOS, musl, Windows)."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):
        return None


def give_back_free_memory() -> bool:
    """Return freed memory to the system, where the C library can; says whether any was returned.

    Pieces of speech have all lengths, and glibc keeps the gaps that their tensors leave. This slows the growth of a
    process over a long text; it does not end it (figures in docs/LOG.md).
    """
    trim = _trim()
    return bool(trim and trim(0))
