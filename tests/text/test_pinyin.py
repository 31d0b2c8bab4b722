"""Behaviour: readings and tone sandhi of hard sentences, checked by hand."""

from __future__ import annotations

import string

import pytest

from tts_lab.text.front_end import analyse
from tts_lab.text.letters import LETTERS
from tts_lab.text.lexicon import PHRASES, WORDS
from tts_lab.text.phones import syllable_phones

CASES = {
    # Several readings
    "银行行长长大了，重庆的重量。": "yin2 hang2 hang2 zhang3 zhang3 da4 le5 chong2 qing4 de5 zhong4 liang4",
    "他教得很好": "ta1 jiao1 de5 hen2 hao3",
    "房子着火了，别着急": "fang2 zi5 zhao2 huo3 le5 bie2 zhao2 ji2",
    "你得走了": "ni3 dei2 zou3 le5",
    "他跑得快": "ta1 pao3 de5 kuai4",
    "他得了第一名": "ta1 de2 le5 di4 yi1 ming2",
    "听得出来": "ting1 de5 chu1 lai2",
    "受得了吗": "shou4 de5 liao3 ma5",
    "慢慢地走在地上": "man4 man4 de5 zou3 zai4 di4 shang4",
    "睡着了": "shui4 zhao2 le5",
    "睡不着": "shui4 bu4 zhao2",
    "三只小猪": "san1 zhi1 xiao3 zhu1",
    "这只鸟": "zhe4 zhi1 niao3",
    "四十二只羊": "si4 shi2 er4 zhi1 yang2",  # 只羊 is one word to the cutter
    "三十只好": "san1 shi2 zhi2 hao3",
    "最长的河": "zui4 chang2 de5 he2",
    "这条路最长": "zhe4 tiao2 lu4 zui4 chang2",
    "个子长高了": "ge4 zi5 zhang3 gao1 le5",
    "长得最高": "zhang3 de5 zui4 gao1",
    "只有你": "zhi2 you3 ni3",
    "三行代码": "san1 hang2 dai4 ma3",
    "行不行": "xing2 bu5 xing2",
    "头发很长": "tou2 fa5 hen3 chang2",
    "三米长": "san1 mi3 chang2",
    "气温为五度": "qi4 wen1 wei2 wu3 du4",
    "还钱还是还书": "huan2 qian2 hai2 shi4 huan2 shu1",
    "首都都是人": "shou3 du1 dou1 shi4 ren2",
    "弹钢琴": "tan2 gang1 qin2",
    "重试": "chong2 shi4",
    "会计社会": "kuai4 ji4 she4 hui4",
    "朝阳区": "chao2 yang2 qu1",
    "单老师看乐山大佛": "shan4 lao3 shi1 kan4 le4 shan1 da4 fo2",
    "睡不着觉": "shui4 bu4 zhao2 jiao4",
    "着实让人着急": "zhuo2 shi2 rang4 ren2 zhao2 ji2",
    "图为男子的照片": "tu2 wei2 nan2 zi3 de5 zhao4 pian4",
    "摔倒在地": "shuai1 dao3 zai4 di4",
    "大学生打麻将哦": "da4 xue2 sheng1 da3 ma2 jiang4 o5",
    "电子邮件": "dian4 zi3 you2 jian4",
    "全长": "quan2 chang2",
    # Neutral tones
    "朋友的衣服我喜欢": "peng2 you5 de5 yi1 fu5 wo2 xi3 huan5",
    "好消息": "hao3 xiao1 xi5",
    "便宜又方便": "pian2 yi5 you4 fang1 bian4",
    "爸爸妈妈": "ba4 ba5 ma1 ma5",
    "玩儿一会儿": "wan2 er5 yi2 hui4 er5",
    # 一 and 不
    "一个人": "yi2 ge4 ren2",
    "一天": "yi4 tian1",
    "一月一号和五月一日": "yi1 yue4 yi1 hao4 he2 wu3 yue4 yi1 ri4",
    "一日三餐": "yi2 ri4 san1 can1",
    "一起": "yi4 qi3",
    "一楼和第一": "yi4 lou2 he2 di4 yi1",
    "统一": "tong3 yi1",
    "看一看": "kan4 yi5 kan4",
    "一九九八年": "yi1 jiu2 jiu3 ba1 nian2",
    "一百一十一": "yi4 bai3 yi1 shi2 yi1",
    "三分之一": "san1 fen1 zhi1 yi1",
    "一加一等于二": "yi1 jia1 yi1 deng3 yu2 er4",
    "1.1": "yi1 dian3 yi1",
    "不是不好": "bu2 shi4 bu4 hao3",
    "要不要": "yao4 bu5 yao4",
    "不一样": "bu4 yi2 yang4",
    "一不小心": "yi2 bu4 xiao3 xin1",
    # Third tones
    "我很好": "wo3 hen2 hao3",
    "我买五把雨伞": "wo2 mai3 wu2 ba3 yu2 san3",
    "洗手间": "xi2 shou3 jian1",
    "展览馆": "zhan2 lan2 guan3",
    "岂有此理": "qi2 you3 ci2 li3",
    "给我": "gei2 wo3",
    "好，我走": "hao3 wo2 zou3",
    # Letters and numbers
    "A B": "ei1 bi4",
    "W": "da2 bu5 liu5",
    "GPT-4": "ji4 pi4 ti4 si4",
    "拨打10086": "bo1 da3 yao1 ling2 ling2 ba1 liu4",
    "5500": "wu3 qian1 wu2 bai3",
    "啊，好美啊": "a1 hao2 mei3 a5",
}


@pytest.mark.parametrize(("text", "pinyin"), CASES.items())
def test_reading(text: str, pinyin: str) -> None:
    assert " ".join(syllable.pinyin for syllable in analyse(text).syllables) == pinyin


def test_every_letter_can_be_said() -> None:
    assert set(LETTERS) == set(string.ascii_uppercase)
    for syllables in LETTERS.values():
        for syllable in syllables:
            assert syllable_phones(syllable)
            assert syllable[-1] != "3", "letters must not take part in third-tone sandhi"


@pytest.mark.parametrize("table", [WORDS, PHRASES], ids=["words", "phrases"])
def test_the_lexicon_is_sound(table: dict[str, tuple[str, ...]]) -> None:
    for word, readings in table.items():
        assert len(word) == len(readings), word
        for reading in readings:
            assert syllable_phones(reading), word
            assert reading[-1] in "12345", word


def test_phrases_are_short_enough_to_be_found() -> None:
    assert {len(phrase) for phrase in PHRASES} <= {2, 3, 4}
