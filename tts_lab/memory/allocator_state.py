"""What a simulated allocator says of itself: statistics, a snapshot, and the sentence when it gives up."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from tts_lab.errors import LabError

if TYPE_CHECKING:
    from tts_lab.memory.allocator import Allocator
    from tts_lab.memory.blocks import Block


class OutOfMemoryError(LabError):
    """The card cannot hold the run. The text is PyTorch's own.

    tried: bytes that were asked of the card; short: how many of them were missing.
    """

    def __init__(self, text: str, tried: int, short: int) -> None:
        super().__init__(text)
        self.tried, self.short = tried, short


@dataclass(frozen=True)
class Statistics:
    """Bytes now and at their highest, counted as torch.cuda.memory_stats counts them.

    requested: what was asked for; allocated: blocks in use, with rounding and unsplit tails; active: also blocks that
    other streams still use; reserved: taken from the card; inactive_split: idle but beside used blocks, so not
    returnable (fixed segments only). segments: fixed segments. retries: times the cache was emptied because the card
    was full. ooms: requests that failed. device_allocations, device_releases: calls to the driver.
    """

    requested: int
    requested_peak: int
    allocated: int
    allocated_peak: int
    active: int
    active_peak: int
    reserved: int
    reserved_peak: int
    inactive_split: int
    inactive_split_peak: int
    segments: int
    segments_peak: int
    retries: int
    ooms: int
    device_allocations: int
    device_releases: int

    @classmethod
    def of(cls, allocator: Allocator) -> Statistics:
        device = allocator.device
        return cls(
            requested=allocator.requested,
            requested_peak=allocator.requested_peak,
            allocated=allocator.allocated,
            allocated_peak=allocator.allocated_peak,
            active=allocator.active,
            active_peak=allocator.active_peak,
            reserved=device.reserved,
            reserved_peak=device.reserved_peak,
            inactive_split=allocator.inactive_split,
            inactive_split_peak=allocator.inactive_split_peak,
            segments=device.segments,
            segments_peak=device.segments_peak,
            retries=allocator.retries,
            ooms=allocator.ooms,
            device_allocations=device.allocations,
            device_releases=device.releases,
        )

    def as_torch(self) -> dict[str, int]:
        """The same under the keys of torch.cuda.memory_stats."""
        values = asdict(self)
        found = {}
        for name in ("requested", "allocated", "active", "reserved", "inactive_split"):
            found[f"{name}_bytes.all.current"] = values[name]
            found[f"{name}_bytes.all.peak"] = values[f"{name}_peak"]
        return found | {
            "segment.all.current": self.segments,
            "segment.all.peak": self.segments_peak,
            "num_alloc_retries": self.retries,
            "num_ooms": self.ooms,
            "num_device_alloc": self.device_allocations,
            "num_device_free": self.device_releases,
        }


def format_size(size: int) -> str:
    """Bytes as PyTorch's messages write them, with two decimals: `20.00 MiB`."""
    for limit, unit, name in ((2**20, 2**10, "KiB"), (2**30, 2**20, "MiB")):
        if 1024 < size <= limit:
            return f"{size / unit:.2f} {name}"
    return f"{size} bytes" if size <= 1024 else f"{size / 2**30:.2f} GiB"


def out_of_memory_text(allocator: Allocator, tried: int) -> str:
    """The message of torch.OutOfMemoryError for a request that made the allocator ask the card for `tried` bytes."""
    device = allocator.device
    allowed = "" if allocator.allowed is None else f"{format_size(allocator.allowed)} allowed; "
    in_use = format_size(device.outside + device.reserved)
    return (
        f"CUDA out of memory. Tried to allocate {format_size(tried)}. GPU 0 has a total capacity of "
        f"{format_size(device.total)} of which {format_size(device.free)} is free. "
        f"Including non-PyTorch memory, this process has {in_use} memory in use. {allowed}"
        f"Of the allocated memory {format_size(allocator.allocated)} is allocated by PyTorch, and "
        f"{format_size(device.reserved - allocator.allocated)} is reserved by PyTorch but unallocated. "
        "If reserved but unallocated memory is large try setting PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True "
        "to avoid fragmentation.  See documentation for Memory Management  "
        "(https://docs.pytorch.org/docs/stable/notes/cuda.html#optimizing-memory-usage-with-pytorch-cuda-alloc-conf)"
    )


def snapshot(allocator: Allocator) -> list[dict[str, object]]:
    """Segments in the order of their addresses, each with its blocks; an expandable one per mapped range."""
    idle = [block for pool in (allocator.small, allocator.large) for block in pool.blocks()]
    heads = [
        block for block in (*allocator.live, *idle) if block.prev is None or (block.virtual and not block.prev.mapped)
    ]
    return [_segment(head) for head in sorted(heads, key=lambda block: block.address)]


def _segment(head: Block) -> dict[str, object]:
    blocks = []
    block: Block | None = head
    while block is not None and block.mapped:
        blocks.append(block)
        block = block.next
    active = [each for each in blocks if each.allocated or each.waiting]
    return {
        "device": 0,
        "address": head.address,
        "stream": head.stream,
        "segment_type": "small" if head.pool.small else "large",
        "is_expandable": head.virtual is not None,
        "total_size": sum(each.size for each in blocks),
        "allocated_size": sum(each.size for each in blocks if each.allocated),
        "active_size": sum(each.size for each in active),
        "requested_size": sum(each.requested for each in active),
        "blocks": [_plain(each) for each in blocks],
    }


def _plain(block: Block) -> dict[str, object]:
    active = block.allocated or block.waiting
    return {
        "address": block.address,
        "size": block.size,
        "requested_size": block.requested if active else 0,
        "state": "active_allocated" if block.allocated else "active_pending_free" if active else "inactive",
    }
