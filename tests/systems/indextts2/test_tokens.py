"""Text becomes the pieces that the released vocabulary was made for; a tiny vocabulary is trained here."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_checkpoint import tokenizer

from tts_lab.errors import TextError, WeightsError
from tts_lab.systems.indextts2.tokens import Tokens, readable, spaced, written

SENTENCES = ["你 好 , 世 界 .", "今 天 的 气 温 是 二 十 度 !", "HELLO WORLD - XUAN4 JV2 ?", "我 们 去 公 园 吧 ."] * 3


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokens") / "bpe.model"
    path.write_bytes(tokenizer(SENTENCES, 90))
    return path


@pytest.fixture(scope="module")
def tokens(file: Path) -> Tokens:
    return Tokens.load(file)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("你好，世界。", "你好,世界."),
        ("今天20度！", "今天二十度!"),
        ("最zhong4要xuan4是一种GAN3觉", "最ZHONG4要XVAN4是一种GAN3觉"),
        ("ju4 que4 xun2 lü4 nv3", "JV4 QVE4 XVN2 LÜ4 NV3"),
        ("用beta1测试", "用BETA一测试"),
        ("A4纸", "A四纸"),
        ("zq ZQAAAQZ ma1", "ZQ ZQAAAQZ MA1"),
        ('Hello, world: it\'s "8:00"...', "Hello, world, it's '8,00'."),
        ("一、二；三：四", "一,二,三,四"),
    ],
)
def test_text_as_it_is_read(text: str, said: str) -> None:
    assert readable(text)[0] == said


def test_more_syllables_than_letters_keep_their_order() -> None:
    many = "你" + " ".join(f"{a}a{i % 4 + 1}" for i, a in enumerate("bpmfdtnlgkh" * 4))
    assert readable(many)[0] == many.upper()


def test_chinese_characters_stand_alone() -> None:
    assert spaced("你好世界是 hello world 的中文") == "你 好 世 界 是 HELLO WORLD 的 中 文"
    assert written(["▁你", "▁好", "▁HE", "LL", "O", "▁W", "▁世"]) == "你好HELLO W世"


def test_pieces_and_ids(tokens: Tokens) -> None:
    pieces = tokens.pieces("你好，世界。")
    assert "".join(pieces).replace("▁", "") == "你好,世界."
    ids = tokens.ids(pieces)
    assert min(ids) > tokens.unknown_id == 2
    assert max(ids) < len(tokens) <= 90
    assert tokens.ids(["nothing"]) == [2]


def test_segments_end_at_marks_and_keep_every_piece(tokens: Tokens) -> None:
    text = "你好世界。今天二十度？我们去公园吧。"
    assert len(tokens.segments(text)) == 1
    parts = tokens.segments(text, limit=9)
    assert [part.text for part in parts] == ["你好世界.", "今天二十度?", "我们去公园吧."]
    assert [piece for part in parts for piece in part.pieces] == tokens.pieces(text)
    assert all(list(part.ids) == tokens.ids(part.pieces) and len(part.ids) <= 9 for part in parts)
    with pytest.raises(ValueError, match="at least 1 token"):
        tokens.segments(text, limit=0)


def test_what_is_not_spoken_is_told(tokens: Tokens) -> None:
    assert tokens.unknown("你好世界") == ()
    assert tokens.unknown("你好☃☃龘。") == ("☃", "龘")


@pytest.mark.parametrize("text", ["", "   \n", "。。。！", "☃", "\u200b"])
def test_a_text_that_says_nothing_is_refused(tokens: Tokens, text: str) -> None:
    with pytest.raises(TextError, match="nothing in the text that can be spoken; give some words"):
        tokens.pieces(text)


def test_another_file_is_refused(tmp_path: Path, file: Path) -> None:
    with pytest.raises(WeightsError, match=r"none\.model is missing: run 'tts-lab fetch indextts2 --only indextts2'"):
        Tokens.load(tmp_path / "none.model")
    for content in (b"", b"<html>not found</html>", file.read_bytes()[:500]):
        (tmp_path / "bpe.model").write_bytes(content)
        with pytest.raises(WeightsError, match=r"bpe\.model is no SentencePiece model \(.*\): give the released"):
            Tokens.load(tmp_path / "bpe.model")
