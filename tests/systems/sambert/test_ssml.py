"""Behaviour: the subset of SSML that is obeyed, and refusals that say where and what instead."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts_lab.errors import TextError
from tts_lab.systems.sambert.ssml import Segment, is_ssml, read_ssml, write_ssml
from tts_lab.systems.sambert.voices import EMOTIONS


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("今天3<5 & 好", [("今天3<5 & 好", None)]),
        ("", [("", None)]),
        ("<3 你", [("<3 你", None)]),
        ("<speak>你好</speak>", [("你好", None)]),
        ('<speak><emotion category="happy">你好</emotion></speak>', [("你好", "happy")]),
        ("\n <speak>今<emotion category='sad'>天</emotion>好</speak>\n", [("今", None), ("天", "sad"), ("好", None)]),
        (
            "<speak><emotion category='sad'>一<emotion category='高兴'>二</emotion>三</emotion></speak>",
            [("一", "sad"), ("二", "happy"), ("三", "sad")],
        ),
        (
            "<speak><emotion category='sad'>一</emotion><emotion category='emotion_sad'>二</emotion></speak>",
            [("一二", "sad")],
        ),
        ("<speak>A&amp;B &lt;好&gt; &#x4f60;&#22909;&quot;&apos;</speak>", [("A&B <好> 你好\"'", None)]),
        ("<speak><![CDATA[1<2]]><!-- 不说 --><?pi?></speak>", [("1<2", None)]),
        ('<?xml version="1.0" encoding="UTF-8"?>\n<speak version="1.1" xml:lang="zh-CN">好</speak>', [("好", None)]),
        ("\ufeff<speak>好</speak>", [("好", None)]),
        ("<speak/>", []),
    ],
)
def test_reading(text: str, segments: list[tuple[str, str | None]]) -> None:
    assert [(s.text, s.emotion) for s in read_ssml(text)] == segments


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<speak>你好", r"malformed at line 1, column 10: .*; <speak> of line 1, column 1 is still open there"),
        (
            "<speak>\n你好<emotion category='happy'>好</speak>",
            r"malformed at line 2, column 32: mismatched tag; <emotion> of line 2, column 3 is still open",
        ),
        ("<speak>你好</emotion></speak>", "line 1, column 12: mismatched tag; <speak> of line 1"),
        ("<speak>A & B</speak>", "line 1, column 11: not well-formed .*write & as &amp;"),
        ("<speak>1 < 2</speak>", "line 1, column 11: not well-formed .*< as &lt;"),
        ("<speak>&nbsp;</speak>", "line 1, column 8: undefined entity"),
        ("<speak><emotion category=happy>好</emotion></speak>", "line 1, column 26: not well-formed"),
        ("<speak>好</speak>再见", "line 1, column 17: junk after document"),
        ("<speak>好</speak><speak>好</speak>", "junk after document"),
        ("<speak>\x00</speak>", "malformed at line 1, column 8"),
        ("<speak>\ud83d</speak>", "not valid Unicode"),
        ("<emotion category='happy'>好</emotion>", "line 1, column 1: <speak> encloses everything"),
        ("<speak><speak>好</speak></speak>", "line 1, column 8: <speak> encloses everything, once"),
        ("<speak>\n\n  <emotoin category='happy'>好</emotoin></speak>", r"line 3, column 3: .*<emotoin>.*mean 'emotion'"),
        ("<speaks>好</speaks>", r"<speaks> here \(did you mean 'speak'"),
        ("<speak>好<break time='1s'/></speak>", r"line 1, column 9: there is no tag <break> here.* <speak> and <emotion>"),
        ("<speak><prosody rate='fast'>好</prosody></speak>", "no tag <prosody>"),
        ("<Speak>好</Speak>", r"no tag <Speak> here \(did you mean 'speak'"),
        ("<speak><emotion catagory='happy'>好</emotion></speak>", "no attribute 'catagory' here .did you mean 'category'"),
        ("<speak voice='zhibei'>好</speak>", "<speak> has no attribute 'voice' here.*it takes version"),
        ("<speak><emotion>好</emotion></speak>", "line 1, column 8: <emotion> says which one"),
        ("<speak>\n<emotion category='hapy'>好</emotion></speak>", "line 2, column 1: No emotion .*'hapy'.*'happy'"),
        ("<speak><emotion category=''>好</emotion></speak>", "No emotion is called ''"),
        ("<speak><emotion category='happy' intensity='1.0'>好</emotion></speak>", "intensity cannot be obeyed.*no intensity input"),
        ("<speak><emotion category='happy' category='sad'>好</emotion></speak>", "duplicate attribute"),
        ("<speak xml:lang='en-US'>好</speak>", "speak Mandarin .zh-CN., not 'en-US'"),
        ("<html>好</html>", "no tag <html>"),
        ("</speak>", "malformed at line 1"),
        ("<speak", "malformed at line 1"),
    ],
)  # fmt: skip
def test_refusals_say_where_and_what(text: str, message: str) -> None:
    with pytest.raises(TextError, match=message):
        read_ssml(text)


BOMB = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))


@pytest.mark.parametrize(
    "doctype",
    [
        "<!DOCTYPE speak>",
        '<!DOCTYPE speak SYSTEM "file:///etc/passwd">',
        '<!DOCTYPE speak [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        f'<!DOCTYPE speak [<!ENTITY l0 "好">{BOMB}]>',
        '<!DOCTYPE speak [<!ENTITY % p SYSTEM "http://127.0.0.1:9/x"> %p;]>',
    ],
)
def test_no_document_type_and_so_no_entity_of_its_own(doctype: str) -> None:
    with pytest.raises(TextError, match=r"line 1, column \d+: a document type is refused"):
        read_ssml(f"{doctype}<speak>&x;&l11;</speak>")


@pytest.mark.parametrize("text", ["<speak>", "  <speak", "<emotion>", "</a>", "<!DOCTYPE x>", "<?xml", "\ufeff<speak>"])
def test_markup_is_recognised(text: str) -> None:
    assert is_ssml(text)


@pytest.mark.parametrize("text", ["", "<", "<3", "< speak>", "好<speak>", "a<b"])
def test_text_is_text(text: str) -> None:
    assert not is_ssml(text)


CHARS = st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t")


@given(st.lists(st.tuples(st.text(CHARS, min_size=1), st.sampled_from([None, *EMOTIONS])), max_size=6))
def test_writing_is_the_inverse_of_reading(parts: list[tuple[str, str | None]]) -> None:
    def merged(segments: list[Segment]) -> list[tuple[str | None, str]]:
        runs: list[tuple[str | None, str]] = []
        for s in segments:
            if runs and runs[-1][0] == s.emotion:
                runs[-1] = (s.emotion, runs[-1][1] + s.text)
            elif s.text:
                runs.append((s.emotion, s.text))
        return runs

    given_segments = [
        Segment(text, emotion) for text, emotion in parts if "\ufffe" not in text and "\uffff" not in text
    ]
    assert merged(list(read_ssml(write_ssml(given_segments)))) == merged(given_segments)
