"""Reference: a sentence with published units, and sentences read by hand. Behaviour: bad input."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tts_lab.errors import LabError, TextError, VoiceError
from tts_lab.systems.sambert.front_end import SpokenWord, analyse
from tts_lab.systems.sambert.units import write_units

DATA = Path(__file__).parents[2] / "data" / "sambert"
PHONES = dict(line.split("\t") for line in (DATA / "pinyin_to_phones.tsv").read_text("utf-8").splitlines())
ROWS = [line.split("\t") for line in (DATA / "sentences.tsv").read_text("utf-8").splitlines() if line[0] != "#"]
PUBLISHED = (DATA / "published_units.txt").read_text("utf-8").splitlines()[-1]


def by_hand(reading: str, emotion: str = "emotion_neutral", speaker: str = "F7") -> str:
    """A reading of sentences.tsv -> units, with the reference's own table and its rule of places written out anew."""
    units: list[str] = []
    word: list[tuple[str, str]] = []
    for part in reading.split():
        if part[0] != "#":
            spelt = part[:-1].replace("yu", "yv")
            for initial in "jqx":
                spelt = spelt.replace(initial + "u", initial + "v") if spelt[0] == initial else spelt
            word += [(phone, part[-1]) for phone in PHONES[spelt].split()]
            continue
        for place, (phone, tone) in enumerate(word):
            segment = "begin" if place == 0 else "end" if place == len(word) - 1 else "middle"
            flag = "end" if place % 2 else "begin"
            units.append(f"{{{phone}$tone{tone}$s_{flag}$word_{segment}${emotion}${speaker}}}")
        units.append(f"{{{part}$tone_none$s_none$word_none$emotion_none${speaker}}}")
        word = []
    return " ".join(units)


def test_the_published_sentence_unit_by_unit() -> None:
    units = write_units(analyse("北京今天天气怎么样").units()).split()
    published = PUBLISHED.split()
    assert len(published) == 22
    same = sum(ours == theirs for ours, theirs in zip(units, published, strict=True))
    print(f"{same}/22 units of the published sentence")
    assert same == 22


@pytest.mark.parametrize(("kind", "text", "reading"), ROWS, ids=[row[1] for row in ROWS])
def test_sentences_read_by_hand(kind: str, text: str, reading: str) -> None:
    spoken = analyse(text)
    assert str(spoken) == reading, kind
    assert write_units(spoken.units()) == by_hand(reading)
    assert spoken.unknown == ()


def test_the_table_is_large_and_mixed() -> None:
    assert len(ROWS) >= 60
    assert len({text for _, text, _ in ROWS}) == len(ROWS)
    kinds = {kind for kind, _, _ in ROWS}
    assert {"third tones", "一 and 不", "erhua", "neutral tone", "number", "date", "question"} < kinds
    assert {"punctuation", "name", "polyphone", "letters", "traditional", "full width"} < kinds


def test_emotion_and_speaker_of_the_units() -> None:
    units = analyse("你好，再见", "高兴").units("m7")
    assert write_units(units) == by_hand("ni2 hao3 #3 zai4 jian4 #4", "emotion_happy", "M7")
    assert {unit.speaker for unit in analyse("好").units("F7", ("F7",))} == {"F7"}


def test_ssml_gives_every_word_its_emotion() -> None:
    spoken = analyse("<speak>今天<emotion category='happy'>真高兴</emotion>啊，走吧</speak>", "calm")
    assert [(word.text, word.emotion, word.level) for word in spoken.words] == [
        ("今天", "calm", 1), ("真", "happy", 1), ("高兴", "happy", 1), ("啊", "calm", 3), ("走吧", "calm", 4),
    ]  # fmt: skip
    assert spoken.words[0] == SpokenWord("今天", ("jin1", "tian1"), "calm", 1)


def test_tone_sandhi_and_pauses_do_not_stop_at_tags() -> None:
    plain = analyse("你好，我很好！真的。")
    tagged = analyse(
        "<speak>你好<emotion category='sad'>，我<emotion category='fear'>很好</emotion>！</emotion>真的。</speak>"
    )
    assert str(tagged) == str(plain) == "ni2 hao3 #3 wo3 #1 hen2 hao3 #4 zhen1 de5 #4"
    assert tagged.normalised == plain.normalised


@pytest.mark.parametrize(
    "text", ["<speak>\n  今天\n  <emotion category='sad'>\n 冷\n </emotion>\n</speak>", "<speak>今天 <emotion category='sad'>冷</emotion></speak>"]
)  # fmt: skip
def test_white_space_around_tags_is_no_pause(text: str) -> None:
    assert str(analyse(text)) == "jin1 tian1 #1 leng3 #4"


def test_the_end_is_always_the_end_of_a_sentence() -> None:
    for text in ("好", "好，", "好、", "好。", "好？！", "好……", "“好”"):
        assert str(analyse(text)) == "hao3 #4"


@pytest.mark.parametrize(
    ("text", "reading", "unknown"),
    [
        ("今天😀天气🎉", "jin1 tian1 #1 tian1 qi4 #4", ("😀", "🎉")),
        ("好😀，😀好", "hao3 #3 hao3 #4", ("😀",)),
        ("😀。好", "hao3 #4", ("😀",)),
        ("呣，好", "hao3 #4", ("呣",)),
        ("我是こ人", "wo3 shi4 ren2 #4", ("こ",)),
        ("👨‍👩‍👧好", "hao3 #4", ("👨", "👩", "👧")),
    ],
)
def test_what_has_no_reading_is_reported(text: str, reading: str, unknown: tuple[str, ...]) -> None:
    spoken = analyse(text)
    assert (str(spoken), spoken.unknown) == (reading, unknown)


def test_a_character_that_no_dictionary_reads_is_reported() -> None:
    rare = "\U0002a6d6"
    spoken = analyse(f"我是{rare}人")
    assert (rare in spoken.unknown) != (rare in "".join(word.text for word in spoken.words))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "nothing to speak in an empty text: give Chinese"),
        (" \n", "an empty text"),
        ("，。！？……", "nothing to speak in '，。！？……'"),
        ("😀😀", r"nothing to speak in '😀😀' \('😀' has no reading\)"),
        ("呣", r"'呣' has no reading"),
        ("<speak></speak>", "nothing to speak"),
        ("<speak><emotion category='sad'>。</emotion></speak>", "nothing to speak"),
        ("<speak>好", "malformed at line 1, column 9"),
        ("<speak>\n<emotion category='hapy'>好</emotion></speak>", "line 2, column 1: No emotion.*'happy'"),
    ],
)
def test_nothing_to_speak_and_malformed_ssml(text: str, message: str) -> None:
    with pytest.raises(TextError, match=message):
        analyse(text)


def test_unknown_emotion_and_speaker_suggest_the_nearest() -> None:
    with pytest.raises(VoiceError, match="'hapy' .did you mean 'happy'"):
        analyse("好", "hapy")
    with pytest.raises(VoiceError, match="'xiayu' .did you mean 'xiaoyu'"):
        analyse("好").units("xiayu")


@pytest.mark.parametrize(
    "text", ['"\\{} value: "3" }', "1\x00 2\x07好", "\ud83d好", "3\\4\"5'6", "%s {} $F7 {b_c} 好" * 20, "儿", "儿儿儿", "的", "不", "一",
             "A儿", "儿A", "了了了", "<speak>儿</speak>", "<speak>花<emotion category='sad'>儿</emotion></speak>", "ﷺ好", "5儿"]
)  # fmt: skip
def test_odd_input_is_read_or_refused_in_a_sentence(text: str) -> None:
    try:
        ending = analyse(text).units()[-1].sy
    except LabError as error:
        ending = str(error)[-1]
    assert ending in ("#4", ".")


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        ("孙女儿和大儿子", "sun1 nvr3 #1 he2 #1 da4 er2 zi5 #4"),
        ("好好儿干活儿", "hao3 haor1 #1 gan4 huor2 #4"),
        ("胡同儿里", "hu2 tongr4 li3 #4"),
        ("喝点儿酒", "he1 #1 dianr2 #1 jiu3 #4"),
        ("我儿很好", "wo3 er2 #1 hen2 hao3 #4"),
        ("新生儿和婴儿", "xin1 sheng1 er2 #1 he2 #1 ying1 er2 #4"),
        ("台儿庄", "tai2 er2 zhuang1 #4"),
        ("颖儿和应采儿", "ying3 er2 #1 he2 #1 ying1 #1 cai3 er2 #4"),
    ],
)
def test_erhua(text: str, reading: str) -> None:
    assert str(analyse(text)) == reading


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("12345678", "一千 二百 三十四万 五千 六百 七十八"),
        ("编号20240501", "编号 二零二四 零五零一"),
        ("圆周率是3.14159", "圆周率 是 三点一四一五九"),
        ("三分之一的人", "三分之一的 人"),
        ("下午三点三十分", "下午 三点 三十分"),
        ("小李买了书", "小李 买了 书"),
        ("GPT4比A一个好", "GPT 四 比 A 一个 好"),
        ("中华人民共和国", "中华人民共和国"),
        ("今天天气好极了", "今天 天气 好极了"),
        ("我们在公园里散步吧", "我们 在 公园里 散步吧"),
        ("我很好，他不去", "我 很好 他 不去"),
        ("他说我和你买书", "他说 我 和 你买 书"),
        ("老师说三个人来了", "老师说 三个人 来了"),
    ],
)
def test_words_are_grouped_as_a_speaker_would(text: str, words: str) -> None:
    assert " ".join(word.text for word in analyse(text).words) == words


def test_importing_needs_neither_torch_nor_a_dictionary() -> None:
    code = (
        "import sys; import tts_lab.systems.sambert.pieces as p\n"
        "assert not {'jieba', 'pypinyin', 'kaldifst', 'torch'} & set(sys.modules)\n"
        "list(p.split_pieces('今天。')); assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, "")
