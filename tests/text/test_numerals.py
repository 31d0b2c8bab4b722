"""Exact: numbers as they are said."""

from __future__ import annotations

import pytest

from tts_lab.text.numerals import LONGEST, cardinal, count, digits, model_number, number

VALUES = {c: i for i, c in enumerate("零一二三四五六七八九")} | {"两": 2}
SCALES = {"十": 10, "百": 100, "千": 1000}


def value(said: str) -> int:
    """The number that Chinese numerals stand for (the inverse, written independently)."""
    for name, scale in (("亿", 10**8), ("万", 10**4)):
        if name in said:
            high, low = said.rsplit(name, 1)
            return value(high) * scale + value(low)
    total, digit = 0, 0
    for char in said:
        if char in VALUES:
            digit = VALUES[char]
        else:
            total += (digit or 1) * SCALES[char]
            digit = 0
    return total + digit


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("0", "零"), ("10", "十"), ("12", "十二"), ("110", "一百一十"), ("105", "一百零五"), ("2305", "两千三百零五"),
        ("10050", "一万零五十"), ("20000", "两万"), ("100200300", "一亿零二十万零三百"), ("1000000000000", "一万亿"),
        ("120000", "十二万"), ("10000000000", "一百亿"), ("22", "二十二"),
        ("1001000", "一百万一千"), ("10010", "一万零一十"), ("1002000000000", "一万零二十亿"),
    ],
)  # fmt: skip
def test_cardinal(written: str, said: str) -> None:
    assert cardinal(written) == said


@pytest.mark.parametrize("power", range(12))
def test_cardinal_means_its_number(power: int) -> None:
    for lead in (1, 2, 9, 10, 15, 20, 101, 110, 210, 999, 1002, 1020, 2200):
        for tail in (0, 1, 10**power // 3):
            n = lead * 10**power + tail
            assert value(cardinal(str(n))) == n


def test_other_readings() -> None:
    assert number("-5.50") == "负五点五零"
    assert count("2") == "两"
    assert digits("1108", one="幺") == "幺幺零八"
    assert [model_number(n) for n in ("4", "16", "100", "200", "3070", "2.5", "05")] == [
        "四", "十六", "一百", "二百", "三零七零", "二点五", "零五",
    ]  # fmt: skip
    assert cardinal("1" * (LONGEST + 1)) == "一" * (LONGEST + 1)
