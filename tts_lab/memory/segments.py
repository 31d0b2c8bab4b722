"""Where segments come from: the device's memory, fixed segments (cudaMalloc) and expandable ones (virtual pages)."""

from __future__ import annotations

from tts_lab.memory.allocator_settings import ROUND_LARGE, SMALL_BUFFER, Settings
from tts_lab.memory.blocks import Block, Pool, VirtualSegment


class Device:
    """Memory of a card as the allocator sees it: a total, a part that others hold, and what it has reserved.

    total: bytes that the card reports. outside: bytes held outside the allocator (context, other processes).
    Addresses only grow, so that two segments of one size are told apart by their age.
    """

    def __init__(self, total: int, outside: int = 0) -> None:
        self.total, self.outside = total, outside
        self.reserved = self.reserved_peak = 0
        self.segments = self.segments_peak = 0  # fixed ones, as torch counts them
        self.allocations = self.releases = 0  # calls to the driver
        self._next_address = ROUND_LARGE

    @property
    def free(self) -> int:
        return max(self.total - self.outside - self.reserved, 0)

    def take(self, size: int) -> bool:
        """Reserve `size` bytes where the card still has them."""
        if self.outside + self.reserved + size > self.total:
            return False
        self.reserved += size
        self.reserved_peak = max(self.reserved_peak, self.reserved)
        self.allocations += 1
        return True

    def give_back(self, size: int) -> None:
        self.reserved -= size
        self.releases += 1

    def address(self, size: int) -> int:
        """Start of a fresh range of addresses, on a page border."""
        start = self._next_address
        self._next_address += -(-size // ROUND_LARGE) * ROUND_LARGE
        return start


def new_segment(device: Device, pool: Pool, stream: int, size: int) -> Block | None:
    """A fixed segment as one block, or None where the card is full."""
    if not device.take(size):
        return None
    device.segments += 1
    device.segments_peak = max(device.segments_peak, device.segments)
    return Block(pool, stream, device.address(size), size)


def release_segment(device: Device, block: Block) -> None:
    """Return the fixed segment that the idle `block` fills."""
    block.pool.remove(block)
    device.give_back(block.size)
    device.segments -= 1


def grow(device: Device, pool: Pool, stream: int, size: int, settings: Settings) -> Block | None:
    """A block of at least `size` bytes at the lowest address where idle and unmapped ranges of a segment offer it.

    Pages are mapped until it is large enough. None where the card is full; pages mapped by then stay in the pool.
    """
    block = _room(pool, stream, size) or _new_virtual(device, pool, stream, settings)
    if not block.mapped and not _map(device, block, min(block.size, size)):
        return None
    while block.size < size:
        after = block.next
        assert after is not None
        if not _map(device, after, min(size - block.size, after.size)):
            return None
        block = after  # it has swallowed the block to its left
    pool.remove(block)
    return block


def shrink(device: Device, block: Block) -> None:
    """Unmap the whole pages inside the idle `block` of an expandable segment; an empty segment disappears."""
    virtual, pool = block.virtual, block.pool
    assert virtual is not None
    start, end = block.address - virtual.address, block.address + block.size - virtual.address
    first, last = -(-start // virtual.page) * virtual.page, end // virtual.page * virtual.page
    if first >= last:
        return
    pool.remove(block)
    if first > start:
        left, block = block, block.split_off(first - start)
        pool.add(left)
    if last < end:
        pool.add(block.split_off(last - first))
    block.mapped = False
    device.give_back(last - first)
    pool.merge(block, block.prev)
    pool.merge(block, block.next)
    if block.is_split:
        pool.add_unmapped(block)


def _room(pool: Pool, stream: int, size: int) -> Block | None:
    for _, block in pool.unmapped.get(stream, ()):
        start = block.prev if block.prev is not None and block.prev.is_idle else block
        room, at = 0, start
        while room < size and at is not None and at.is_idle:
            room, at = room + at.size, at.next  # type: ignore[assignment]
        if room >= size:
            return start
    return None


def _new_virtual(device: Device, pool: Pool, stream: int, settings: Settings) -> Block:
    """An unmapped segment of 1 1/8 times the card's memory, in pages of 2 MiB (small) or 20 MiB (large)."""
    page = SMALL_BUFFER if pool.small else settings.large_segment_size
    size = -(-(device.total + device.total // 8) // page) * page
    virtual = VirtualSegment(device.address(size), size, page)
    block = Block(pool, stream, virtual.address, size, virtual)
    block.mapped = False
    pool.add_unmapped(block)
    return block


def _map(device: Device, block: Block, size: int) -> bool:
    """Back the first `size` bytes of an unmapped block with pages and put it among the idle ones."""
    virtual, pool = block.virtual, block.pool
    assert virtual is not None
    whole = -(-size // virtual.page) * virtual.page
    if not device.take(whole):
        return False
    pool.remove_unmapped(block)
    if whole < block.size:
        pool.add_unmapped(block.split_off(whole))
    block.mapped = True
    pool.merge(block, block.prev)
    pool.merge(block, block.next)
    pool.add(block)
    return True
