"""The symbols that the acoustic model was taught, in the order of its embedding rows, and pinyin -> phones.

Names and order are those of KAN-TTS (MIT; kantts/preprocess/languages/PinYin/{PhoneSet.xml, tonelist.txt,
py2phoneMap.txt} and kantts/utils/ling_unit/{ling_unit.py, emotion_types.py}): a row says nothing without them.
"""

from __future__ import annotations

import re
from functools import lru_cache

PAD, END, MASK = "_", "~", "@[MASK]"
SPECIAL = (PAD, END, MASK)  # the last three rows of every table


def _symbols(text: str) -> tuple[str, ...]:
    return tuple(text.split())


PHONES = _symbols("""
    a_c ai_c an_c ang_c ao_c b_c c_c ch_c d_c e_c ei_c en_c eng_c er_c f_c g_c h_c i_c ia_c ian_c iang_c iao_c ie_c
    ih_c ii_c in_c ing_c io_c iong_c iou_c j_c k_c l_c m_c n_c o_c ong_c ou_c p_c q_c r_c s_c sh_c t_c u_c ua_c uai_c
    uan_c uang_c uei_c uen_c ueng_c uo_c v_c van_c ve_c vn_c xx_c z_c zh_c w_c y_c ga ge go
    aa ae ah ao aw ay b ch d dh eh er ey f g hh ih iy jh k l m n ng ow oy p r s sh t th uh uw v w y z zh
    air_c angr_c anr_c aor_c ar_c eir_c engr_c enr_c iangr_c ianr_c iaor_c iar_c ier_c ihr_c iir_c ingr_c inr_c
    iongr_c iour_c ir_c ongr_c or_c our_c uair_c uangr_c uanr_c uar_c ueir_c uenr_c uor_c ur_c vanr_c ver_c vnr_c vr_c
    pau
""")
"""Mandarin phones (`_c`), zero initials (ga ge go), English phones, finals with erhua, a pause."""

BREAKS = ("#1", "#2", "#3", "#4")
SPEAKERS = ("F7", "F74", "FBYN", "FRXL", "M7", "xiaoyu")
"""Speaker rows of the released voices; a checkpoint's own `speaker_list` goes before this one."""

NO_EMOTION = "emotion_none"
NAMED_EMOTIONS = _symbols("""
    none neutral angry disgust fear happy sad surprise calm gentle relax lyrical serious disgruntled satisfied
    disappointed excited anxiety jealousy hate pity pleasure arousal dominance
""")
PLACEHOLDERS = tuple(f"placeholder{number}" for number in range(1, 10))

TONES = ("tone1", "tone_none", "tone4", "tone2", "tone3", "tone5", "tone0")
SYLLABLE_FLAGS = ("s_begin", "s_end", "s_none", "s_both", "s_middle")
WORD_SEGMENTS = ("word_begin", "word_end", "word_middle", "word_both", "word_none")
EMOTIONS = tuple(f"emotion_{name}" for name in NAMED_EMOTIONS + PLACEHOLDERS)

FIELDS = ("sy", "tone", "syllable_flag", "word_segment", "emotion", "speaker")


@lru_cache(maxsize=16)
def tables(speakers: tuple[str, ...] = SPEAKERS) -> dict[str, tuple[str, ...]]:
    """Field -> its symbols in row order, as a unit's text writes them (phones without the `@` of the public tables).

    speakers: the checkpoint's `speaker_list`.
    """
    columns = (PHONES + BREAKS, TONES, SYLLABLE_FLAGS, WORD_SEGMENTS, EMOTIONS, speakers)
    return {field: symbols + SPECIAL for field, symbols in zip(FIELDS, columns, strict=True)}


INITIALS = _symbols("zh ch sh b p m f d t n l g k h j q x r z c s w y")
FINALS = {"ui": "uei", "un": "uen", "iu": "iou"}  # written short
ZERO_INITIALS = {"a": "ga", "e": "ge", "o": "go"}
HUMMED = {"n": "en", "ng": "en", "hng": "heng"}  # 嗯: KAN-TTS, SyllableFormatter.py, says ng as en
SYLLABLE = re.compile(rf"({'|'.join(INITIALS)}|)([a-z]+)([1-5])")


@lru_cache(maxsize=4096)
def syllable_phones(pinyin: str) -> tuple[str, str]:
    """The two phones of a pinyin syllable with its tone: `"xiang3"` -> xx_c, iang_c; `"huar1"` -> h_c, uar_c.

    Every syllable has two: one that begins with a vowel has a zero initial. ü is v, or u after j q x y.

    Raises KeyError naming the syllable if the model has no phones for it (呣 m, 欸 ê).
    """
    found = SYLLABLE.fullmatch(HUMMED.get(pinyin[:-1], pinyin[:-1]) + pinyin[-1:])
    if not found:
        raise KeyError(f"{pinyin!r} is not a pinyin syllable with its tone")
    initial, final, _ = found.groups()
    if initial in ("j", "q", "x", "y") and final.startswith("u"):
        final = "v" + final[1:]
    phones = _initial_phone(initial, final), _final_phone(initial, final)
    if not set(phones) <= set(PHONES) or phones[1][0] not in "aeiouv":
        raise KeyError(f"the model has no phones for {pinyin!r}")
    return phones


def _initial_phone(initial: str, final: str) -> str:
    if not initial:
        return ZERO_INITIALS.get(final[0], "")
    return "xx_c" if initial == "x" else f"{initial}_c"


def _final_phone(initial: str, final: str) -> str:
    erhua = final.endswith("r") and (initial != "" or final != "er")  # ger is ge + r, er is not
    plain = final[:-1] if erhua else final
    if plain == "i" and initial in ("zh", "ch", "sh", "r"):
        plain = "ih"
    elif plain == "i" and initial in ("z", "c", "s"):
        plain = "ii"
    return f"{FINALS.get(plain, plain)}{'r' if erhua else ''}_c"
