"""Segmentation against the released rules' results, and what holds for any text."""

from __future__ import annotations

import json

import pytest
from gpt_recorded import FOLDER
from hypothesis import given
from hypothesis import strategies as st

from tts_lab.systems.indextts2.segments import segments

RECORDED = json.loads((FOLDER / "segments.json").read_text(encoding="utf-8"))
TOKENS = st.lists(st.sampled_from(["a", "▁b", "天", ".", "▁?", "!", ",", "▁,", "-", "'", "▁'", "▁..."]), max_size=60)


@pytest.mark.parametrize("case", RECORDED["cases"], ids=lambda c: f"{c['name']}-{c['limit']}-{c['first']}")
def test_segments_are_the_released_ones(case: dict) -> None:
    tokens = RECORDED["tokens"][case["name"]]
    expected, rest = case.get("segments"), list(tokens)
    if expected is None:
        expected = [[rest.pop(0) for _ in range(n)] for n in case["lengths"]]
        assert not rest
    assert segments(tokens, case["limit"], case["first"]) == expected


@given(TOKENS, st.integers(1, 20), st.integers(0, 30))
def test_nothing_is_lost_and_the_limit_holds(tokens: list[str], limit: int, first: int) -> None:
    found = segments(tokens, limit, first)
    assert all(0 < len(s) <= limit + 1 for s in found)
    said = [t for s in found for t in s if t not in ("'", "▁'")]
    assert said == [t for t in tokens if t not in ("'", "▁'")]
    if not {"'", "▁'"} & {*tokens}:
        assert all(len(s) <= limit for s in found)


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 token"):
        segments(["a"], 0)
