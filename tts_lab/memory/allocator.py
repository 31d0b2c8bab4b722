"""A simulator of PyTorch's CUDA caching allocator: it hands out addresses, no memory.

It follows the documented behaviour and the rules in `c10/cuda/CUDACachingAllocator.cpp` of PyTorch 2.13: pools of small
and large blocks, best fit, splitting, merging, garbage collection, expandable segments, retry after the cache has been
emptied, and the error when that does not help. Not simulated: CUDA graphs' private pools and the driver's own addresses
(they decide only which of two equally large segments is taken first).
"""

from __future__ import annotations

from collections import deque

from tts_lab.errors import LabError
from tts_lab.memory.allocator_settings import MIN_BLOCK_SIZE, SMALL_SIZE, UNLIMITED, Settings
from tts_lab.memory.allocator_state import OutOfMemoryError, Statistics, out_of_memory_text, snapshot
from tts_lab.memory.blocks import Block, Pool
from tts_lab.memory.segments import Device, grow, new_segment, release_segment, shrink


class Allocator:
    """The memory of one card in one process.

    total: bytes of the card. outside: bytes that are not the allocator's (CUDA context, other processes).
    settings: what PYTORCH_CUDA_ALLOC_CONF would say.
    Statistics as attributes, in bytes: `allocated` counts blocks as torch.cuda.memory_allocated does, `requested` what
    was asked for, `active` also blocks that wait for other streams; `*_peak` their highest values.
    """

    def __init__(self, total: int, outside: int = 0, settings: Settings | None = None) -> None:
        if total <= 0 or not 0 <= outside <= total:
            raise LabError(f"A card of {total} bytes of which {outside} are taken is impossible; give a positive size.")
        self.settings = settings or Settings()
        self.device = Device(total, outside)
        self.small, self.large = Pool(small=True), Pool(small=False)
        self.live: set[Block] = set()
        self.allocated = self.allocated_peak = self.requested = self.requested_peak = 0
        self.active = self.active_peak = self.inactive_split = self.inactive_split_peak = 0
        self.retries = self.ooms = 0
        self._events: dict[int, deque[Block]] = {}  # by stream: blocks that wait for what it was doing
        self._finished: dict[int, int] = {}  # by stream: how many of those events have passed
        self._limit = self.settings.max_split_size
        self._plain = not any(self.settings.roundup_power2_divisions)
        self.set_memory_fraction(self.settings.per_process_memory_fraction)

    # --- what a program does ---

    def malloc(self, size: int, stream: int = 0) -> Block:
        """A block of at least `size` bytes for work on `stream`.

        Raises OutOfMemoryError where the card is full, LabError where the size is not positive.
        """
        if size <= 0:
            raise LabError(
                f"An allocation of {size} bytes is impossible: it must be positive; empty tensors take none."
            )
        if self._events:
            self._free_finished()
        if self._plain:
            rounded = (size + MIN_BLOCK_SIZE - 1) // MIN_BLOCK_SIZE * MIN_BLOCK_SIZE
        else:
            rounded = self.settings.round_size(size)
        pool = self.small if rounded <= SMALL_SIZE else self.large
        if self._collects:
            pool.searches += 1
        block = pool.take_best(rounded, stream, self.settings, self._limit)
        if block is None:
            block = self._reserve(pool, rounded, stream)
        self._hand_out(block, size, rounded)
        return block

    def free(self, block: Block) -> None:
        """The program is done with the block; other streams may not be. Raises LabError where it was freed before."""
        if not block.allocated:
            raise LabError(f"The block at {block.address:#x} was freed twice; the log of allocations is damaged.")
        block.allocated = False
        self.allocated -= block.size
        if block.uses:
            for stream in sorted(block.uses):
                block.waiting += 1
                self._events.setdefault(stream, deque()).append(block)
            block.uses = None
        else:
            self._retire(block)

    def record_stream(self, block: Block, stream: int) -> None:
        """Another stream works with the block: after its free it stays active until that stream is synchronised."""
        if stream != block.stream:
            block.uses = (block.uses or set()) | {stream}

    def synchronize(self, stream: int | None = None) -> None:
        """All work given to a stream so far (None: to every stream) is done; the next malloc gathers its blocks."""
        for each in self._events if stream is None else [stream]:
            self._finished[each] = len(self._events.get(each, ()))

    def empty_cache(self) -> None:
        """Wait for all streams, then return every idle segment to the card."""
        self.synchronize()
        self._free_finished()
        for pool in (self.large, self.small):
            virtual = []
            for block in pool.blocks():
                if block.virtual is not None:
                    virtual.append(block)
                elif not block.is_split:
                    release_segment(self.device, block)
            for block in virtual:
                shrink(self.device, block)

    def set_memory_fraction(self, fraction: float) -> None:
        """Like torch.cuda.set_per_process_memory_fraction: the share of the card's total that may be reserved."""
        if not 0 <= fraction <= 1:
            raise LabError(f"A memory fraction of {fraction} is impossible; give one from 0 to 1.")
        self.allowed = None if fraction == 1 else int(fraction * self.device.total)
        self._collects = self.allowed is not None and self.settings.garbage_collection_threshold > 0

    def reset_peaks(self) -> None:
        """Peaks start again from what is held now, like torch.cuda.reset_peak_memory_stats."""
        self.allocated_peak, self.requested_peak, self.active_peak = self.allocated, self.requested, self.active
        self.inactive_split_peak = self.inactive_split
        self.device.reserved_peak, self.device.segments_peak = self.device.reserved, self.device.segments

    # --- what can be read ---

    @property
    def reserved(self) -> int:
        return self.device.reserved

    @property
    def reserved_peak(self) -> int:
        return self.device.reserved_peak

    def statistics(self) -> Statistics:
        return Statistics.of(self)

    def snapshot(self) -> list[dict[str, object]]:
        """Segments and their blocks as plain data, in the shape of torch.cuda.memory_snapshot."""
        return snapshot(self)

    # --- how it does it ---

    def _reserve(self, pool: Pool, rounded: int, stream: int) -> Block:
        """Memory that was not in the pool; the cache is given up in steps before that fails."""
        size = self.settings.segment_size(rounded)
        if self._collects:
            self._collect_garbage()
        block = self._take(pool, rounded, stream, size)
        if block is None and self._release_oversize(pool, rounded, stream):
            block = self._take(pool, rounded, stream, size)
        if block is None:
            self.empty_cache()
            self.retries += 1
            block = self._take(pool, rounded, stream, size)
        if block is None:
            self.ooms += 1
            room = self.device.free if self.allowed is None else min(self.device.free, self.allowed - self.reserved)
            raise OutOfMemoryError(out_of_memory_text(self, size), size, size - room)
        return block

    def _take(self, pool: Pool, rounded: int, stream: int, size: int) -> Block | None:
        if self.allowed is not None and self.device.reserved + size > self.allowed:
            return None
        if self.settings.expandable_segments:
            return grow(self.device, pool, stream, rounded, self.settings)
        return new_segment(self.device, pool, stream, size)

    def _hand_out(self, block: Block, size: int, rounded: int) -> None:
        """Cut the block to size where that is worth it, and count it."""
        rest = block.size - rounded
        fixed = block.virtual is None
        was_split = block.is_split
        if rest and self._splits(block.pool, rest, rounded):
            block.pool.add(block.split_off(rounded))
            if fixed:
                self._count_inactive(-rounded if was_split else rest)
        elif was_split and fixed:
            self._count_inactive(-block.size)
        block.allocated, block.requested = True, size
        self.live.add(block)
        self.allocated += block.size
        self.active += block.size
        self.requested += size
        if self.allocated > self.allocated_peak:
            self.allocated_peak = self.allocated
        if self.active > self.active_peak:
            self.active_peak = self.active
        if self.requested > self.requested_peak:
            self.requested_peak = self.requested

    def _splits(self, pool: Pool, rest: int, rounded: int) -> bool:
        if pool.small or self.settings.expandable_segments:
            return rest >= MIN_BLOCK_SIZE
        return rest > SMALL_SIZE and rounded < self._limit

    def _retire(self, block: Block) -> None:
        """No stream needs the block any more: merge it with idle neighbours and pool it."""
        self.live.remove(block)
        self.active -= block.size
        self.requested -= block.requested
        gained = block.pool.merge(block, block.prev) + block.pool.merge(block, block.next)
        block.pool.add(block)
        if block.virtual is None:
            self._count_inactive((block.size if block.is_split else 0) - gained)

    def _count_inactive(self, change: int) -> None:
        """Idle bytes beside used ones in a fixed segment: they cannot be returned to the card."""
        self.inactive_split += change
        if self.inactive_split > self.inactive_split_peak:
            self.inactive_split_peak = self.inactive_split

    def _free_finished(self) -> None:
        for stream, count in self._finished.items():
            queue = self._events.get(stream, deque())
            for _ in range(count):
                block = queue.popleft()
                block.waiting -= 1
                if not block.waiting:
                    self._retire(block)
            if not queue:
                self._events.pop(stream, None)
        self._finished.clear()

    def _collect_garbage(self) -> None:
        """Above the threshold, return idle segments that are at least as old as the average, until enough is free."""
        assert self.allowed is not None
        target = self.device.reserved - int(self.settings.garbage_collection_threshold * self.allowed)
        idle = [block for block in self.large.blocks() if not block.is_split and block.virtual is None]
        while target > 0 and idle:
            average = sum(self._age(block) for block in idle) / len(idle)
            old = [block for block in idle if self._age(block) >= average]
            for block in old:
                release_segment(self.device, block)
                target -= block.size
            idle = [block for block in idle if self._age(block) < average]

    def _age(self, block: Block) -> int:
        return block.pool.searches - block.born

    def _release_oversize(self, pool: Pool, rounded: int, stream: int) -> bool:
        """With max_split_size: return one idle segment that is large enough, else several, the largest first."""
        if self._limit == UNLIMITED:
            return False
        line = [b for _, _, b in pool.idle.get(stream, ()) if b.size >= self._limit and b.virtual is None]
        enough = [block for block in line if block.size >= rounded]
        if enough:
            release_segment(self.device, enough[0])
            return True
        freed = 0
        while line and freed < rounded:
            block = line.pop()
            freed += block.size
            release_segment(self.device, block)
        return freed >= rounded
