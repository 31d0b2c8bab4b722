"""Phones spelt as the voice's teacher reads them: the way that `training/corpus.py` spells the same from pinyin."""

import sys
from pathlib import Path

import pytest

from tts_lab.text.front_end import analyse
from tts_lab.text.phones import SYMBOLS, syllable_phones
from tts_lab.text.spelling import SPACE, TOKENS, spelt

sys.path.append(str(Path(__file__).resolve().parents[2] / "training"))


def spelling(text: str):
    phones = analyse(text).phones
    return spelt([SYMBOLS.index(p.symbol) for p in phones], [p.tone for p in phones], [p.place for p in phones])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("你好。", "$ni↗xau↓.$"),
        ("天安门，很大！", "$tʰjɛ→na→nmə↗n, xə↓nta↘!$"),
        ("他的书", "$tʰa→ tɤ ʂu→.$"),
    ],
)
def test_sentences_are_spelt_with_tones_breaths_and_spaces(text: str, expected: str) -> None:
    assert str(spelling(text)) == expected


def test_every_phone_knows_its_first_and_last_token() -> None:
    found = spelling("可以，对。")
    for (first, last), (after, _) in zip(found.places, found.places[1:], strict=False):
        assert first <= last == after - 1
    pieces = ["".join(TOKENS[i] for i in found.tokens[a : b + 1]) for a, b in found.places]
    assert pieces == ["$", "kʰ", "ɤ↗", "i↓", ", ", "t", "w", "e", "i↘", ".", "$"]


def test_only_the_last_pause_has_no_space_behind_it() -> None:
    found = str(spelling("好，好；好。"))
    assert found.count(SPACE) == 2
    assert found.endswith(".$")


def test_every_syllable_is_spelt_as_the_corpus_was() -> None:
    """All readings that the lab's dictionary of phones knows, alone between two edges."""
    corpus = pytest.importorskip("corpus")
    from tts_lab.text.phones import FINALS, INITIALS, ZERO_INITIAL

    known = 0
    for sounds in [i + f for i in ("", *INITIALS) for f in {**FINALS, **ZERO_INITIAL}]:
        for tone in range(1, 6):
            try:
                phones = syllable_phones(f"{sounds}{tone}")
            except KeyError:
                continue
            symbols = [SYMBOLS.index(p.symbol) for p in phones]
            found = spelt(symbols, [p.tone for p in phones], [p.place for p in phones])
            assert str(found) == corpus.syllable_tokens(f"{sounds}{tone}"), sounds
            known += 1
    assert known > 1500
