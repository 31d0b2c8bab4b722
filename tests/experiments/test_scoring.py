from __future__ import annotations

import random
from statistics import fmean

import pytest

pytest.importorskip("rapidfuzz", reason="scoring needs rapidfuzz, which the extra `judges` installs")

from tts_lab.errors import TextError
from tts_lab.experiments import scoring
from tts_lab.experiments.scoring import Errors, compare, interval, rate, syllables, toneless


def counts(text: str, heard: str, pinyin: str | None = None) -> tuple[int, int, int, int]:
    e = compare(text, heard, pinyin.split() if pinyin else None)
    return e.syllables, e.toneless, e.toned, e.characters


@pytest.mark.parametrize(
    ("text", "heard", "expected"),
    [
        ("今天天气真好。", "今天天气真好", (6, 0, 0, 0)),
        ("今天天气真好。", "今天，天气真好！", (6, 0, 0, 0)),  # punctuation is not heard
        ("请输入您的密码。", "请书入您的密码", (7, 0, 0, 1)),  # a homophone: shu1
        ("我买书。", "我卖书", (3, 0, 1, 1)),  # mai3, mai4: the tone alone
        ("我买书。", "我猜书", (3, 1, 1, 1)),  # another sound
        ("我买书。", "我书", (3, 1, 1, 1)),  # one left out
        ("我买书。", "我买书书", (3, 1, 1, 1)),  # one too many
        ("我买书。", "", (3, 3, 3, 3)),  # nothing heard
        ("我买书。", "。。。", (3, 3, 3, 3)),
        ("我买书。", "ありがとう", (3, 3, 3, 3)),  # another language
        ("樹葉都掉光了。", "树叶都掉光了", (6, 0, 0, 0)),
        ("树叶都掉光了。", "樹葉都掉光了", (6, 0, 0, 0)),  # traditional
        ("今天是九月二十三号。", "今天是9月23號", (9, 0, 0, 0)),
        ("增长了百分之二十五。", "增長了25%", (9, 0, 0, 0)),
        ("一共三十二个。", "一共32个", (6, 0, 0, 0)),
        ("请拨打一一零。", "請撥打110", (6, 0, 0, 0)),  # written 110, whether 一一零, 幺幺零 or 一百一十 was said
        ("一共一百一十。", "一共110", (6, 0, 0, 0)),
        ("验证码是三八零六。", "验证码是3806", (8, 0, 0, 0)),
        ("一共三十二个。", "一共42个", (6, 1, 1, 1)),  # a wrong digit stays wrong
    ],
)
def test_hand_counted(text: str, heard: str, expected: tuple[int, ...]) -> None:
    assert counts(text, heard) == expected


def test_the_label_decides_what_was_to_be_said() -> None:
    """A voice that was asked for hang2 and said xing2 is wrong, even where the front end would have read xing2."""
    assert counts("行。", "形", "hang2") == (1, 1, 1, 1)
    assert counts("行。", "航", "hang2") == (1, 0, 0, 1)


def test_the_same_character_has_the_same_reading() -> None:
    """The recogniser wrote what was written, so it heard what the label says, whatever else the character can mean."""
    assert counts("得去。", "得去", "dei3 qu4") == (2, 0, 0, 0)
    assert counts("都得去。", "他得去", "dou1 dei3 qu4") == (3, 1, 1, 1)


def test_characters_that_differ_keep_their_own_reading_in_their_place() -> None:
    assert counts("长长的路。", "常常的路", "chang2 chang2 de5 lu4") == (4, 0, 0, 2)
    assert counts("长长的路。", "涨涨的路", "chang2 chang2 de5 lu4") == (4, 2, 2, 2)


def test_nothing_to_say_and_wrong_labels_are_refused() -> None:
    with pytest.raises(TextError, match="nothing to say"):
        compare("。！", "你好")
    with pytest.raises(TextError, match="2 syllables, but 1 reading"):
        compare("你好", "你好", ["ni3"])


def test_toneless_keeps_the_sound() -> None:
    assert [toneless(p) for p in ("zhong1", "lv4", "de5", "r")] == ["zhong", "lv", "de", "r"]


def test_syllables_of_silence_are_none() -> None:
    assert syllables("") == []
    assert syllables("♪♪") == []


def test_rate_is_pooled_not_averaged() -> None:
    rows = [Errors(syllables=1, toneless=1, toned=1, characters=1), Errors(9, 0, 1, 4)]
    assert rate(rows, "toneless") == pytest.approx(0.1)
    assert rate(rows, "toned") == pytest.approx(0.2)
    assert rate(rows, "characters") == pytest.approx(0.5)


def test_distance_agrees_with_jiwer() -> None:
    jiwer = pytest.importorskip("jiwer", reason="the reference implementation comes with the extra `judges`")
    draw = random.Random(0)
    pairs = [[draw.choices("abcd", k=draw.randint(1, 12)) for _ in range(2)] for _ in range(50)]
    for said, heard in pairs:
        ours = scoring._distance(said, heard)
        assert ours == round(jiwer.wer(" ".join(said), " ".join(heard)) * len(said))


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    draw = random.Random(1)
    inside = 0
    for _ in range(30):
        rows = [Errors(10, sum(draw.random() < 0.1 for _ in range(10)), 0, 0) for _ in range(40)]
        low, high = interval(rows, lambda r: rate(r, "toneless"))
        inside += low <= 0.1 <= high
    assert 25 <= inside < 30


def test_interval_agrees_with_scipy() -> None:
    scipy = pytest.importorskip("scipy.stats")
    values = [random.Random(2).gauss(4, 0.3) for _ in range(40)] + [1.0]
    reference = scipy.bootstrap((values,), fmean, method="percentile", n_resamples=4000, vectorized=False, rng=0)
    ours = interval(values, fmean)
    assert ours == pytest.approx(tuple(reference.confidence_interval), abs=0.02)
    assert ours == interval(values, fmean)  # the same draws every time


def test_interval_of_equal_sentences_is_a_point() -> None:
    assert interval([Errors(10, 1, 1, 1)] * 5, lambda r: rate(r, "toneless")) == (0.1, 0.1)
