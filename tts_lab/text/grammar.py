"""wetext's Mandarin grammar: numbers, dates, times and measures to Chinese characters; traditional to simplified.

Importing the `wetext` package loads its English and Japanese grammars as well, 90 MB and 0.4 s that nothing here uses.
Its compiled Mandarin grammar (Apache-2.0) is therefore run directly: tag, put the fields of each tag in spoken order,
verbalise. It is loaded at the first text that needs it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

TAG = re.compile(r'(\w+) \{((?: \w+: "(?:[^"\\]|\\.)*")*) \}')
FIELD = re.compile(r' (\w+): "((?:[^"\\]|\\.)*)"')
# Order in which the fields of a tag are spoken (wetext/constants.py, TN_ORDERS).
SPOKEN = {
    "date": ("year", "month", "day"),
    "fraction": ("denominator", "numerator"),
    "measure": ("denominator", "numerator", "value"),
    "money": ("value", "currency"),
    "time": ("noon", "hour", "minute", "second"),
}


def read_numbers(text: str) -> str:
    """Write the numbers of a piece of text out in Chinese characters, with what belongs to them (年, kg, %).

    text: characters, digits and signs, without quotation marks or backslashes.
    """
    tagged = _load("zh/tn/tagger.fst")(text)
    ordered = " ".join(_in_spoken_order(name, fields) for name, fields in TAG.findall(tagged))
    return _load("zh/tn/verbalizer.fst")(ordered)


def simplify(text: str) -> str:
    """Traditional characters to simplified ones, character by character."""
    return _load("traditional_to_simple.fst")(text)


def _in_spoken_order(name: str, fields: str) -> str:
    found = dict(FIELD.findall(fields))
    order = SPOKEN.get(name, ())
    keys = [key for key in order if key in found] + [key for key in found if key not in order]
    return name + " {" + "".join(f' {key}: "{found[key]}"' for key in keys) + " }"


@lru_cache(maxsize=4)
def _load(name: str) -> Any:
    import kaldifst

    spec = find_spec("wetext")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("wetext is not installed: run `pip install wetext`.")
    return kaldifst.TextNormalizer(str(Path(spec.submodule_search_locations[0]) / "fsts" / name))
