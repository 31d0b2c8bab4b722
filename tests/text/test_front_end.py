"""Reference: the labels the bundled voice was trained with. Behaviour: bad input, silence, speed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from tts_lab.errors import TextError
from tts_lab.text.front_end import Utterance, analyse, speakable
from tts_lab.text.phones import BEGIN, END, PAUSES, WORD, Phone

SENTENCES = json.loads((Path(__file__).parents[1] / "data" / "mini_sentences.json").read_text("utf-8"))["sentences"]
TONES = {"→": "", "↗": "", "↓": "", "↘": ""}


def symbols(utterance: Utterance) -> str:
    return "".join(phone.symbol for phone in utterance.phones)


def taught(tokens: str) -> str:
    """The teacher's tokens as our symbols: pads, breaks and pauses; tone arrows dropped."""
    body = tokens[1:-1].translate(str.maketrans(TONES))
    for pause in PAUSES:
        body = body.replace(pause + " ", pause)
    return BEGIN + body.replace(" ", WORD) + END


def test_syllables_agree_with_the_training_labels() -> None:
    said = [syllable.pinyin for s in SENTENCES for syllable in analyse(s["text"]).syllables]
    labels = [pinyin for s in SENTENCES for pinyin in s["pinyin"].split()]
    assert len(said) == len(labels)
    share = sum(a == b for a, b in zip(said, labels, strict=True)) / len(labels)
    print(f"{share:.2%} of {len(labels)} syllables as labelled, {len(SENTENCES)} held-out sentences")
    assert share >= 0.98


def test_phones_are_those_of_the_training_labels() -> None:
    """Wherever words and readings agree, which is nearly everywhere, the sequence is the same to the last mark."""
    agree = same = 0
    for s in SENTENCES:
        utterance = analyse(s["text"])
        words = [word for word in s["words"].split() if word[0] not in "，。！？：；、"]
        if list(utterance.words) == words and [x.pinyin for x in utterance.syllables] == s["pinyin"].split():
            agree += 1
            assert symbols(utterance) == taught(s["tokens"]), s["text"]
        same += symbols(utterance) == taught(s["tokens"])
    print(f"{same} of {len(SENTENCES)} sentences give exactly the sequence of the labels")
    assert same >= agree >= 0.9 * len(SENTENCES)


def test_an_utterance_in_full() -> None:
    u = analyse("你好，3D！")
    assert u.text == "你好，3D！"
    assert u.normalised == "你好，三D！"
    assert u.words == ("你好", "三", "D")
    assert [(s.text, s.pinyin, s.word) for s in u.syllables] == [
        ("你", "ni2", 0), ("好", "hao3", 0), ("三", "san1", 1), ("D", "di4", 2),
    ]  # fmt: skip
    assert symbols(u) == "^nixau,san_ti!$"
    assert u.phones[1] == Phone("n", 2, 0, 0)
    assert [p.syllable for p in u.phones] == [-1, 0, 0, 1, 1, 1, -1, 2, 2, 2, -1, 3, 3, -1, -1]
    assert u.unknown == ()


@pytest.mark.parametrize(
    ("text", "marks"),
    [
        ("好", "^.$"), ("好。", "^.$"), ("好，", "^.$"), ("好：", "^.$"), ("好！", "^!$"), ("好？！", "^?$"),
        ("好，好", "^,.$"), ("好、好", "^,.$"), ("好：“好。”", "^:.$"), ("好……好", "^,.$"), ("好。。，好？", "^.?$"),
        ("，，好", "^.$"), ("好（好）好", "^,,.$"), ("好😀，好", "^,.$"), ("好\n好", "^..$"),
        ("好；好", "^;.$"), ("好，😀。", "^.$"),
    ],
)  # fmt: skip
def test_marks(text: str, marks: str) -> None:
    assert "".join(p.symbol for p in analyse(text).phones if p.symbol in BEGIN + END + "".join(PAUSES)) == marks


def test_breaks_stand_only_between_words() -> None:
    for s in SENTENCES:
        sequence = [p.symbol for p in analyse(s["text"]).phones]
        for before, after in pairwise(sequence):
            if WORD in (before, after):
                assert {before, after}.isdisjoint({BEGIN, END, *PAUSES})


def test_unknown_characters_are_reported() -> None:
    assert analyse("今天😀天气🎉真好😀").unknown == ("😀", "🎉")


def test_a_character_that_no_dictionary_reads_is_reported() -> None:
    rare = "\U0002a6d6"  # the last of CJK extension B
    found = analyse(f"我是{rare}人")
    assert "".join(s.text for s in found.syllables) in {"我是人", f"我是{rare}人"}
    assert found.unknown == ((rare,) if rare not in {s.text for s in found.syllables} else ())


@pytest.mark.parametrize("text", ["", "   \n\t", "，。！？……", "😀😀", "“”（）", "\u200b", "こんにちは"])
def test_nothing_to_speak_is_an_error_that_says_so(text: str) -> None:
    assert not speakable(text)
    with pytest.raises(TextError, match="nothing to speak"):
        analyse(text)


@pytest.mark.parametrize("text", ["好", "3", "a", "=", "☆好"])
def test_speakable(text: str) -> None:
    assert speakable(text)
    assert analyse(text).syllables


@pytest.mark.parametrize(
    "text", ['"\\{} value: "3" }', "1\x00 2\x07好", "\ud83d好", "3\\4\"5'6", "%s {} \\u0033 好" * 20]
)
def test_odd_input_is_read_or_reported_but_never_fails(text: str) -> None:
    assert analyse(text).phones[-1].symbol == END


def test_a_long_text_takes_linear_time() -> None:
    utterance = analyse("从前有座山，山里有2座庙。" * 1000)
    assert len(utterance.syllables) == 11000


def run_fresh(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True, text=True, timeout=300, check=False, env={**os.environ, **environment},
    )  # fmt: skip


def test_a_first_text_is_silent_and_needs_neither_notebook_nor_torch() -> None:
    code = (
        "import sys; from tts_lab.text.front_end import analyse; analyse('今天3:30，GPT-4，後來'); "
        "assert not {'torch', 'librosa', 'IPython', 'wetext', 'pkg_resources'} & set(sys.modules)"
    )
    done = run_fresh(code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_importing_loads_no_dictionary() -> None:
    code = (
        "import sys; import tts_lab.text.front_end, tts_lab.text.split; "
        "assert not {'jieba', 'pypinyin', 'kaldifst'} & set(sys.modules)"
    )
    assert run_fresh(code).returncode == 0


def test_a_cache_folder_that_cannot_be_written_does_no_harm(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    done = run_fresh(
        "from tts_lab.text.front_end import analyse; print(*analyse('重庆的重量').words)", XDG_CACHE_HOME=str(blocked)
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "重庆 的 重量\n", "")


def test_a_damaged_cache_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "tts-lab").mkdir()
    (tmp_path / "tts-lab" / "jieba.cache").write_bytes(b"damaged")
    code = "from tts_lab.text.front_end import analyse; print(*analyse('重庆的重量').words)"
    done = run_fresh(code, XDG_CACHE_HOME=str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "重庆 的 重量\n", "")
    assert (tmp_path / "tts-lab" / "jieba.cache").stat().st_size > 1_000_000
