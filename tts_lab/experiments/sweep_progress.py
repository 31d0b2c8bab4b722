"""How far a sweep is: a bar where a person is watching, else one sentence when it is known how long the rest takes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, Self

ENOUGH = 4  # cells, after which the pace can be told; the first holds the loading of the system


class Progress:
    """Counts finished cells. total: of the grid; left: of those, not finished yet. show: None decides by itself."""

    def __init__(self, total: int, left: int, tell: Callable[[str], None], show: bool | None = None) -> None:
        from tqdm.auto import tqdm

        self._left, self._tell, self._first, self._count = left, tell, 0.0, 0
        self._shown = is_watched() if show is None else show
        self._bar: Any = tqdm(total=total, initial=total - left, unit="cell", desc="sweep", disable=not self._shown,
                              smoothing=0.1)  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def advance(self) -> None:
        """One more cell is finished."""
        self._bar.update()
        self._count += 1
        now = time.monotonic()
        self._first = self._first or now
        if self._count == ENOUGH and self._left > 2 * ENOUGH and not self._shown:
            rest = (now - self._first) / (ENOUGH - 1) * (self._left - ENOUGH)
            self._tell(f"About {spoken(rest)} for the {self._left - ENOUGH} cells that are left.")


def is_watched() -> bool:
    """Whether stderr is a terminal, or this is a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return sys.stderr.isatty() or hasattr(shell, "kernel")


def spoken(seconds: float) -> str:
    """`40 seconds`, `12 minutes`, `3.5 hours`."""
    if seconds < 90:
        return f"{max(1, round(seconds))} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 90 * 60 else f"{seconds / 3600:.1f} hours"
