"""The allocator under random operations: its invariants, and a slow model of the same rules beside it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as some

from tts_lab.memory.allocator import Allocator
from tts_lab.memory.allocator_settings import INTERVALS, Settings
from tts_lab.memory.allocator_state import OutOfMemoryError

MIB = 1024 * 1024
OPERATIONS = 100_000
SETTINGS = [
    "",
    "expandable_segments:True",
    "max_split_size_mb:64",
    "roundup_power2_divisions:8,max_split_size_mb:32,max_non_split_rounding_mb:24",
    "garbage_collection_threshold:0.6,per_process_memory_fraction:0.7",
    "expandable_segments:True,garbage_collection_threshold:0.6,per_process_memory_fraction:0.7,max_split_size_mb:40",
]


def check(gpu: Allocator) -> None:
    """No overlap, every byte accounted for once, idle neighbours merged, sums as the statistics say."""
    segments = gpu.snapshot()
    end = sums = idle_beside = 0
    totals = dict.fromkeys(("allocated_size", "active_size", "requested_size"), 0)
    for segment in segments:
        assert segment["address"] >= end
        at, idle_before = segment["address"], False
        for block in segment["blocks"]:
            assert block["address"] == at
            assert block["size"] > 0
            assert block["size"] % 512 == 0
            assert block["requested_size"] <= block["size"]
            idle = block["state"] == "inactive"
            assert not (idle and idle_before)
            at, idle_before = at + block["size"], idle
            if idle and not segment["is_expandable"] and len(segment["blocks"]) > 1:
                idle_beside += block["size"]
        end = segment["address"] + segment["total_size"]
        assert at == end
        sums += segment["total_size"]
        for name in totals:
            totals[name] += segment[name]
    assert sums == gpu.reserved
    assert totals["allocated_size"] == gpu.allocated
    assert totals["active_size"] == gpu.active
    assert totals["requested_size"] == gpu.requested
    assert idle_beside == gpu.inactive_split
    assert gpu.reserved + gpu.device.outside <= gpu.device.total
    assert gpu.allowed is None or gpu.reserved <= gpu.allowed


def check_empty(gpu: Allocator) -> None:
    check(gpu)
    gpu.empty_cache()
    assert (gpu.allocated, gpu.active, gpu.requested, gpu.reserved, gpu.inactive_split) == (0, 0, 0, 0, 0)
    assert not gpu.live
    for pool in (gpu.small, gpu.large):
        assert not list(pool.blocks())
        assert not any(pool.unmapped.values())
    assert gpu.device.segments == 0


def some_size(draw: random.Random) -> int:
    kind = draw.random()
    if kind < 0.5:
        return draw.randint(1, MIB)
    return draw.randint(MIB, 12 * MIB) if kind < 0.9 else draw.randint(12 * MIB, 90 * MIB)


@pytest.mark.parametrize("text", SETTINGS)
def test_100_000_random_operations(text):
    gpu, draw = Allocator(2048 * MIB, 300 * MIB, Settings.parse(text)), random.Random(text)
    live = []
    for operation in range(OPERATIONS):
        wish = draw.random()
        if wish < 0.52:
            try:
                live.append(gpu.malloc(some_size(draw), draw.choice((0, 0, 0, 1))))
            except OutOfMemoryError:
                for _ in range(len(live) // 2):
                    gpu.free(live.pop(draw.randrange(len(live))))
        elif live and wish < 0.98:
            gpu.free(live.pop(draw.randrange(len(live))))
        elif live and wish < 0.99:
            gpu.record_stream(draw.choice(live), draw.choice((0, 1, 2)))
        elif wish < 0.999:
            gpu.synchronize(draw.choice((None, 1, 2)))
        else:
            gpu.empty_cache()
        assert gpu.reserved >= gpu.active >= gpu.allocated >= gpu.requested - (gpu.active - gpu.allocated)
        if operation % 5000 == 0:
            check(gpu)
    assert gpu.ooms > 0, "the card was never full: the test would miss the retries"
    assert gpu.retries >= gpu.ooms
    for block in live:
        gpu.free(block)
    gpu.empty_cache()
    check_empty(gpu)


# --- properties ---

sizes = some.one_of(some.integers(1, 4096), some.integers(1, 4 * MIB), some.integers(MIB, 200 * MIB))
divisions = some.sampled_from((0, 1, 2, 4, 8, 16))
all_settings = some.builds(
    Settings,
    max_split_size_mb=some.none() | some.integers(64, 512),
    max_non_split_rounding_mb=some.none() | some.integers(64, 128),
    garbage_collection_threshold=some.just(0.0) | some.floats(0.1, 0.9),
    roundup_power2_divisions=some.just((0,) * INTERVALS) | some.tuples(*[divisions] * INTERVALS),
    expandable_segments=some.booleans(),
    large_segment_size_mb=some.integers(11, 64),
    per_process_memory_fraction=some.just(1.0) | some.floats(0.1, 1.0),
)


same_each_time = effort(database=None, deadline=None, derandomize=True, max_examples=100)


@same_each_time
@given(size=sizes, settings=all_settings)
def test_rounding_gives_at_least_what_was_asked_in_multiples_of_512(size, settings):
    rounded = settings.round_size(size)
    assert rounded >= size
    assert rounded % 512 == 0
    assert rounded <= max(2 * size, 512)
    assert settings.round_size(rounded) == rounded
    assert settings.segment_size(rounded) >= rounded


@same_each_time
@given(settings=all_settings)
def test_settings_survive_their_own_words(settings):
    assert Settings.parse(str(settings)) == settings


@same_each_time
@given(
    settings=all_settings, wishes=some.lists(some.tuples(sizes, some.integers(0, 2), some.integers(0, 30)), max_size=60)
)
def test_invariants_hold_after_every_operation(settings, wishes):
    gpu, live, short = Allocator(600 * MIB, 100 * MIB, settings), [], []
    for size, stream, choice in wishes:
        if choice < 20:
            try:
                live.append(gpu.malloc(size, stream))
            except OutOfMemoryError as error:
                short.append(error.short)
        elif choice < 28 and live:
            gpu.free(live.pop(size % len(live)))
        elif live:
            gpu.record_stream(live[size % len(live)], stream)
        check(gpu)
    assert all(missing > 0 for missing in short)
    for block in live:
        gpu.free(block)
    gpu.empty_cache()
    check_empty(gpu)


# --- a slow model: lists of blocks, looked through from end to end ---


@dataclass
class Slow:
    """The rules for fixed segments on one stream, without a care for speed. A block is [bytes, request or None]."""

    room: int
    limit: int
    segments: list[list[list[int | None]]] = field(default_factory=list)

    @property
    def reserved(self) -> int:
        return sum(block[0] for segment in self.segments for block in segment)

    @property
    def allocated(self) -> int:
        return sum(block[0] for segment in self.segments for block in segment if block[1] is not None)

    def malloc(self, name: int, size: int) -> bool:
        size = -(-size // 512) * 512
        found = self._best(size)
        if found is None:
            wanted = 2 * MIB if size <= MIB else 20 * MIB if size < 10 * MIB else -(-size // (2 * MIB)) * 2 * MIB
            if not self._make_room(size, wanted):
                return False
            self.segments.append([[wanted, None, size <= MIB]])
            found = self.segments[-1], 0
        segment, at = found
        rest = segment[at][0] - size
        if rest >= 512 if size <= MIB else rest > MIB and size < self.limit:
            segment[at : at + 1] = [[size, name, size <= MIB], [rest, None, size <= MIB]]
        else:
            segment[at][1] = name
        return True

    def _best(self, size):
        fits = [
            (block[0], number, at)
            for number, segment in enumerate(self.segments)
            for at, block in enumerate(segment)
            if block[1] is None and block[0] >= size and block[2] == (size <= MIB)
        ]
        if not fits:
            return None
        have, number, at = min(fits)
        if (size < self.limit <= have) or (size >= self.limit and have >= size + 20 * MIB):
            return None
        return self.segments[number], at

    def _make_room(self, size: int, wanted: int) -> bool:
        if self.reserved + wanted <= self.room:
            return True
        whole = sorted((s[0][0], i) for i, s in enumerate(self.segments) if len(s) == 1 and s[0][1] is None)
        large = [(have, i) for have, i in whole if have >= self.limit and size > MIB]
        target, drop = max(size, self.limit), []
        enough = [i for have, i in large if have >= target]
        if enough:
            drop, done = enough[:1], True
        else:
            while large and sum(self.segments[i][0][0] for i in drop) < target:
                drop.append(large.pop()[1])
            done = sum(self.segments[i][0][0] for i in drop) >= target
        self._drop(drop)
        if done and self.reserved + wanted <= self.room:
            return True
        self._drop([i for i, s in enumerate(self.segments) if len(s) == 1 and s[0][1] is None])
        return self.reserved + wanted <= self.room

    def _drop(self, numbers) -> None:
        self.segments = [segment for i, segment in enumerate(self.segments) if i not in numbers]

    def free(self, name: int) -> None:
        for segment in self.segments:
            for at, block in enumerate(segment):
                if block[1] == name:
                    block[1] = None
                    for left in (at, at - 1):
                        if 0 <= left < len(segment) - 1 and segment[left][1] is None and segment[left + 1][1] is None:
                            segment[left][0] += segment.pop(left + 1)[0]
                    return


@pytest.mark.parametrize("limit_mb", [None, 32])
@pytest.mark.parametrize("seed", range(3))
def test_the_slow_model_does_the_same(limit_mb, seed):
    draw = random.Random(seed)
    gpu = Allocator(400 * MIB, 0, Settings(max_split_size_mb=limit_mb))
    slow = Slow(400 * MIB, gpu.settings.max_split_size)
    live, failed = {}, 0
    for name in range(1500):
        if live and draw.random() < 0.46:
            gone = draw.choice(list(live))
            gpu.free(live.pop(gone))
            slow.free(gone)
        else:
            size = some_size(draw)
            try:
                live[name] = gpu.malloc(size)
                assert slow.malloc(name, size)
            except OutOfMemoryError:
                failed += 1
                assert not slow.malloc(name, size)
        assert (gpu.allocated, gpu.reserved) == (slow.allocated, slow.reserved), name
    assert failed > 5
