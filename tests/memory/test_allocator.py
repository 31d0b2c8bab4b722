"""The allocator against PyTorch's header and library, and against scenarios worked by hand from its rules."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

import pytest
import torch

from tts_lab.errors import LabError, RecipeError
from tts_lab.memory import allocator_settings as rules
from tts_lab.memory.allocator import Allocator
from tts_lab.memory.allocator_settings import Settings, round_to_division
from tts_lab.memory.allocator_state import OutOfMemoryError, format_size

MIB = 1024 * 1024
TORCH = Path(torch.__file__).parent
DIVISIONS = "_ZN3c1016CachingAllocator26AcceleratorAllocatorConfig24roundup_power2_divisionsEm"


def card(mib: int = 1000, settings: str = "", outside: int = 0) -> Allocator:
    return Allocator(mib * MIB, outside * MIB, Settings.parse(settings))


def mib(*values: int) -> list[float]:
    return [value / MIB for value in values]


# --- the installed PyTorch ---


@pytest.fixture(scope="module")
def header() -> str:
    path = TORCH / "include/c10/core/AllocatorConfig.h"
    if not path.is_file():
        pytest.skip("this build of PyTorch has no headers")
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("kSmallBuffer", rules.SMALL_BUFFER),
        ("kMinBlockSize", rules.MIN_BLOCK_SIZE),
        ("kSmallSize", rules.SMALL_SIZE),
        ("kMinLargeAlloc", rules.MIN_LARGE_ALLOC),
        ("kRoundLarge", rules.ROUND_LARGE),
        ("kLargeBuffer|large_segment_size_", rules.LARGE_BUFFER_MB * MIB),
    ],
)
def test_constants_are_those_of_the_installed_header(header, theirs, ours):
    (value,) = re.findall(rf"size_t>? (?:{theirs})(?: = |\{{)(\d+)", header)
    assert int(value) == ours


@pytest.fixture
def torch_settings():
    """PyTorch's own parser; what it was told is forgotten afterwards."""
    parse = getattr(torch._C, "_accelerator_setAllocatorSettings", None)
    if parse is None:
        pytest.skip("this PyTorch has no parser of allocator settings without a card")
    yield parse
    parse("")


CONFIGURATIONS = ["", "roundup_power2_divisions:8", "roundup_power2_divisions:[256:1,512:2,1024:4,>:8]",
                  "roundup_power2_divisions:[64:8,128:2,256:4,512:2,1024:4,>:1]",
                  "max_split_size_mb:40, roundup_power2_divisions:[ 1:2, 65536:16 ]"]  # fmt: skip


@pytest.mark.parametrize("text", CONFIGURATIONS)
def test_divisions_are_read_as_the_installed_library_reads_them(torch_settings, text):
    library = ctypes.CDLL(str(TORCH / "lib/libc10.so")) if (TORCH / "lib/libc10.so").is_file() else None
    if not hasattr(library, DIVISIONS):
        pytest.skip("this build of PyTorch does not export its rule")
    theirs = getattr(library, DIVISIONS)
    theirs.argtypes, theirs.restype = [ctypes.c_size_t], ctypes.c_size_t
    torch_settings(text)
    ours = Settings.parse(text)
    for power in range(9, 40):
        for size in (1 << power, (1 << power) + 1, (2 << power) - 1):
            divisions = theirs(size)
            steps = divisions > 1 and size > 512 * divisions
            expected = round_to_division(size, divisions) if steps else -(-size // 512) * 512
            assert ours.round_size(size) == expected, size


@pytest.mark.parametrize(
    "text",
    ["max_split_size_mb:19", "max_split_size_mb:21", "max_non_split_rounding_mb:19", "large_segment_size_mb:10",
     "large_segment_size_mb:64,max_split_size_mb:32", "max_split_size_mb:64,large_segment_size_mb:64",
     "garbage_collection_threshold:0", "garbage_collection_threshold:1", "garbage_collection_threshold:0.8",
     "expandable_segments:true", "expandable_segments:True", "roundup_power2_divisions:[3:2]",
     "roundup_power2_divisions:[4:3]", "roundup_power2_divisions:6", "max_split_size_mb:128,", "max_split_size_mb:x",
     "pinned_use_background_threads:True"],
)  # fmt: skip
def test_what_pytorch_refuses_is_refused(torch_settings, text):
    try:
        torch_settings(text)
    except (ValueError, RuntimeError):
        with pytest.raises(RecipeError):
            Settings.parse(text)
    else:
        Settings.parse(text)


# --- settings ---


def test_settings_in_pytorchs_own_words():
    text = "max_split_size_mb:128,expandable_segments:True,garbage_collection_threshold:0.8"
    settings = Settings.parse(text)
    assert settings == Settings(128, None, 0.8, expandable_segments=True)
    assert Settings.parse(str(settings)) == settings
    assert str(Settings()) == ""
    several = Settings.parse("roundup_power2_divisions:[1:2,256:8,>:4],backend:native,pinned_num_register_threads:8")
    assert several.roundup_power2_divisions == (2, *(0,) * 7, 8, *(4,) * 7)
    assert Settings.parse(str(several)) == several


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("max_split_mb:128", ["max_split_mb", "did you mean 'max_split_size_mb'"]),
        ("max_split_size_mb=128", ["cannot be read", "key:value"]),
        ("max_split_size_mb:128,,", ["cannot be read"]),
        ("max_split_size_mb:128,max_split_size_mb:64", ["twice"]),
        ("max_split_size_mb:19", ["max_split_size_mb is 19", "at least 20"]),
        ("max_split_size_mb:-1", ["-1", "whole number"]),
        ("garbage_collection_threshold:1.5", ["between 0 and 1"]),
        ("garbage_collection_threshold:nan", ["between 0 and 1"]),
        ("garbage_collection_threshold:much", ["must be a number"]),
        ("per_process_memory_fraction:2", ["from 0 to 1"]),
        ("expandable_segments:yes", ["True or False"]),
        ("roundup_power2_divisions:3", ["power of two"]),
        ("roundup_power2_divisions:[256]", ["size_in_mb:divisions"]),
        ("roundup_power2_divisions:[3:4]", ["power of two (in MiB)"]),
        ("backend:cudaMallocAsync", ["not modelled", "native"]),
    ],
)
def test_bad_settings_say_what_is_wrong(text, words):
    with pytest.raises(RecipeError) as caught:
        Settings.parse(text)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("size", "divisions", "expected"), [(1200, 4, 1280), (1024, 4, 1024), (1025, 2, 1536), (5, 8, 8)]
)
def test_rounding_to_divisions(size, divisions, expected):
    assert round_to_division(size, divisions) == expected


@pytest.mark.parametrize(
    ("size", "segment"),
    [(512, 2 * MIB), (MIB, 2 * MIB), (MIB + 512, 20 * MIB), (10 * MIB - 512, 20 * MIB), (10 * MIB, 10 * MIB),
     (10 * MIB + 512, 12 * MIB), (100 * MIB, 100 * MIB), (101 * MIB, 102 * MIB)],
)  # fmt: skip
def test_segment_sizes(size, segment):
    assert Settings().segment_size(size) == segment


# --- worked by hand ---


def test_small_requests_share_segments_of_2_mib():
    gpu = card()
    first = gpu.malloc(1)  # 512 of the first segment
    second = gpu.malloc(1000)  # 1024 of it
    third = gpu.malloc(MIB)  # fits: 2 MiB - 1536 is more than 1 MiB
    assert (gpu.requested, gpu.allocated, gpu.reserved) == (1001 + MIB, 1536 + MIB, 2 * MIB)
    assert gpu.inactive_split == MIB - 1536
    fourth = gpu.malloc(MIB)  # does not fit any more
    assert gpu.reserved == 4 * MIB
    assert gpu.statistics().segments == 2
    assert [block.address for block in (second, third)] == [first.address + 512, first.address + 1536]
    for block in (second, first, fourth, third):
        gpu.free(block)
    assert (gpu.allocated, gpu.inactive_split, gpu.reserved) == (0, 0, 4 * MIB)
    gpu.empty_cache()
    assert gpu.reserved == 0


def test_one_segment_of_20_mib_is_split_and_a_tail_of_1_mib_is_not():
    gpu = card()
    gpu.malloc(3 * MIB)  # between 1 and 10 MiB: a segment of 20, rest 17
    gpu.malloc(9 * MIB)  # rest 8
    gpu.malloc(7 * MIB)  # would leave 1 MiB, which is not more than 1 MiB: the block stays 8
    assert mib(gpu.requested, gpu.allocated, gpu.reserved, gpu.inactive_split) == [19, 20, 20, 0]
    gpu.malloc(6 * MIB)  # another segment
    assert mib(gpu.allocated, gpu.reserved, gpu.inactive_split) == [26, 40, 14]


def test_the_smallest_block_that_fits_is_taken():
    gpu = card()
    wide, tight, _ = gpu.malloc(30 * MIB), gpu.malloc(22 * MIB), gpu.malloc(40 * MIB)
    gpu.free(wide)
    gpu.free(tight)
    assert gpu.malloc(21 * MIB) is tight  # leaves 1 MiB: unsplit
    assert gpu.malloc(28 * MIB).size == 28 * MIB  # leaves 2 MiB: split
    assert mib(gpu.allocated, gpu.reserved) == [40 + 22 + 28, 92]


def test_of_equal_blocks_the_lower_address_is_taken():
    gpu = card()
    low, high = gpu.malloc(12 * MIB), gpu.malloc(12 * MIB)
    gpu.free(high)
    gpu.free(low)
    assert gpu.malloc(12 * MIB) is low


def test_neighbours_merge_so_that_a_whole_segment_can_be_returned():
    gpu = card()
    blocks = [gpu.malloc(5 * MIB) for _ in range(4)]
    gpu.free(blocks[0])
    gpu.free(blocks[2])
    gpu.empty_cache()
    assert mib(gpu.reserved, gpu.inactive_split) == [20, 10]  # beside used blocks: not returnable
    gpu.free(blocks[1])
    assert gpu.malloc(15 * MIB).size == 15 * MIB
    assert mib(gpu.reserved, gpu.inactive_split) == [20, 0]


def test_max_split_size_keeps_large_blocks_whole():
    gpu = card(settings="max_split_size_mb:32")
    large = gpu.malloc(64 * MIB)
    gpu.free(large)
    gpu.malloc(10 * MIB)  # below 32: may not touch a block of 64
    assert mib(gpu.allocated, gpu.reserved) == [10, 74]
    assert gpu.malloc(50 * MIB) is large  # 64 is less than 50 + 20, and is not split
    assert mib(gpu.allocated, gpu.reserved) == [74, 74]
    gpu.free(large)
    gpu.malloc(40 * MIB)  # 64 is not less than 40 + 20
    assert mib(gpu.allocated, gpu.reserved) == [50, 114]
    assert gpu.malloc(44 * MIB) is not large  # nor than 44 + 20
    assert gpu.malloc(44 * MIB + 512) is large


def test_a_full_card_gives_up_one_large_block_before_it_empties_the_cache():
    gpu = card(150, "max_split_size_mb:32")
    small, large = gpu.malloc(12 * MIB), gpu.malloc(100 * MIB)
    gpu.free(small)
    gpu.free(large)
    gpu.malloc(40 * MIB)  # 112 + 40 is too much; the 100 go, the 12 stay cached
    assert mib(gpu.reserved) == [52]
    assert gpu.retries == 0


def test_garbage_collection_returns_the_oldest_segments():
    gpu = card(400, "garbage_collection_threshold:0.5,per_process_memory_fraction:0.5")  # collects above 100 MiB
    old, young = gpu.malloc(60 * MIB), gpu.malloc(50 * MIB)
    gpu.free(old)
    gpu.free(young)
    gpu.free(gpu.malloc(50 * MIB))  # ages at the next request: 2 and 1, on average 1.5
    gpu.malloc(70 * MIB)
    assert mib(gpu.reserved) == [120]
    idle = [block["size"] for segment in gpu.snapshot() for block in segment["blocks"] if block["state"] == "inactive"]
    assert idle == [50 * MIB]


def test_garbage_of_one_age_goes_together():
    gpu = card(400, "garbage_collection_threshold:0.5,per_process_memory_fraction:0.5")
    for block in [gpu.malloc(60 * MIB), gpu.malloc(50 * MIB)]:
        gpu.free(block)
    gpu.malloc(70 * MIB)
    assert mib(gpu.reserved) == [70]


def test_garbage_is_not_collected_without_a_memory_fraction():
    gpu = card(400, "garbage_collection_threshold:0.1")
    gpu.free(gpu.malloc(60 * MIB))
    gpu.malloc(70 * MIB)
    assert mib(gpu.reserved) == [130]


def test_expandable_segments_grow_by_pages_of_20_mib():
    gpu = card(settings="expandable_segments:True")
    first = gpu.malloc(3 * MIB)  # one page, rest 17
    second = gpu.malloc(30 * MIB)  # the rest grows by one page
    assert mib(gpu.allocated, gpu.reserved) == [33, 40]
    assert second.address == first.address + 3 * MIB
    assert gpu.inactive_split == 0  # not counted here
    gpu.malloc(1000)  # pages of 2 MiB for small requests, in a segment of their own
    assert mib(gpu.reserved) == [42]
    gpu.free(first)
    gpu.empty_cache()
    assert mib(gpu.reserved) == [42]  # no page is wholly idle
    gpu.free(second)
    gpu.empty_cache()
    assert mib(gpu.reserved) == [2]


def test_expandable_segments_fill_holes_left_by_unmapped_pages():
    gpu = card(settings="expandable_segments:True")
    blocks = [gpu.malloc(20 * MIB) for _ in range(3)]
    gpu.free(blocks[1])
    gpu.empty_cache()
    assert mib(gpu.reserved) == [40]
    assert gpu.malloc(12 * MIB).address == blocks[1].address
    assert mib(gpu.reserved) == [60]


def test_the_growing_end_of_a_segment_is_spared_where_a_larger_hole_will_do():
    gpu = card(settings="expandable_segments:True")
    hole, _ = gpu.malloc(12 * MIB), gpu.malloc(18 * MIB)  # two pages, the last 10 MiB idle
    gpu.free(hole)
    assert gpu.malloc(9 * MIB).address == hole.address  # by size alone the 10 at the end would fit best


def test_a_virtual_segment_has_room_for_nine_eighths_of_the_card():
    gpu = card(100, "expandable_segments:True")
    assert gpu.malloc(12 * MIB).virtual.size == 120 * MIB  # 112.5 in pages of 20


def test_an_idle_range_across_a_page_border_stays_mapped():
    gpu = card(settings="expandable_segments:True")
    gpu.malloc(18 * MIB)
    middle, _ = gpu.malloc(7 * MIB), gpu.malloc(15 * MIB)
    gpu.free(middle)  # from 18 to 25: no whole page
    gpu.empty_cache()
    assert gpu.device.releases == 0
    assert [segment["total_size"] for segment in gpu.snapshot()] == [40 * MIB]
    assert gpu.malloc(7 * MIB) is middle


def test_growing_requests_fragment_fixed_segments_and_not_expandable_ones():
    reserved = {}
    for settings in ("", "expandable_segments:True"):
        gpu = card(settings=settings)
        for size in (30, 32, 34, 36):
            gpu.free(gpu.malloc(size * MIB))
        reserved[settings] = gpu.reserved // MIB
    assert reserved == {"": 30 + 32 + 34 + 36, "expandable_segments:True": 40}


def test_roundup_lets_growing_requests_share_a_block():
    gpu = card(settings="roundup_power2_divisions:4")
    for size in (33, 35, 37, 39):
        gpu.free(gpu.malloc(size * MIB))
    assert mib(gpu.reserved, gpu.allocated_peak, gpu.requested_peak) == [40, 40, 39]


def test_streams_do_not_share_idle_blocks():
    gpu = card()
    block = gpu.malloc(12 * MIB, stream=0)
    gpu.free(block)
    assert gpu.malloc(12 * MIB, stream=1) is not block
    assert gpu.malloc(12 * MIB, stream=0) is block


def test_a_block_that_another_stream_uses_is_freed_after_its_work():
    gpu = card()
    block = gpu.malloc(12 * MIB)
    gpu.record_stream(block, 0)  # its own stream: nothing to wait for
    gpu.record_stream(block, 7)
    gpu.free(block)
    assert mib(gpu.allocated, gpu.active) == [0, 12]
    assert gpu.snapshot()[0]["blocks"][0]["state"] == "active_pending_free"
    assert gpu.malloc(12 * MIB) is not block
    gpu.synchronize(7)
    assert gpu.malloc(12 * MIB) is block
    assert mib(gpu.active, gpu.reserved) == [24, 24]


def test_a_full_card_waits_for_other_streams_before_it_gives_up():
    gpu = card(20)
    block = gpu.malloc(12 * MIB)
    gpu.record_stream(block, 7)
    gpu.free(block)
    gpu.malloc(14 * MIB)
    assert mib(gpu.reserved) == [14]
    assert gpu.retries == 1


def test_memory_fraction_limits_what_is_reserved():
    gpu = card(100)
    gpu.set_memory_fraction(0.25)
    gpu.malloc(12 * MIB)
    with pytest.raises(OutOfMemoryError, match=r"25\.00 MiB allowed; ") as caught:
        gpu.malloc(14 * MIB)
    assert (caught.value.tried, caught.value.short) == (14 * MIB, MIB)
    gpu.set_memory_fraction(1.0)
    gpu.malloc(14 * MIB)
    with pytest.raises(LabError, match="from 0 to 1"):
        gpu.set_memory_fraction(1.5)


def test_retry_empties_the_cache_and_then_the_error_is_pytorchs():
    gpu = card(8192, outside=300)
    gpu.free(gpu.malloc(6000 * MIB))
    gpu.malloc(7800 * MIB)  # only without the cached 6000
    assert (gpu.retries, gpu.ooms) == (1, 0)
    gpu.malloc(15 * MIB)  # a segment of 16; a cached rest of 1 MiB would not be split
    with pytest.raises(OutOfMemoryError) as caught:
        gpu.malloc(76 * MIB + 1)
    assert (gpu.retries, gpu.ooms, caught.value.tried, caught.value.short) == (2, 1, 78 * MIB, 2 * MIB)
    assert str(caught.value) == (
        "CUDA out of memory. Tried to allocate 78.00 MiB. GPU 0 has a total capacity of 8.00 GiB of which 76.00 MiB is "
        "free. Including non-PyTorch memory, this process has 7.93 GiB memory in use. Of the allocated memory 7.63 GiB "
        "is allocated by PyTorch, and 0 bytes is reserved by PyTorch but unallocated. If reserved but unallocated "
        "memory is large try setting PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True to avoid fragmentation.  See "
        "documentation for Memory Management  (https://docs.pytorch.org/docs/stable/notes/cuda.html"
        "#optimizing-memory-usage-with-pytorch-cuda-alloc-conf)"
    )
    assert gpu.malloc(70 * MIB).size == 70 * MIB  # life goes on


def test_an_expandable_segment_that_cannot_grow_keeps_what_it_mapped():
    gpu = card(50, "expandable_segments:True")
    gpu.malloc(15 * MIB)
    with pytest.raises(OutOfMemoryError):
        gpu.malloc(30 * MIB)  # 5 idle and 25 more would be two pages: 20 + 40 is too much
    assert mib(gpu.reserved, gpu.allocated) == [20, 15]
    assert gpu.malloc(25 * MIB).size == 25 * MIB


def test_a_20_mib_request_in_pytorchs_best_known_sentence():
    gpu = card(10)
    with pytest.raises(
        OutOfMemoryError, match=r"^CUDA out of memory\. Tried to allocate 20\.00 MiB\. GPU 0 has a total "
    ):
        gpu.malloc(2 * MIB)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (1024, "1024 bytes"), (1025, "1.00 KiB"), (MIB, "1024.00 KiB"), (MIB + 1, "1.00 MiB"),
     (2**30, "1024.00 MiB"), (3 * 2**29, "1.50 GiB")],
)  # fmt: skip
def test_sizes_are_written_as_pytorch_writes_them(size, text):
    assert format_size(size) == text


def test_statistics_and_peaks():
    gpu = card()
    block = gpu.malloc(30 * MIB)
    gpu.free(block)
    gpu.malloc(2 * MIB)
    told = gpu.statistics().as_torch()
    assert told["allocated_bytes.all.current"] == 2 * MIB
    assert told["allocated_bytes.all.peak"] == told["reserved_bytes.all.peak"] == 30 * MIB
    assert told["inactive_split_bytes.all.current"] == 28 * MIB
    assert (told["segment.all.current"], told["num_device_alloc"], told["num_device_free"]) == (1, 1, 0)
    gpu.reset_peaks()
    assert gpu.statistics().allocated_peak == 2 * MIB


def test_snapshot_is_plain_data():
    gpu = card()
    gpu.malloc(5 * MIB + 1)
    (segment,) = gpu.snapshot()
    assert (segment["segment_type"], segment["total_size"], segment["is_expandable"]) == ("large", 20 * MIB, False)
    assert (segment["allocated_size"], segment["requested_size"]) == (5 * MIB + 512, 5 * MIB + 1)
    assert [block["state"] for block in segment["blocks"]] == ["active_allocated", "inactive"]
    assert [block["size"] for block in segment["blocks"]] == [5 * MIB + 512, 15 * MIB - 512]


@pytest.mark.parametrize("size", [0, -5])
def test_a_request_without_bytes_is_refused(size):
    with pytest.raises(LabError, match="must be positive"):
        card().malloc(size)


def test_a_second_free_is_refused():
    gpu = card()
    block = gpu.malloc(1)
    gpu.free(block)
    with pytest.raises(LabError, match="freed"):
        gpu.free(block)


@pytest.mark.parametrize(("total", "outside"), [(0, 0), (-1, 0), (10, 11), (10, -1)])
def test_impossible_cards_are_refused(total, outside):
    with pytest.raises(LabError, match="impossible"):
        Allocator(total, outside)
