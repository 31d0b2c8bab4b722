"""Behaviour: pieces of long text."""

from __future__ import annotations

import itertools
import random
import re

import pytest

from costs import function_calls, grows_in_line
from tts_lab.errors import RecipeError
from tts_lab.text.split import sentences, split_text

# What must never be cut; each at most ten characters, so that every limit can hold it.
WHOLE = ["3.14159", "2026-11-22", "15:30:45", "-5.5℃", "12.8%", "13812345", "GPT-4", "CUDA", "iPhone", "v2.0.1",
         "¥1,234.50", "a@b.com", "三千五百二十一", "10-20%", "8:00-9:30", "RTX3070", "010-62781", "FP16", "３．５",
         "x=1"]  # fmt: skip
FILLERS = ["今天天气真好", "我们", "一起去公园吧", "在图书馆里看书", "了", "非常", "你觉得怎么样呢", "然而"]
MARKS = ["，", "。", "！", "？", "；", "、", "……", "：", "。”", "\n", " ", ""]


def made_up(seed: int) -> str:
    draw = random.Random(seed)
    parts = []
    for _ in range(draw.randrange(1, 80)):
        parts.append(draw.choice(FILLERS))
        if draw.random() < 0.3:
            parts += [draw.choice(WHOLE), draw.choice(FILLERS)]
        parts.append(draw.choice(MARKS))
    return "".join(parts)


def bare(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize("limit", [12, 20, 60, 500])
def test_pieces_fit_and_give_back_the_text_and_cut_no_number(limit: int) -> None:
    tokens = re.compile("|".join(map(re.escape, sorted(WHOLE, key=len, reverse=True))))
    for seed in range(60):
        text = made_up(seed)
        pieces = list(split_text(text, limit))
        assert bare("".join(pieces)) == bare(text)
        assert all(piece == piece.strip() and piece for piece in pieces)
        assert max(map(len, pieces)) <= limit
        found = list(itertools.chain.from_iterable(tokens.findall(piece) for piece in pieces))
        assert found == tokens.findall(text), (limit, text)


def test_sentences_then_clauses_then_words() -> None:
    text = "从前有座山，山里有座庙。庙里有个老和尚！"
    assert list(split_text(text, 60)) == [text]
    assert list(split_text(text, 15)) == ["从前有座山，山里有座庙。", "庙里有个老和尚！"]
    assert list(split_text(text, 10)) == ["从前有座山，", "山里有座庙。", "庙里有个老和尚！"]
    assert list(split_text("我们今天下午去图书馆看书", 10)) == ["我们今天下午去图书馆", "看书"]


def test_part_of_a_sentence_does_not_join_the_one_before() -> None:
    assert list(split_text("你好。今天天气真好，我们一起去公园吧。", 16)) == [
        "你好。",
        "今天天气真好，我们一起去公园吧。",
    ]


def test_lines_stay_apart_unless_short() -> None:
    assert list(split_text("第一段的内容到这里结束\n第二段从这里开始", 60)) == [
        "第一段的内容到这里结束",
        "第二段从这里开始",
    ]
    assert list(split_text("静夜思\n床前明月光", 60)) == ["静夜思\n床前明月光"]


def test_quotes_stay_with_what_they_quote() -> None:
    pieces = list(split_text("他说：“我们走吧。”然后“砰”的一声，门关上了。", 12))
    assert pieces == ["他说：“我们走吧。”", "然后“砰”的一声，", "门关上了。"]


def test_one_long_number_is_kept_whole() -> None:
    number = "3." + "14159" * 20
    assert list(split_text(f"圆周率是{number}。好", 20)) == ["圆周率是", number + "。", "好"]


def test_a_date_and_a_telephone_number_are_kept_whole() -> None:
    pieces = list(split_text("会议在2026年11月22日举行请打138 1234 5678联系我", 13))
    assert any("2026年11月22日" in p for p in pieces)
    assert any("138 1234 5678" in p for p in pieces)


@pytest.mark.parametrize(
    "unit", ["从前有座山。", "我们今天去公园", "1", "！", " ", "a ", "“", "好\n", "1,", "-", "一", "a-"]
)
def test_a_hundred_thousand_characters_stream_in_linear_time(unit: str) -> None:
    def longest(size: int) -> int:
        return max(map(len, split_text(unit * (size // len(unit)))), default=0)

    assert longest(100_000) < 510
    assert grows_in_line(longest, 25_000)


def test_the_first_piece_comes_before_the_rest_is_read() -> None:
    text, first = "我们今天去公园玩，" * 100_000, []
    assert function_calls(lambda: first.append(next(split_text(text)))) < 5000
    assert first == ["我们今天去公园玩，" * 6]


@pytest.mark.parametrize("limit", [9, 501, 0, -1, True, 60.0, "60"])
def test_a_limit_out_of_range_is_refused_at_once(limit: object) -> None:
    with pytest.raises(RecipeError, match="10 to 500"):
        split_text("你好", limit)  # type: ignore[arg-type]


def test_empty_text_has_no_pieces() -> None:
    assert list(split_text("")) == list(split_text(" \n ")) == []


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("你好。再见！", "你好。|再见！"),
        ("他说：“好。”走了……真的；是。", "他说：“好。”|走了……真的；是。"),
        ("3.14是π。v2.0.1！a@b.com？", "3.14是π。|v2.0.1！|a@b.com？"),
        ("第一段\n\n第二段 \n", "第一段\n\n|第二段 \n"),
        ("好？！ 走吧", "好？！ |走吧"),
        ("Hi. Bye.", "Hi. |Bye."),
        ("\n。好", "\n|。|好"),
        ("", ""),
    ],
)
def test_sentences(text: str, cut: str) -> None:
    assert "|".join(sentences(text)) == cut


def test_sentences_give_back_the_text() -> None:
    for seed in range(60):
        assert "".join(sentences(made_up(seed))) == made_up(seed)
