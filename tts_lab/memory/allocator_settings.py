"""Settings and size rules of PyTorch's CUDA caching allocator: `PYTORCH_CUDA_ALLOC_CONF`, rounding, segment sizes.

Source of every rule and constant: `c10/core/AllocatorConfig.h` and `c10/cuda/CUDACachingAllocator.cpp` of PyTorch 2.13.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any

from tts_lab.errors import RecipeError
from tts_lab.nearest import did_you_mean

MIB = 1024 * 1024
MIN_BLOCK_SIZE = 512  # every request is rounded up to a multiple of it
SMALL_SIZE = 1 * MIB  # the largest request that the small pool serves
SMALL_BUFFER = 2 * MIB  # a segment of the small pool
MIN_LARGE_ALLOC = 10 * MIB  # from here on a request gets a segment of its own size
ROUND_LARGE = 2 * MIB  # to a multiple of this
LARGE_BUFFER_MB = 20  # segments of the large pool for requests between SMALL_SIZE and MIN_LARGE_ALLOC
INTERVALS = 16  # of roundup_power2_divisions: sizes of 1 MiB, 2 MiB, ... 32 GiB and above
UNLIMITED = 2**64 - 1

# Options that PyTorch knows and that change nothing in how much device memory is taken.
NO_EFFECT = (
    "release_lock_on_cudamalloc",
    "throw_on_cudamalloc_oom",
    "graph_capture_record_stream_reuse",
    "pinned_use_cuda_host_register",
    "pinned_use_background_threads",
    "pinned_num_register_threads",
    "pinned_reserve_segment_size_mb",
    "pinned_max_round_threshold_mb",
    "pinned_max_cached_size_mb",
    "pinned_free_catch_all",
)


@dataclass(frozen=True)
class Settings:
    """What `PYTORCH_CUDA_ALLOC_CONF` sets, under its own names. Raises RecipeError where a value is out of range.

    max_split_size_mb: cached blocks of this size and more are never split; None means that all may be.
    max_non_split_rounding_mb: how much larger than a request such a block may be; None means a large segment.
    garbage_collection_threshold: share of the allowed memory above which idle segments are returned; 0 is off.
        PyTorch does this only where a memory fraction below 1 is set.
    roundup_power2_divisions: sizes are rounded up to one of so many steps between powers of two, for sizes from
        1, 2, 4, ... MiB (16 entries); 0 is off.
    expandable_segments: one growing virtual segment for each pool and stream in place of many fixed ones.
    large_segment_size_mb: size of a segment that serves requests between 1 and 10 MiB.
    per_process_memory_fraction: share of the card that the process may reserve.
    """

    max_split_size_mb: int | None = None
    max_non_split_rounding_mb: int | None = None
    garbage_collection_threshold: float = 0.0
    roundup_power2_divisions: tuple[int, ...] = (0,) * INTERVALS
    expandable_segments: bool = False
    large_segment_size_mb: int = LARGE_BUFFER_MB
    per_process_memory_fraction: float = 1.0

    def __post_init__(self) -> None:
        least = self.large_segment_size_mb
        _check(least > MIN_LARGE_ALLOC // MIB, "large_segment_size_mb", least, "more than 10")
        for name in ("max_split_size_mb", "max_non_split_rounding_mb"):
            value = getattr(self, name)
            _check(value is None or value >= least, name, value, f"at least {least}, the size of a large segment")
        threshold, fraction = self.garbage_collection_threshold, self.per_process_memory_fraction
        _check(0 <= threshold < 1, "garbage_collection_threshold", threshold, "between 0 and 1")
        _check(0 <= fraction <= 1, "per_process_memory_fraction", fraction, "from 0 to 1")
        divisions = self.roundup_power2_divisions
        _check(len(divisions) == INTERVALS, "roundup_power2_divisions", len(divisions), f"{INTERVALS} entries")
        for value in divisions:
            _check(value == 0 or _is_power2(value), "roundup_power2_divisions", value, "a power of two, or 0 for off")

    @classmethod
    def parse(cls, text: str) -> Settings:
        """Read `key:value,key:value`, the syntax of PYTORCH_CUDA_ALLOC_CONF; an empty text gives the defaults.

        Raises RecipeError naming the option that is unknown, repeated, malformed or out of range.
        """
        values: dict[str, Any] = {}
        seen: set[str] = set()
        for key, value in _pairs(text):
            if key in seen:
                raise RecipeError(f"The allocator option {key} is given twice in {text!r}; keep one of them.")
            seen.add(key)
            if key in PARSERS:
                values[key] = PARSERS[key](key, value)
            elif key == "backend":
                _check_backend(value)
            elif key not in NO_EFFECT:
                raise RecipeError(_unknown(key))
        return cls(**values)

    def __str__(self) -> str:
        """The settings that differ from PyTorch's defaults, in its own syntax."""
        parts = []
        for each in fields(self):
            value = getattr(self, each.name)
            if value == each.default:
                continue
            if isinstance(value, tuple):  # each interval by name: the syntax fills downwards from the first
                value = "[" + ",".join(f"{2**i}:{v}" for i, v in enumerate(value)) + "]"
            parts.append(f"{each.name}:{value}")
        return ",".join(parts)

    @property
    def max_split_size(self) -> int:
        """Bytes; larger than any block where there is no limit."""
        return UNLIMITED if self.max_split_size_mb is None else self.max_split_size_mb * MIB

    @property
    def max_non_split_rounding(self) -> int:
        """Bytes."""
        return (self.max_non_split_rounding_mb or self.large_segment_size_mb) * MIB

    @property
    def large_segment_size(self) -> int:
        """Bytes."""
        return self.large_segment_size_mb * MIB

    def round_size(self, size: int) -> int:
        """Bytes of the block that a request of `size` bytes needs."""
        divisions = self.roundup_power2_divisions[min(max(size.bit_length() - 21, 0), INTERVALS - 1)]
        if divisions > 1 and size > MIN_BLOCK_SIZE * divisions:
            return round_to_division(size, divisions)
        return max(-(-size // MIN_BLOCK_SIZE) * MIN_BLOCK_SIZE, MIN_BLOCK_SIZE)

    def segment_size(self, size: int) -> int:
        """Bytes asked of the device for a rounded request that no cached block can serve."""
        if size <= SMALL_SIZE:
            return SMALL_BUFFER
        if size < MIN_LARGE_ALLOC:
            return self.large_segment_size
        return -(-size // ROUND_LARGE) * ROUND_LARGE


def round_to_division(size: int, divisions: int) -> int:
    """Round up to one of `divisions` equal steps between two powers of two: 1200 of 4 between 1024 and 2048 is 1280."""
    floor = 1 << (size.bit_length() - 1)
    step = floor >> (divisions.bit_length() - 1)
    if size == floor:
        return size
    return -(-size // step) * step if step else 2 * floor


def _check(good: bool, name: str, value: object, expected: str) -> None:
    if not good:
        raise RecipeError(f"The allocator option {name} is {value}, but must be {expected}.")


def _is_power2(value: int) -> bool:
    return value > 0 and value & (value - 1) == 0


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """The options in `text` with their values; a value may be a list in brackets. White space means nothing."""
    rest = re.sub(r"\s", "", text)
    while rest:
        match = re.match(r"([^:,\[\]]+):(\[[^\[\]]*\]|[^:,\[\]]+)(?:,|$)", rest)
        if not match:
            raise RecipeError(
                f"The allocator settings cannot be read at {rest[:40]!r}; write key:value pairs with commas between, "
                "such as max_split_size_mb:128,expandable_segments:True."
            )
        yield match[1], match[2]
        rest = rest[match.end() :]


def _whole(key: str, value: str) -> int:
    if not value.isascii() or not value.isdigit():
        raise RecipeError(f"The allocator option {key} is {value!r}, but must be a whole number.")
    return int(value)


def _real(key: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise RecipeError(f"The allocator option {key} is {value!r}, but must be a number.") from None


def _threshold(key: str, value: str) -> float:
    """PyTorch refuses a written 0: leaving the option out is how it is switched off."""
    number = _real(key, value)
    _check(0 < number < 1, key, value, "between 0 and 1, both excluded; leave it out to switch it off")
    return number


def _truth(key: str, value: str) -> bool:
    if value not in ("True", "False"):
        raise RecipeError(f"The allocator option {key} is {value!r}, but must be True or False.")
    return value == "True"


def _divisions(key: str, value: str) -> tuple[int, ...]:
    """`8` for all sizes, or `[256:1,512:2,1024:4,>:8]`: from the size in MiB, a power of two; `>` is all above."""
    if not value.startswith("["):
        return (_whole(key, value),) * INTERVALS
    found, last = [0] * INTERVALS, -1
    for number, part in enumerate(value[1:-1].split(",")):
        bound, colon, text = part.partition(":")
        if not colon:
            raise RecipeError(f"The allocator option {key} has {part!r}, but each entry must be size_in_mb:divisions.")
        divisions = _whole(key, text)
        if bound == ">":
            found[last + 1 :] = [divisions] * (INTERVALS - last - 1)
            continue
        size = _whole(key, bound)
        _check(_is_power2(size), f"{key}'s size", size, "a power of two (in MiB)")
        last = min(size.bit_length() - 1, INTERVALS - 1)
        if number == 0:
            found[:last] = [divisions] * last
        found[last] = divisions
    return tuple(found)


def _check_backend(value: str) -> None:
    if value != "native":
        raise RecipeError(
            f"The allocator backend {value!r} is not modelled, only PyTorch's own is: use backend:native or none."
        )


def _unknown(key: str) -> str:
    known = (*PARSERS, "backend", *NO_EFFECT)
    return f"There is no allocator option {key!r}{did_you_mean(key, known)}. Known are: {', '.join(known)}."


PARSERS: dict[str, Callable[[str, str], Any]] = {
    "max_split_size_mb": _whole,
    "max_non_split_rounding_mb": _whole,
    "garbage_collection_threshold": _threshold,
    "roundup_power2_divisions": _divisions,
    "expandable_segments": _truth,
    "large_segment_size_mb": _whole,
    "per_process_memory_fraction": _real,
}
