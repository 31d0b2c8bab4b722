"""Blocks of device memory and the pools of idle ones: best fit and merging, as in PyTorch's caching allocator.

A segment is what the device gave in one piece. Blocks tile it, each knowing its neighbours; idle ones wait in a pool,
ordered by stream, size and address.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator

from tts_lab.memory.allocator_settings import UNLIMITED, Settings


class VirtualSegment:
    """Address range of an expandable segment; pages of `page` bytes are mapped into it as needed."""

    __slots__ = ("address", "page", "size")

    def __init__(self, address: int, size: int, page: int) -> None:
        self.address, self.size, self.page = address, size, page


class Block:
    """A range of addresses, in use or idle. It is the handle that `Allocator.malloc` gives.

    requested: bytes asked for, before rounding. mapped: backed by memory (always, but in an expandable segment).
    uses: streams other than its own that work with it. waiting: unfinished events of those streams after its free.
    born: value of the pool's search counter when it became idle, for its age.
    """

    __slots__ = (
        "address",
        "allocated",
        "born",
        "mapped",
        "next",
        "pool",
        "prev",
        "requested",
        "size",
        "stream",
        "uses",
        "virtual",
        "waiting",
    )

    def __init__(self, pool: Pool, stream: int, address: int, size: int, virtual: VirtualSegment | None = None) -> None:
        self.pool, self.stream, self.address, self.size, self.virtual = pool, stream, address, size, virtual
        self.mapped = True
        self.requested = self.waiting = self.born = 0
        self.allocated = False
        self.uses: set[int] | None = None
        self.prev: Block | None = None
        self.next: Block | None = None

    @property
    def is_split(self) -> bool:
        return self.prev is not None or self.next is not None

    @property
    def is_idle(self) -> bool:
        return not (self.allocated or self.waiting or self.uses)

    def split_off(self, size: int) -> Block:
        """Keep the first `size` bytes; the rest becomes a new block to the right, which is returned."""
        rest = Block(self.pool, self.stream, self.address + size, self.size - size, self.virtual)
        rest.mapped = self.mapped
        self.size = size
        rest.prev, rest.next = self, self.next
        if self.next is not None:
            self.next.prev = rest
        self.next = rest
        return rest


class Pool:
    """Idle blocks of one kind, small or large. Each operation costs a bisection of the stream's sorted list."""

    def __init__(self, small: bool) -> None:
        self.small = small
        self.idle: dict[int, list[tuple[int, int, Block]]] = {}  # by stream: (size, address, block)
        self.unmapped: dict[int, list[tuple[int, Block]]] = {}  # by stream: (address, block)
        self.searches = 0  # counted only while garbage is collected

    def add(self, block: Block) -> None:
        block.born = self.searches
        insort(self.idle.setdefault(block.stream, []), (block.size, block.address, block))

    def remove(self, block: Block) -> None:
        line = self.idle[block.stream]
        del line[bisect_left(line, (block.size, block.address))]  # type: ignore[arg-type]

    def add_unmapped(self, block: Block) -> None:
        insort(self.unmapped.setdefault(block.stream, []), (block.address, block))

    def remove_unmapped(self, block: Block) -> None:
        line = self.unmapped[block.stream]
        del line[bisect_left(line, (block.address,))]  # type: ignore[arg-type]

    def blocks(self) -> Iterator[Block]:
        """Every idle block by stream, size, address; a copy, so that the pool may change meanwhile."""
        for stream in sorted(self.idle):
            for _, _, block in list(self.idle[stream]):
                yield block

    def take_best(self, size: int, stream: int, settings: Settings, limit: int) -> Block | None:
        """Remove and return the smallest idle block of the stream with at least `size` bytes, or None.

        limit: settings.max_split_size. A block of that size and more serves only requests of its own class, and only
        where it is not too much larger.
        """
        line = self.idle.get(stream)
        if not line:
            return None
        at = bisect_left(line, (size,))  # type: ignore[arg-type]
        if at == len(line):
            return None
        block = line[at][2]
        if block.virtual is not None:
            at = _least_expandable(line, at)
            block = line[at][2]
        if limit != UNLIMITED and _breaks_limit(block.size, size, limit, settings.max_non_split_rounding):
            return None
        del line[at]
        return block

    def merge(self, block: Block, other: Block | None) -> int:
        """Swallow the neighbour `other` where it is idle and mapped like `block`; the bytes gained, else 0."""
        if other is None or other.allocated or other.waiting or other.uses or block.mapped != other.mapped:
            return 0
        if other.mapped:
            self.remove(other)
        else:
            self.remove_unmapped(other)
        if block.prev is other:
            block.address, block.prev = other.address, other.prev
            if block.prev is not None:
                block.prev.next = block
        else:
            block.next = other.next
            if block.next is not None:
                block.next.prev = block
        block.size += other.size
        return other.size


def _breaks_limit(block: int, size: int, limit: int, rounding: int) -> bool:
    return block >= limit if size < limit else block >= size + rounding


def _least_expandable(line: list[tuple[int, int, Block]], at: int) -> int:
    """Best fit where a block at the growing end of a segment counts as large as it can become."""

    def reach(block: Block) -> int:
        after = block.next
        return block.size + (after.size if after is not None and not after.mapped else 0)

    while at + 1 < len(line) and line[at][2].virtual is not None and reach(line[at + 1][2]) < reach(line[at][2]):
        at += 1
    return at
