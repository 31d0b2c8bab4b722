"""Stepping down where a card runs out of memory: what is spoken stays, seeds stay, the receipt tells."""

from __future__ import annotations

import gc
import json
import weakref

import pytest
import torch

from tts_lab.errors import LabError
from tts_lab.levers.residency import Residency
from tts_lab.pipeline import say, speak_down, speak_to_file
from tts_lab.recipe import Recipe
from tts_lab.types import Request

TEXT = "今天天气真好我们一起去公园吧顺便买点水果回家"  # 22 characters: pieces of 10, 10 and 2
FIRST = Recipe(max_chars=10)
SECOND = FIRST.replace(offload="stage")
THIRD = SECOND.replace(precision="fp16")


class Full:
    """A system whose stage runs out of memory at the calls that are told, counted from 1."""

    def __init__(self, system, stage, calls):
        self.system, self.stage, self.calls, self.count, self.seen = system, stage, set(calls), 0, []
        self.home = Home()

    def __getattr__(self, name):
        value = getattr(self.system, name)
        if name != self.stage:
            return value

        def run(*arguments):
            self.count += 1
            self.seen.append(arguments)
            if self.count in self.calls:
                held = self.held = Large()
                self.held = weakref.ref(held)
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return value(*arguments)

        return run


class Large:
    """Stands for the tensors of a stage that failed."""


class Home:
    cleared = 0

    def clear(self):
        self.cleared += 1


def test_what_was_spoken_stays_and_the_rest_is_as_if_spoken_so_from_the_start(system):
    full = Full(system, "vocoder", [2])
    speech = say(full, Request(TEXT, seed=5), FIRST, fallbacks=(SECOND, THIRD))
    plain = say(system, Request(TEXT, seed=5), FIRST)
    assert torch.equal(speech.samples, plain.samples)  # the tone system takes no notice of these levers
    assert [wave.mel.semantic.chunk.seed for wave in speech.waves] == [5, 6, 7]
    assert full.count == 4  # three pieces, one of them twice
    assert full.home.cleared == 1


def test_the_receipt_says_which_recipe_spoke_which_pieces(system):
    receipt = say(Full(system, "acoustic", [2, 3]), Request(TEXT), FIRST, fallbacks=(SECOND, THIRD)).receipt
    assert [(part.first, part.last, part.recipe) for part in receipt.spoken] == [(1, 1, FIRST), (2, 3, THIRD)]
    assert "pieces 2 to 3" in repr(receipt)
    plain = json.loads(receipt.to_json())
    assert plain["spoken"][1] == {"first": 2, "last": 3, "recipe": THIRD.to_dict()}


def test_a_run_that_does_not_step_down_has_the_receipt_that_it_always_had(system):
    receipt = say(system, Request(TEXT), FIRST, fallbacks=(SECOND,)).receipt
    assert "pieces 1 to" not in repr(receipt)
    assert [(part.first, part.last) for part in receipt.spoken] == [(1, 3)]


@pytest.mark.parametrize("stage", ["speaker", "semantic", "acoustic", "vocoder"])
def test_any_stage_may_run_out(system, stage):
    speech = say(Full(system, stage, [1]), TEXT, FIRST, fallbacks=(SECOND,))
    assert torch.equal(speech.samples, say(system, TEXT, FIRST).samples)
    assert speech.receipt.spoken[0].recipe == SECOND


def test_a_chunk_is_cut_again_for_shorter_pieces_and_keeps_its_seed(system):
    shorter = SECOND.replace(max_chars=10)
    found = list(speak_down(Full(system, "vocoder", [2]), Request(TEXT, seed=3), (Recipe(max_chars=12), shorter)))
    chunks = [wave.mel.semantic.chunk for wave, _ in found]
    assert [chunk.text for chunk in chunks] == [TEXT[:12], TEXT[12:22]]
    found = list(speak_down(Full(system, "vocoder", [1]), Request(TEXT, seed=3), (Recipe(max_chars=22), shorter)))
    chunks = [wave.mel.semantic.chunk for wave, _ in found]
    assert [chunk.text for chunk in chunks] == [TEXT[:10], TEXT[10:20], TEXT[20:]]
    assert [(chunk.index, chunk.seed) for chunk in chunks] == [(0, 3), (0, 4), (0, 5)]
    assert {recipe for _, recipe in found} == {shorter}


def test_when_every_recipe_runs_out_it_is_said_and_no_file_is_left(system, tmp_path):
    full = Full(system, "vocoder", [2, 3])
    with pytest.raises(LabError, match="ran out of memory with all 2 recipes"):
        speak_to_file(full, TEXT, tmp_path / "a.wav", FIRST, fallbacks=(SECOND,))
    assert list(tmp_path.iterdir()) == []


def test_a_single_recipe_s_error_is_passed_on(system):
    with pytest.raises(torch.OutOfMemoryError):
        say(Full(system, "vocoder", [1]), TEXT, FIRST)


def test_other_errors_are_not_taken_for_it(system):
    class Wrong(Full):
        def acoustic(self, *arguments):
            raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        say(Wrong(system, "vocoder", []), TEXT, FIRST, fallbacks=(SECOND,))


def test_the_failed_run_s_tensors_are_let_go_before_the_next_try(system):
    full = Full(system, "vocoder", [1])
    alive = []
    full.home.clear = lambda: alive.append(full.held())
    gc.disable()
    try:
        say(full, TEXT, FIRST, fallbacks=(SECOND,))
    finally:
        gc.enable()
    assert alive == [None]


def test_clearing_a_home_lets_every_copy_go():
    home = Residency("cpu", lends=True)
    stage = torch.nn.Linear(2, 2)
    with home.use(stage):
        pass
    assert home.resident() == (stage,)
    home.clear()
    assert home.resident() == ()
