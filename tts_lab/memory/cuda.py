"""The meter of a real card: peaks per stage from PyTorch's own statistics, and snapshots that memory_viz opens."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from tts_lab.errors import LabError
from tts_lab.memory.cards import Card, find_card
from tts_lab.memory.meter import DeviceMeter
from tts_lab.memory.replayed import Verdict
from tts_lab.memory.report import MemoryReport, StageReport
from tts_lab.whole import whole

HISTORY_EVENTS = 1_000_000


@dataclass(frozen=True)
class Peaks:
    """Highest bytes that PyTorch counted over some time."""

    allocated: int = 0
    reserved: int = 0
    requested: int = 0

    def __or__(self, other: Peaks) -> Peaks:
        return Peaks(*(max(pair) for pair in zip(vars(self).values(), vars(other).values(), strict=True)))


class CudaMeter(DeviceMeter):
    """Measures what a run takes of a card: `with CudaMeter() as meter: list(speak(system, request, recipe, meter))`.

    index: of the card. history: also record every allocation with its Python stack, for `snapshot`; it slows the run.
    Peaks start anew at each stage and count what was held before it, as a replay's do. Other programs on the card
    do not count, but what they hold shows in `outside`. Raises LabError where PyTorch sees no such card.
    """

    device = "cuda"

    def __init__(self, index: int = 0, *, history: bool = False) -> None:
        if not torch.cuda.is_available() or index >= torch.cuda.device_count():
            raise LabError(
                f"PyTorch sees no CUDA card {index} here, so nothing can be measured on one; predict with a trace, "
                "such as tts-lab vram mini --card rtx3070."
            )
        self.index, self.history = index, history
        self._peaks: dict[str, Peaks] = {}
        self._seconds: dict[str, float] = {}
        self._outside = 0

    def __enter__(self) -> CudaMeter:
        gc.collect()
        torch.cuda.init()
        torch.cuda.empty_cache()
        if self.history:
            torch.cuda.memory._record_memory_history(max_entries=HISTORY_EVENTS, device=self.index)
        self._restart()
        return self

    def __exit__(self, *error: object) -> None:
        self._note("")
        free, total = torch.cuda.mem_get_info(self.index)
        self._outside = total - free - torch.cuda.memory_reserved(self.index)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self._note("")
        start = time.perf_counter()
        try:
            yield
        finally:
            self._note(name)
            self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - start

    @property
    def stages(self) -> Mapping[str, float]:
        return MappingProxyType(self._seconds)

    @property
    def peaks(self) -> Mapping[str, Peaks]:
        """By stage; "" is what happened between stages."""
        return MappingProxyType(self._peaks)

    @property
    def outside(self) -> int:
        """Bytes of the card that are not PyTorch's: CUDA's context, libraries, and other programs."""
        return self._outside

    def report(self, card: Card | str | None = None, about: Mapping[str, Any] | None = None) -> MemoryReport:
        """What was measured, as a prediction is reported. card: None is the one that was measured on."""
        card = find_card(card) if card else measured_card(self.index)
        all_of_it = Peaks()
        for peaks in self._peaks.values():
            all_of_it |= peaks
        margin = card.total_bytes - self._outside - all_of_it.reserved
        stages = tuple(
            StageReport(name, p.allocated, p.reserved, seconds=self._seconds[name])
            for name, p in self._peaks.items() if name
        )  # fmt: skip
        about = {"device": "cuda", "torch": torch.__version__} | dict(about or {})
        return MemoryReport(
            "measured", card, self._verdict(margin), all_of_it.allocated, all_of_it.reserved, self._outside, margin,
            stages, peak_requested=all_of_it.requested, about=about,
        )  # fmt: skip

    def snapshot(self, path: str | Path) -> Path:
        """Write the recorded history, for https://docs.pytorch.org/memory_viz. Raises LabError without `history`."""
        if not self.history:
            raise LabError("No history was recorded: make the meter with history=True.")
        path = Path(path)
        try:
            with whole(path, "snapshot") as part:
                torch.cuda.memory._dump_snapshot(str(part))
        finally:
            torch.cuda.memory._record_memory_history(enabled=None, device=self.index)
        return path

    def _verdict(self, margin: int) -> Verdict:
        if margin < 0:
            return "out_of_memory"
        return "tight" if torch.cuda.memory_stats(self.index).get("num_alloc_retries", 0) else "fits"

    def _note(self, stage: str) -> None:
        """The peaks since the last call belong to `stage`."""
        torch.cuda.synchronize(self.index)
        statistics = torch.cuda.memory_stats(self.index)
        names = ("allocated_bytes.all.peak", "reserved_bytes.all.peak", "requested_bytes.all.peak")
        self._peaks[stage] = self._peaks.get(stage, Peaks()) | Peaks(*(statistics.get(name, 0) for name in names))
        self._restart()

    def _restart(self) -> None:
        torch.cuda.reset_peak_memory_stats(self.index)


def measured_card(index: int = 0) -> Card:
    """The card as it reports itself; what it does not tell (rates) is that of the table's card of its name."""
    found = torch.cuda.get_device_properties(index)
    try:
        known = find_card(found.name)
    except LabError:
        known = find_card(f"{found.total_memory / 2**30:.3f}GiB")
    return replace(
        known, name=found.name, total_bytes=found.total_memory, compute_capability=(found.major, found.minor)
    )
