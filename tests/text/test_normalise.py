"""Behaviour: what people write -> what is said. The expected texts were checked by hand."""

from __future__ import annotations

import pytest

from tts_lab.text.normalise import normalise

CASES = {
    # The sentences of the specification
    "银行行长长大了，重庆的重量。": "银行行长长大了，重庆的重量。",
    "2026年11月22日下午3:30，气温-5.5℃，涨幅12.8%，拨打10086": (
        "二零二六年十一月二十二日下午三点三十分，气温零下五点五摄氏度，涨幅百分之十二点八，拨打幺零零八六"
    ),
    "¥99.9元": "九十九点九元",
    "v2.0.1": "V二点零点一",
    "GPT-4": "GPT四",
    # Numbers
    "1999个": "一千九百九十九个",
    "1,234,567元": "一百二十三万四千五百六十七元",
    "3.14159": "三点一四一五九",
    "100亿": "一百亿",
    "3.5亿元": "三点五亿元",
    "-3": "负三",
    "007": "零零七",
    "2个人和2次": "两个人和两次",
    "2倍": "两倍",
    "第2名": "第二名",
    "第3次": "第三次",
    "200米": "两百米",
    "每分钟120次": "每分钟一百二十次",
    "50多个": "五十多个",
    "12.05元": "十二点零五元",
    "ＡＢＣ１２３": "ABC一二三",
    # Dates, times, years
    "2023-01-05": "二零二三年一月五日",
    "2023/1/5": "二零二三年一月五日",
    "2023年01月05日": "二零二三年一月五日",
    "2月2日": "二月二日",
    "9月1日-10月1日": "九月一日到十月一日",
    "12:05": "十二点零五分",
    "2:00": "两点",
    "12:30:45": "十二点三十分四十五秒",
    "9:00-18:00": "九点到十八点",
    "3:30pm": "下午三点三十分",
    "1999年": "一九九九年",
    "3000年历史": "三千年历史",
    "2012-2013年": "二零一二到二零一三年",
    "90后": "九零后",
    "1990s": "一九九零年代",
    "2022级学生": "二零二二级学生",
    "二〇二六年": "二零二六年",
    # Temperature, percentage, money, ranges
    "-5℃到3℃": "零下五摄氏度到三摄氏度",
    "-10~-5℃": "零下十摄氏度到零下五摄氏度",
    "5～10℃": "五到十摄氏度",
    "20°": "二十度",
    "100%": "百分之一百",
    "10-20%": "百分之十到百分之二十",
    "-3%": "负百分之三",
    "$3.5": "三点五美元",
    "€20": "二十欧元",
    "¥1.5万": "一点五万元",
    "5000元/月": "五千元每月",
    "3-5天": "三到五天",
    "1-2个": "一到两个",
    "1000-2000元": "一千到两千元",
    "第2-4章": "第二到四章",
    "周一~周五": "周一到周五",
    # Fractions, ratios, arithmetic
    "1/2": "二分之一",
    "2/3杯": "三分之二杯",
    "½杯水": "二分之一杯水",
    "比分3:1": "比分三比一",
    "画面比例16:9": "画面比例十六比九",
    "3×4=12": "三乘四等于十二",
    "5-3=2": "五减三等于二",
    "2^10": "二的十次方",
    "1920x1080": "一千九百二十乘一千零八十",
    # Telephone numbers and codes
    "13812345678": "幺三八 幺二三四 五六七八",
    "138-1234-5678": "幺三八 幺二三四 五六七八",
    "+86 138 1234 5678": "加八六 幺三八 幺二三四 五六七八",
    "010-12345678": "零幺零 幺二三四五六七八",
    "400-800-1234": "四零零 八零零 幺二三四",
    "请打110": "请打幺幺零",
    "拨打3次电话": "拨打三次电话",
    "验证码是3816": "验证码是三八一六",
    "A座1203室": "A座一二零三室",
    # Units
    "2.5kg": "二点五千克",
    "5km/h": "五公里每小时",
    "100ms": "一百毫秒",
    "30m²": "三十平方米",
    "500mL水": "五百毫升水",
    "2m": "两米",
    "8GB": "八GB",
    "60fps": "六十FPS",
    # Names with numbers, versions, addresses
    "iPhone 15 Pro": "IPHONE 十五 PRO",
    "RTX3070": "RTX三零七零",
    "RTX 4090 Ti": "RTX 四零九零TI",
    "COVID-19": "COVID十九",
    "FP16和INT8，用CUDA 12.8": "FP十六和INT八，用CUDA 十二点八",
    "H100": "H一百",
    "H.264 1080p": "H点二六四 一零八零P",
    "2^n": "二的N次方",
    "1：2": "一比二",
    "1st": "一ST",
    "$100M": "一百M美元",
    "(010)6278-1234": "零幺零 六二七八 幺二三四",
    "从8GB降到3.2GB（-60%）": "从八GB降到三点二GB，负百分之六十，",
    "速度提升了2.5x": "速度提升了二点五倍",
    "显存<8GB，RTF≈0.5": "显存小于八GB，RTF约等于零点五",
    "温度为-40~85℃": "温度为零下四十摄氏度到八十五摄氏度",
    "128kbps": "一百二十八千比特每秒",
    "PM2.5": "PM二点五",
    "用GPU 3000小时": "用GPU 三千小时",
    "Python 3.11.4": "PYTHON 三点十一点四",
    "192.168.1.1": "一九二点一六八点一点一",
    "Node.js和C++、C#": "NODE点JS和C加加、C井号",
    "No.1": "第一号",
    "a@b.com": "A艾特B点COM",
    "访问https://www.example.com/a?b=1。": "访问 WWW点EXAMPLE点COM斜杠A问号B等于一。",
    # Characters and punctuation
    "繁體中文測試，後來他著急了": "繁体中文测试，后来他着急了",
    "著名作家，乾隆皇帝，乾淨": "著名作家，乾隆皇帝，干净",
    "他说：“你好！”《三体》（第一部）很好看": "他说：你好！三体，第一部，很好看",
    "我……我不知道——真的": "我，我不知道，真的",
    "第一行\n第二行": "第一行。第二行",
    "你好 世界": "你好 世界",
    "真的？！": "真的？",
    "Ⅲ期": "三期",
}


@pytest.mark.parametrize(("written", "said"), CASES.items())
def test_what_is_written_is_said(written: str, said: str) -> None:
    found = normalise(written)
    assert found.text == said
    assert not found.unknown


def test_there_are_many_cases() -> None:
    assert len(CASES) >= 60


@pytest.mark.parametrize("written", CASES)
def test_what_is_said_stays_as_it_is(written: str) -> None:
    said = normalise(written).text
    assert normalise(said).text == said


@pytest.mark.parametrize(
    ("written", "said", "unknown"),
    [
        ("今天😀真好", "今天 真好", ("😀",)),
        ("こん你好", "你好", ("こ", "ん")),
        ("你\u200b好", "你好", ()),
        ("Привет", "", tuple("Привет")),
        ("👨‍👩‍👧好👨好", "好 好", ("👨", "👩", "👧")),
    ],
)
def test_characters_without_a_reading_are_reported_once(written: str, said: str, unknown: tuple[str, ...]) -> None:
    found = normalise(written)
    assert (found.text, found.unknown) == (said, unknown)


def test_nothing_but_sounds_is_left() -> None:
    every = "".join(map(chr, range(0x20, 0x2FFF)))
    said = normalise(every).text
    assert not [c for c in said if not ("A" <= c <= "Z" or "\u4e00" <= c <= "\u9fff" or c in "，。！？：；、 ")]
