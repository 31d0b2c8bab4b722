"""Numbers in Arabic digits -> how they are said."""

from __future__ import annotations

NAMES = "零一二三四五六七八九"
SCALES = ("", "十", "百", "千")
LONGEST = 16  # digits; longer ones are a code, not a quantity


def digits(text: str, one: str = "一") -> str:
    """Digit by digit: `"3070"` -> 三零七零. one: 幺 for telephone numbers, where 一 would be mistaken for 七."""
    return "".join(one if d == "1" else NAMES[int(d)] for d in text)


def cardinal(text: str) -> str:
    """A whole number as a quantity: `"2305"` -> 两千三百零五. The leading 2 is 两 before 百, 千, 万 and 亿."""
    if len(text) > LONGEST:
        return digits(text)
    number = text.lstrip("0")
    if not number:
        return "零"
    said = _say(number)
    if said.startswith("一十"):
        said = said[1:]
    return "两" + said[1:] if said[0] == "二" and said[1:2] in set("百千万亿") else said


def _say(number: str) -> str:
    for size, name in ((8, "亿"), (4, "万")):
        if len(number) > size:
            rest = number[-size:].lstrip("0")
            gap = "零" if rest and len(rest) < size else ""
            return _say(number[:-size]) + name + gap + (_say(rest) if rest else "")
    return _section(number.zfill(4))


def _section(four: str) -> str:
    said = ""
    for place, digit in enumerate(four):
        if digit != "0":
            said += NAMES[int(digit)] + SCALES[3 - place]
        elif said and not said.endswith("零"):
            said += "零"
    return said.rstrip("零")


def number(text: str) -> str:
    """A signed decimal number: `"-5.50"` -> 负五点五零."""
    sign, text = ("负", text[1:]) if text.startswith("-") else ("", text)
    whole, point, fraction = text.partition(".")
    return sign + cardinal(whole) + ("点" + digits(fraction) if point else "")


def count(text: str) -> str:
    """A number before a measure word: 2 is 两."""
    return "两" if text == "2" else number(text)


def model_number(text: str) -> str:
    """A number in a name, as in RTX3070, FP16, H100: short and round ones as quantities, others digit by digit."""
    whole, point, fraction = text.partition(".")
    hundreds = len(whole) == 3 and whole.endswith("00")
    quantity = whole[0] != "0" and (len(whole) <= 2 or hundreds)
    said = cardinal(whole).replace("两", "二") if quantity else digits(whole)
    return said + ("点" + digits(fraction) if point else "")
