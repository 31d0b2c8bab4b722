"""Behaviour: long texts in pieces that the model can take, lazily, with nothing lost."""

from __future__ import annotations

import itertools
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costs import function_calls
from tts_lab.errors import RecipeError, TextError
from tts_lab.systems.sambert.front_end import analyse
from tts_lab.systems.sambert.pieces import split_pieces
from tts_lab.systems.sambert.ssml import read_ssml

DATA = Path(__file__).parents[2] / "data" / "sambert"
SENTENCES = [line.split("\t")[1] for line in (DATA / "sentences.tsv").read_text("utf-8").splitlines() if line[0] != "#"]
SYLLABLES_A_SECOND = 4.5


def bare(text: str) -> str:
    return "".join("".join(segment.text for segment in read_ssml(text)).split())


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("你好。再见！", ["你好。", "再见！"]),
        ("他说：“好。”走了……真的；是。", ["他说：“好。”", "走了……真的；是。"]),
        ("第一段\n\n第二段", ["第一段", "第二段"]),
        ("版本v2.0.1，圆周率3.14。", ["版本v2.0.1，圆周率3.14。"]),
        ("😀。你好。🎉！\n再见", ["😀。你好。🎉！", "再见"]),
        ("呣。你好。呣。", ["呣。你好。呣。"]),
        ("1 < 2。<b>", ["1 < 2。", "<speak>&lt;b&gt;</speak>"]),
        (
            "<speak>今天。<emotion category='happy'>真好！太好了</emotion>，走吧。</speak>",
            [
                "今天。",
                '<speak><emotion category="happy">真好！</emotion></speak>',
                '<speak><emotion category="happy">太好了</emotion>，走吧。</speak>',
            ],
        ),
        ("<speak>A&amp;B &lt;好&gt;。</speak>", ["A&B <好>。"]),
    ],
)
def test_pieces(text: str, pieces: list[str]) -> None:
    assert list(split_pieces(text)) == pieces


@pytest.mark.parametrize("limit", [50, 120, 800])
@pytest.mark.parametrize(
    "text",
    ["W" * 1200, "好" * 600, "1" * 450, "今天天气真好，" * 150, "9999年" * 200, "呣" * 500 + "好" * 300, "<speak>W" + "W好" * 300 + "</speak>"],
    ids=["letters", "characters", "digits", "clauses", "years", "unread", "ssml"],
)  # fmt: skip
def test_no_piece_has_more_units_than_the_model_has_positions(text: str, limit: int) -> None:
    pieces = list(split_pieces(text, 500, limit))
    assert all(0 < len(analyse(piece).units()) <= limit for piece in pieces)
    assert bare("".join(bare(piece) for piece in pieces)) == bare(text)


@settings(max_examples=40)
@given(
    st.lists(st.sampled_from([*SENTENCES, "😀", "\n", "，", " ", "W", "<", "呣。"]), min_size=1, max_size=12),
    st.integers(10, 80),
)
def test_the_pieces_are_the_text(parts: list[str], limit: int) -> None:
    text = "好" + "".join(parts)
    pieces = list(split_pieces(text, limit))
    assert bare("".join(bare(piece) for piece in pieces)) == bare(text)
    unknown = {char for piece in pieces for char in analyse(piece).unknown}
    assert unknown == {char for char in "😀呣" if char in text}


def test_ssml_keeps_its_emotions_in_pieces() -> None:
    text = "".join(f'<emotion category="{e}">我{e[:1]}很好，</emotion>是。' for e in ("happy", "sad", "fear") * 20)
    pieces = list(split_pieces(f"<speak>{text}</speak>", 20))
    assert len(pieces) == 60
    for piece, emotion in zip(pieces, itertools.cycle(("happy", "sad", "fear")), strict=False):
        said = analyse(piece)
        assert [word.emotion for word in said.words] == [emotion] * (len(said.words) - 1) + ["neutral"]


def two_and_a_half_hours() -> str:
    syllables, text = 0, []
    for sentence in itertools.cycle(SENTENCES):
        text.append(sentence)
        syllables += len(sentence)
        if syllables > 2.5 * 3600 * SYLLABLES_A_SECOND:
            return "".join(text)
    raise AssertionError


@pytest.mark.slow
def test_a_text_of_two_and_a_half_hours_streams_in_bounded_memory() -> None:
    text = two_and_a_half_hours()
    analyse("预热。")
    tracemalloc.start()
    try:
        pieces = split_pieces(text)
        first = next(pieces)
        assert text.startswith(first)
        units = count = 0
        for count, piece in enumerate(itertools.chain([first], pieces), 1):
            units += len(analyse(piece).units())
            if count == 200:
                tracemalloc.reset_peak()
                begun = tracemalloc.get_traced_memory()[0]
        grown = tracemalloc.get_traced_memory()[1] - begun
    finally:
        tracemalloc.stop()
    print(f"{len(text)} characters, {count} pieces, {units} units, {grown / 2**20:.2f} MiB beyond those of 200 pieces")
    assert units > 80_000
    assert grown < 2 * 2**20


def test_the_first_piece_comes_before_the_text_is_cut() -> None:
    text = two_and_a_half_hours()
    analyse("预热。")
    assert function_calls(lambda: next(split_pieces(text))) < len(text) / 4


@pytest.mark.parametrize("limit", [9, 501, 0, True, "60", 3.5])
def test_a_limit_of_characters_out_of_range(limit: object) -> None:
    with pytest.raises(RecipeError, match="10 to 500 characters"):
        split_pieces("好", limit)  # type: ignore[arg-type]


@pytest.mark.parametrize("limit", [49, 801, True, None, "800"])
def test_a_limit_of_units_out_of_range(limit: object) -> None:
    with pytest.raises(RecipeError, match="50 to 800 units"):
        split_pieces("好", 60, limit)  # type: ignore[arg-type]


def test_malformed_ssml_is_refused_before_any_piece() -> None:
    with pytest.raises(TextError, match="line 1, column 9"):
        split_pieces("<speak>好")


@pytest.mark.parametrize("text", ["", "\n", "。。。", "😀" * 100, "呣呣", "<speak></speak>"])
def test_nothing_to_speak(text: str) -> None:
    with pytest.raises(TextError, match="nothing to speak"):
        list(split_pieces(text))
