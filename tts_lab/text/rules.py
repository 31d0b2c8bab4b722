"""What the number grammar would misread, written out before it sees the text.

Each rule is a pattern and the function that says it. They run in order, the most specific first; what a rule has
written out holds no digits any more, so no later rule touches it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from re import Match

from tts_lab.text.numerals import cardinal, count, digits, model_number, number
from tts_lab.text.symbols import ADDRESS_SIGNS, CURRENCIES, MEASURES, NOT_COUNTED, UNITS

N = r"\d+(?:\.\d+)?"
TO = r"\s*(?:[~～]|[-–—]{1,2}|至|到)\s*"  # between the ends of a range
FREE = r"(?<![\d.A-Za-z])"  # a number begins here


def _longest_first(words: object) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))  # type: ignore[call-overload]


UNIT = rf"(?:{_longest_first(UNITS)})(?![A-Za-z0-9])"
MONEY_WORD = "万亿|[百千万亿]+|[KkMB](?![A-Za-z])"
CURRENCY_WORD = "元人民币|人民币|元|块钱|块|美元|美金|欧元|英镑|港元|港币|日元|韩元"
COUNTED = f"[{MEASURES}号日月]"
CALLING = "拨打|拨|致电|电话|手机号?|热线|呼叫|客服|来电|传真|号码|联系"
CODES = "验证码|密码|编号|学号|工号|房号|账号|卡号|单号|邮编|邮政编码|QQ号?|身份证号?|股票代码|车牌号?|序列号|尾号"
NUMBERED = "室|房间|号房|教室|宿舍|路公交|路车|路公共|次列车|次航班|事件"
NOT_A_CODE = r"(?![\d.:]|\s*[个次台部元块万亿%名人家分小天年月秒])"
PARTS = {"%": "百分之", "‰": "千分之"}


def _address(m: Match[str]) -> str:
    text = re.sub(r"^(?:https?|ftp)://", "", m[0], flags=re.I)  # nobody says it
    said = (ADDRESS_SIGNS.get(c) or (digits(c) if c in "0123456789" else c) for c in text)
    return " " + "".join(said) + " "


def _date(m: Match[str]) -> str:
    year, _, month, day = m.groups()
    if not (1 <= int(month) <= 12 and 1 <= int(day) <= 31):
        return m[0]
    return f"{digits(year)}年{cardinal(month)}月{cardinal(day)}日"


def _dotted(m: Match[str]) -> str:
    """Versions and network addresses: parts of one or two digits as quantities, longer ones digit by digit."""
    parts = m[2].split(".")
    said = (cardinal(p) if len(p) == 1 or (len(p) == 2 and p[0] != "0") else digits(p) for p in parts)
    return (m[1] or "").upper() + "点".join(said)


def _phone(text: str) -> str:
    groups = [g for g in re.split(r"\D+", text) if g]
    if len(groups) == 1 and len(groups[0]) == 11 and groups[0][0] == "1":
        groups = [groups[0][:3], groups[0][3:7], groups[0][7:]]
    return ("加" if text.lstrip().startswith("+") else "") + " ".join(digits(g, one="幺") for g in groups)


def _clock(m: Match[str]) -> str:
    hour, minute, second = m["h"], m["m"], m["s"]
    if int(hour) > 24 or int(minute) > 59 or (second and int(second) > 59):
        return _ratio(m)
    said = count(hour.lstrip("0") or "0") + "点"
    if int(minute) or second:
        said += ("零" if int(minute) < 10 and int(minute) else "") + cardinal(minute) + "分"
    return said + (("零" if int(second) < 10 and int(second) else "") + cardinal(second) + "秒" if second else "")


def _ratio(m: Match[str]) -> str:
    return "比".join(number(part) for part in re.split(r"\s*[:：]\s*", m[0]))


def _half_day(m: Match[str]) -> str:
    return ("上午" if m[2] in "aA" else "下午") + (m[1] if ":" in m[1] else cardinal(m[1]).replace("二", "两") + "点")


def _degrees(text: str, unit: str) -> str:
    below = text.startswith("-")
    return ("零下" if below else "") + count(text.lstrip("-")) + unit


def _temperatures(m: Match[str]) -> str:
    low, high, unit = m[1], m[2], UNITS[m[3]]
    if low.startswith("-") or high.startswith("-"):
        return _degrees(low, unit) + "到" + _degrees(high, unit)
    return f"{count(low)}到{count(high)}{unit}"


def _money(m: Match[str]) -> str:
    sign, symbol, low, high, scale, word = m.groups()
    said = count(low) + (f"到{count(high)}" if high else "")
    return ("负" if sign else "") + said + (scale or "") + (word or CURRENCIES[symbol])


def _range(m: Match[str]) -> str:
    low, unit, mark, high = m[1], m[2] or "", m[3], m[4]
    backwards = float(low) >= float(high)
    if mark.strip() == "-" and backwards:
        return m[0].replace(mark, "减") if not unit else m[0]
    return f"{low}{unit}到{high}"


def _year(m: Match[str]) -> str:
    age = re.match(r"(?:的)?(?:历史|文明|以前|前|之久|来|时间|寿命)", m.string[m.end() :])
    quantity = m[1][0] > "2" or (m[1].endswith("00") and (age or int(m[1]) <= 1000))
    return (cardinal(m[1]) if quantity else digits(m[1])) + "年"


def _counted(m: Match[str]) -> str:
    return number(m[1]) if m.string.startswith(NOT_COUNTED, m.end()) else count(m[1])


def _unit(m: Match[str]) -> str:
    return count(m[1]) + UNITS[m[2]]


RULES: tuple[tuple[re.Pattern[str], Callable[[Match[str]], str]], ...] = tuple(
    (re.compile(pattern), say)
    for pattern, say in (
        (r"(?<![\d.])\d{17,}(?![\d.])", lambda m: digits(m[0])),
        # Addresses: user@host.tld, http://..., www....
        (r"(?:(?:https?|ftp)://|www\.)[A-Za-z0-9./?=&%#_~:@+\-]*[A-Za-z0-9/]", _address),
        (r"[A-Za-z0-9][\w.+\-]*@[A-Za-z0-9\-]+(?:\.[A-Za-z0-9\-]+)+", _address),
        (rf"{FREE}\d{{1,3}}(?:,\d{{3}})+(?![\d,])", lambda m: m[0].replace(",", "")),
        # Dates, then dotted numbers
        (r"(?<![\d.\-/])((?:1[5-9]|20|21)\d\d)([-/.])(\d{1,2})\2(\d{1,2})(?![\d.\-/])", _date),
        (r"(?<![\d.\-/])((?:19|20)\d\d)[-/](0[1-9]|1[0-2])(?![\d.\-/])",
         lambda m: f"{digits(m[1])}年{cardinal(m[2])}月"),
        (r"(?<![A-Za-z\d.])([vV])(\d+(?:\.\d+)*)(?![\d.]*\d)", _dotted),
        (r"(?<![\d.])()(\d+(?:\.\d+){2,})", _dotted),
        # Telephone numbers and codes
        (r"(?<![\d.])(?:\+?86[- ]?)?1[3-9]\d([- ]?)\d{4}\1\d{4}(?!\d)", lambda m: _phone(m[0])),
        (r"(?<![\d.])(?:\(0\d{2,3}\)\s?|0\d{2,3}-)\d{3,4}-?\d{4}(?:-\d{1,4})?(?!\d)", lambda m: _phone(m[0])),
        (r"(?<![\d.])[48]00-(?:\d{3}-?\d{4}|\d{4}-?\d{3})(?!\d)", lambda m: _phone(m[0])),
        (rf"(?:{CALLING})[^\d，。！？；,;\n+]{{0,6}}\+?\d[\d\- ]{{1,17}}\d{NOT_A_CODE}",
         lambda m: re.sub(r"\+?\d[\d\- ]*", lambda d: _phone(d[0]), m[0])),
        (r"(?<=打)(?:110|119|120|122|114)(?!\d|[个次])", lambda m: _phone(m[0])),
        (rf"((?:{CODES})[^\d，。！？；,;\n]{{0,4}})(\d{{3,}})(?![\d.])", lambda m: m[1] + digits(m[2])),
        (rf"(?<![\d.])(\d{{3,4}})(?={NUMBERED})", lambda m: digits(m[1])),
        (r"(?<![\d.:/\-])(0\d+)(?![\d.:/\-年月日时点分秒号])", lambda m: digits(m[1])),
        # Clock and ratio
        (r"(?<=\d)(:\d\d)\s*[-~～–—]{1,2}\s*(?=\d{1,2}:\d\d)", lambda m: m[1] + "到"),
        (r"(?<![\d.])(\d{1,2}(?::\d\d)?)\s*([aApP])\.?[mM]\b\.?", _half_day),
        (rf"(?:(?<=比分)|(?<=比例)|(?<=以)|(?<=为)|(?<=成)){FREE}\d+(?:\s*:\s*\d+)+(?=$|[^:\d点])", _ratio),
        (rf"{FREE}(?P<h>\d{{1,2}}):(?P<m>\d\d)(?::(?P<s>\d\d))?(?![\d:])", _clock),
        (rf"{FREE}{N}(?:\s*:\s*{N})+", _ratio),
        # Temperature, percentage, money, with their ranges
        (rf"(?<![\d.A-Za-z\-])(-?{N})\s*[℃℉°]?{TO}(-?{N})\s*([℃℉])", _temperatures),
        (rf"(?<![\d.A-Za-z])(-?{N})\s*([℃℉])", lambda m: _degrees(m[1], UNITS[m[2]])),
        (rf"(?<=温)([^，。！？；\d]{{0,6}})-({N})(?=度|°)", lambda m: f"{m[1]}零下{count(m[2])}"),
        (rf"(?<![\d.A-Za-z\-])(-?{N})%?{TO}({N})([%‰])",
         lambda m: f"{PARTS[m[3]]}{number(m[1])}到{PARTS[m[3]]}{number(m[2])}"),
        (rf"(?<![\d.A-Za-z])(-?)({N})([%‰])", lambda m: ("负" if m[1] else "") + PARTS[m[3]] + number(m[2])),
        (rf"(-?)({_longest_first(CURRENCIES)})\s*({N})(?:{TO}({N}))?\s*({MONEY_WORD})?({CURRENCY_WORD})?", _money),
        (rf"{FREE}({N})\s*({MONEY_WORD})?([$€£¥])", lambda m: count(m[1]) + (m[2] or "") + CURRENCIES[m[3]]),
        (rf"((?:{CURRENCY_WORD})|[个次件]|{UNIT})/(?=[个每]?[月年天日人次斤吨件只张位瓶晚股份字页箱盒]|小时|分钟|秒|平方?米|公斤)",
         lambda m: UNITS.get(m[1], m[1]) + "每"),
        # Arithmetic and ranges
        (rf"({N})\s*-\s*({N})(?=\s*=)", lambda m: f"{m[1]}减{m[2]}"),
        (rf"({N})\s*[xX*×]\s*(?={N})", lambda m: f"{m[1]}乘"),
        (rf"{FREE}({N})[xX](?![A-Za-z0-9])", lambda m: count(m[1]) + "倍"),
        (r"(?<![\d.A-Za-z])(\d+|[A-Za-z])\^(\d+|[A-Za-z])(?![\dA-Za-z])", lambda m: f"{m[1]}的{m[2]}次方"),
        (r"(?<=比分)(\d+)-(\d+)(?!\d)", lambda m: f"{number(m[1])}比{number(m[2])}"),
        (r"(?<![\dA-Za-z.\-])(\d{4})(年?)[-~～–—]{1,2}(\d{4})年", lambda m: f"{digits(m[1])}{m[2]}到{digits(m[3])}年"),
        (rf"(?<![\d.A-Za-z\-])({N})({UNIT}|[{MEASURES}号日月])?(\s*[-~～–—]{{1,2}}\s*)({N})(?![\d.]*\d|-\d)", _range),
        # Letters with numbers
        (r"\b[Nn]o\.\s*(\d+)", lambda m: f"第{cardinal(m[1])}号"),
        (r"(?<![\d.A-Za-z])(\d{3,4})([pPiI])(?![A-Za-z0-9])", lambda m: digits(m[1]) + m[2].upper()),
        (r"(?<![\d.A-Za-z])(\d{4})\s*(?=(?:Ti|TI|XT|SUPER|Super)(?![A-Za-z]))", lambda m: digits(m[1])),
        (rf"([A-Za-z])\.({N})", lambda m: f"{m[1]}点{model_number(m[2])}"),
        (rf"([A-Za-z])[-–_]?({N})", lambda m: m[1] + model_number(m[2])),
        (rf"([A-Za-z]) ({N})(?![\d.%]|\s*{UNIT}|\s*{COUNTED}|\s*到)", lambda m: f"{m[1]} {model_number(m[2])}"),
        # Units, years, days
        (r"(?<!\d)(\d{1,3})['′](\d{1,2})[\"″]", lambda m: f"{cardinal(m[1])}分{cardinal(m[2])}秒"),
        (r"(?<!\d)((?:19|20)\d0)s(?![A-Za-z])", lambda m: digits(m[1]) + "年代"),
        (rf"(?<![\d.A-Za-z])(-?{N})\s*({UNIT})", _unit),
        (r"(?<![\d.])(\d{4})年(?!代)", _year),
        (r"(?<![\d.])([6-9]\d)年(?=[出生代初末底春夏秋冬的]?[出生毕业来到在])", lambda m: digits(m[1]) + "年"),
        (r"(?<![\d.])(\d{4})(?=级|届)", lambda m: digits(m[1])),
        (r"(?<![\d.])(\d{1,2})(?=[月日号])", lambda m: cardinal(m[1])),
        (r"(?<=第)\d+", lambda m: cardinal(m[0]).replace("两", "二")),
        (rf"(?<![\d.A-Za-z/])({N})(?=[{MEASURES}])", _counted),
        (r"(?<![\d.A-Za-z)])[-−](?=\d)", lambda m: "负"),
        (r"(?<![\d.])\d+\.\d+(?![\d.])", lambda m: number(m[0])),
    )
)  # fmt: skip


def apply_rules(text: str) -> str:
    """Write out in characters what the number grammar would misread."""
    for pattern, say in RULES:
        text = pattern.sub(say, text)
    return text
