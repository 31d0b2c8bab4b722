"""Replay: figures worked by hand, the same on every way to them, and a cost that grows with the events."""

from __future__ import annotations

import json
import random
from functools import partial

import pytest

from costs import function_calls
from tts_lab.errors import LabError
from tts_lab.memory.allocator_settings import Settings
from tts_lab.memory.cards import EAGER_CONTEXT_BYTES, cards, find_card
from tts_lab.memory.events import Event, EventLog
from tts_lab.memory.replay import replay, replay_cards

MIB = 1024 * 1024
WORKSPACE = 8_519_680


class Story:
    """A log written by hand: `take` and `give` in stages."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.alive: dict[int, Event] = {}

    def take(self, storage, mib, stage="", operator="aten.add.Tensor", module="", category="activation", stream=0):
        event = Event(storage, int(mib * MIB), operator, module, stage, category, stream)
        self.alive[storage] = event
        self.events.append(event)

    def give(self, storage, stage=""):
        event = self.alive.pop(storage)
        self.events.append(
            Event(storage, -event.bytes, event.operator, event.module, stage, event.category, event.stream)
        )

    @property
    def log(self) -> EventLog:
        return EventLog(self.events)


@pytest.fixture
def two_stages():
    """300 MiB of weights; one stage that needs 500 more and one that needs 100 more."""
    story = Story()
    story.take(0, 100, operator="", module="semantic", category="weight")
    story.take(1, 200, operator="", module="acoustic", category="weight")
    story.take(2, 300, "semantic", module="semantic.layer1")
    story.take(3, 200, "semantic", module="semantic.layer2", category="cache")
    story.give(2, "semantic")
    story.give(3, "acoustic")
    story.take(4, 100, "acoustic", module="acoustic.block")
    story.give(4, "acoustic")
    return story.log


def random_log(seed, count, product=True):
    draw, story = random.Random(seed), Story()
    for number in range(count):
        stage = ("speaker", "semantic", "acoustic", "vocoder")[number * 4 // count]
        if story.alive and draw.random() < 0.5:
            story.give(draw.choice(list(story.alive)), stage)
        else:
            operator = draw.choice(("aten.mm.default", "aten.convolution.default")) if product else "aten.add.Tensor"
            story.take(number, 2 ** draw.uniform(-8, 6), stage, operator, f"m{number % 5}")
    return story.log


# --- by hand ---


def test_peaks_of_stages_hold_what_came_before(two_stages):
    found = replay(two_stages, find_card("rtx3070"))
    peaks = {name: (peak.allocated / MIB, peak.reserved / MIB) for name, peak in found.stages.items()}
    assert peaks == {"": (300, 300), "semantic": (800, 800), "acoustic": (500, 800)}
    assert (found.peak_requested, found.peak_allocated, found.peak_reserved) == (800 * MIB,) * 3
    assert found.verdict == "fits"
    assert found.margin == found.card.total_bytes - found.card.context_bytes - 800 * MIB
    assert found.fragmentation == 0


def test_what_was_alive_at_the_peak(two_stages):
    alive = replay(two_stages, find_card("rtx3070")).alive
    assert alive.event == 3
    assert alive.by_category == {"weight": 300 * MIB, "activation": 300 * MIB, "cache": 200 * MIB}
    assert alive.by_stage == {"semantic": 500 * MIB, "": 300 * MIB}
    assert alive.by_module["semantic.layer1"] == 300 * MIB
    assert [each.block // MIB for each in alive.largest] == [300, 200, 200, 100]
    assert alive.largest[0].module == "semantic.layer1"


def test_out_of_memory_says_what_and_where(two_stages):
    found = replay(two_stages, find_card("1000MiB"))
    assert found.verdict == "out_of_memory"
    failure = found.out_of_memory
    assert (failure.event, failure.stage, failure.module) == (3, "semantic", "semantic.layer2")
    free = found.card.total_bytes - found.card.context_bytes - 600 * MIB
    assert failure.short == 200 * MIB - free
    assert failure.text.startswith("CUDA out of memory. Tried to allocate 200.00 MiB. GPU 0 has a total capacity of ")
    assert failure.text.endswith("[stage semantic, module semantic.layer2, operator aten.add.Tensor]")
    assert found.margin == found.card.total_bytes - found.card.context_bytes - 800 * MIB < 0
    assert found.needed_reserved == 800 * MIB
    assert found.peak_allocated == 600 * MIB  # it ends there
    assert found.timeline[-1].event == 2


def test_a_program_that_goes_on_after_a_failure(two_stages):
    found = replay(two_stages, find_card("1000MiB"), after_failure=True)
    assert [failure.event for failure in found.failures] == [3]
    assert found.stages["acoustic"].allocated == 400 * MIB  # 300 of weights and its own 100
    assert len(found.timeline) == len(two_stages)


def test_the_cublas_workspace_is_taken_once_a_stream_and_stays():
    story = Story()
    story.take(0, 12, "a", "aten.add.Tensor")
    story.take(1, 12, "a", "aten.addmm.default")
    story.take(2, 12, "b", "aten.mm.default")
    story.take(3, 12, "b", "aten.bmm.default", stream=1)
    for storage in range(4):
        story.give(storage, "b")
    found = replay(story.log, find_card("rtx3070"))
    assert found.workspace == 2 * WORKSPACE
    assert found.peak_allocated == 48 * MIB + 2 * WORKSPACE
    assert found.peak_reserved == 48 * MIB + 2 * 20 * MIB
    assert found.statistics.allocated == 2 * WORKSPACE
    assert found.alive.by_category["workspace"] == 2 * WORKSPACE
    assert replay(story.log, find_card("h100")).workspace == 2 * 32 * MIB
    assert replay(story.log, find_card("rtx3070"), cublas=False).peak_allocated == 48 * MIB


@pytest.mark.parametrize(
    "operator", ["aten.add.Tensor", "aten._scaled_dot_product_flash_attention.default", "", "aten.mmm"]
)
def test_other_operators_take_no_workspace(operator):
    story = Story()
    story.take(0, 12, operator=operator)
    assert replay(story.log, find_card("rtx3070")).workspace == 0


def test_unsplit_tails_count_as_allocated():
    story = Story()
    for storage, mib in enumerate((3, 9, 7)):  # of one segment of 20; the last would leave 1 MiB
        story.take(storage, mib)
    found = replay(story.log, find_card("rtx3070"))
    assert (found.peak_requested / MIB, found.peak_allocated / MIB, found.peak_reserved / MIB) == (19, 20, 20)


def test_settings_change_what_is_reserved():
    story = Story()
    for storage, mib in enumerate((30, 32, 34, 36)):
        story.take(storage, mib)
        story.give(storage)
    fixed = replay(story.log, find_card("rtx3070"))
    growing = replay(story.log, find_card("rtx3070"), Settings.parse("expandable_segments:True"))
    assert (fixed.peak_reserved // MIB, growing.peak_reserved // MIB) == (132, 40)
    assert fixed.fragmentation == pytest.approx(1 - 36 / 132)


def test_tight_is_a_margin_below_what_is_not_modelled():
    story = Story()
    story.take(0, 500, operator="aten.convolution.default")
    story.give(0)
    log, card = story.log, find_card("2000MiB")
    roomy = replay(log, card)
    assert roomy.unmodelled == {"context": EAGER_CONTEXT_BYTES - card.context_bytes, "convolution_workspace": 500 * MIB}
    assert roomy.verdict == "fits"
    small = replay(log, find_card("1500MiB"))
    assert small.verdict == "tight"
    assert 0 < small.margin < small.band


def test_emptying_the_cache_is_tight():
    story = Story()
    story.take(0, 1000)
    story.give(0)
    story.take(1, 1200)
    found = replay(story.log, find_card("2400MiB"))
    assert (found.statistics.retries, found.verdict) == (1, "tight")
    assert replay(story.log, find_card("4800MiB")).verdict == "fits"


def test_a_memory_fraction_limits_the_margin(two_stages):
    card = find_card("rtx4090")
    found = replay(two_stages, card, Settings(per_process_memory_fraction=0.04))
    assert found.margin == int(0.04 * card.total_bytes) - 800 * MIB
    assert found.verdict == "tight"
    less = replay(two_stages, card, Settings(per_process_memory_fraction=0.03))
    assert less.verdict == "out_of_memory"
    assert "allowed; " in less.out_of_memory.text


def test_a_setting_without_effect_is_noted(two_stages):
    found = replay(two_stages, find_card("rtx3070"), Settings(garbage_collection_threshold=0.8))
    assert "does nothing" in found.notes[0]


def test_the_time_line_keeps_the_peaks():
    log = random_log(3, 3000)
    found = replay(log, find_card("rtx3070"), points=50)
    assert len(found.timeline) == 50
    assert max(point.allocated for point in found.timeline) == found.peak_allocated
    assert max(point.reserved for point in found.timeline) == found.peak_reserved
    assert [point.event for point in found.timeline] == list(range(0, 3000, 60))


def test_an_empty_log_needs_nothing():
    found = replay([], find_card("rtx3070"))
    assert (found.peak_reserved, found.verdict, found.alive.event, found.timeline) == (0, "fits", -1, ())


# --- in general ---


@pytest.mark.parametrize(
    "settings",
    ["", "expandable_segments:True", "max_split_size_mb:32", "roundup_power2_divisions:4",
     "per_process_memory_fraction:0.05"],
)  # fmt: skip
def test_many_cards_at_once_give_what_each_gives(settings):
    log, rules = random_log(1, 2500), Settings.parse(settings)
    needed = replay(log, find_card("l4"), rules).peak_reserved
    almost = find_card(f"{(needed + find_card('l4').context_bytes) // 2**20 - 1}mib")  # all but the last MiB
    several = [*cards().values(), almost, find_card("0.5gb"), find_card("1gb"), find_card("1.3gb")]
    together = replay_cards(log, several, rules)
    assert together == [replay(log, card, rules) for card in several]
    if not settings:
        assert {"fits", "tight", "out_of_memory"} == {found.verdict for found in together}


@pytest.mark.parametrize("card", ["rtx3070", "1gb"])
def test_it_is_pure(card):
    log = random_log(2, 2000)
    before = list(log)
    assert replay(log, find_card(card)) == replay(list(log), find_card(card))
    assert list(log) == before


@pytest.mark.parametrize("seed", range(5))
def test_sums_agree(seed):
    log = random_log(seed, 1500)
    found = replay(log, find_card("rtx4090"))
    for sums in (found.alive.by_stage, found.alive.by_module, found.alive.by_category):
        assert sum(sums.values()) == found.peak_allocated
    assert max(peak.allocated for peak in found.stages.values()) == found.peak_allocated
    assert max(peak.reserved for peak in found.stages.values()) == found.peak_reserved
    assert log.peak_bytes() + found.workspace == found.peak_requested  # an early product: it is there at the peak
    assert found.peak_requested <= found.peak_allocated <= found.peak_reserved


def test_it_is_plain_data(two_stages):
    plain = json.loads(json.dumps(replay(two_stages, find_card("1000MiB")).to_dict()))
    assert (plain["card"], plain["verdict"]) == ("1000mib", "out_of_memory")
    assert plain["stages"]["semantic"]["allocated"] == 600 * MIB
    assert plain["failures"][0]["stage"] == "semantic"
    assert plain["alive"]["largest"][0]["block"] == 300 * MIB


def test_the_cost_grows_as_the_events_do():
    card = find_card("rtx4090")

    def loop(passes):
        """A loop that holds the same at each pass, as inference does."""
        story = Story()
        for number in range(passes):
            for k in range(50):
                story.take(number * 50 + k, 0.3 + k, "s", "aten.mm.default")
            for k in range(50):
                story.give(number * 50 + k, "s")
        return story.log

    # A time line of few points: with many its own cost, which is bounded, would hide the rest here.
    costs = [function_calls(partial(replay, loop(passes), card, points=10)) for passes in (10, 20, 40)]
    assert costs[1] / costs[0] == pytest.approx(2, rel=0.15)
    assert costs[2] / costs[1] == pytest.approx(2, rel=0.1)


# --- damaged logs ---


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([(1, 100), (1, 100)], ["event 1", "storage 1 is allocated while it is alive"]),
        ([(1, -100)], ["event 0", "freed without being alive"]),
        ([(1, 100), (1, -100), (1, -100)], ["event 2", "freed without being alive"]),
        ([(1, 100), (1, -50)], ["event 1", "50 bytes are freed of a storage of 100"]),
        ([(1, 0)], ["event 0"]),
    ],
)
def test_a_log_that_contradicts_itself_is_refused(events, words):
    log = [Event(storage, size, "", "", "", "activation") for storage, size in events]
    with pytest.raises(LabError) as caught:
        replay(log, find_card("rtx3070"))
    for word in words:
        assert word in str(caught.value)


def test_the_collector_is_as_it_was_afterwards() -> None:
    import gc

    log = [Event(0, 1024, "aten.empty", "", "vocoder", "activation")]
    for on in (True, False):
        (gc.enable if on else gc.disable)()
        try:
            replay(log, find_card("8gb"))
            assert gc.isenabled() == on
            with pytest.raises(LabError):
                replay([Event(7, -1024, "aten.empty", "", "vocoder", "activation")], find_card("8gb"))
            assert gc.isenabled() == on
        finally:
            gc.enable()
