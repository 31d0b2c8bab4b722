"""Texts for the speaker encoder: sentences of the corpus, read by voices that mini was not taught.

    python training/other_voices.py --out others.jsonl
    python training/corpus.py --packages packages --texts others.jsonl --out others
    python training/features.py --corpus others --out others-features

All are synthetic voices of the teacher. Those of other languages read Mandarin with what they have, which is not good
Mandarin, but another voice. Nothing of the known voices' sentences for choosing and judging is read in `train`:

    train       the four known voices (from the same program as the others, lest it give them away) and 25 other voices
    dev, test   the four known voices, and in each two Mandarin and four other voices that train does not hear;
                the voices of dev set the thresholds, those of test judge them
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

TEXTS = Path(__file__).parent / "texts" / "corpus.jsonl"
KNOWN = ("zf_xiaobei", "zf_xiaoxiao", "zm_yunjian", "zm_yunxi")
HELD = {
    "dev": ("zf_xiaoni", "zm_yunxia", "af_bella", "bm_george", "jf_alpha", "hm_omega"),
    "test": ("zf_xiaoyi", "zm_yunyang", "bf_emma", "am_puck", "ff_siwis", "jm_kumo"),
}
MANDARIN = ("zf_xiaoni", "zm_yunxia", "zf_xiaoyi", "zm_yunyang")
TAUGHT = (
    "af_alloy", "af_aoede", "af_heart", "af_jessica", "af_kore", "af_nicole", "af_nova", "af_river", "af_sarah",
    "af_sky", "am_adam", "am_echo", "am_eric", "am_fenrir", "am_liam", "am_michael", "am_onyx", "am_santa", "bf_alice",
    "bf_isabella", "bf_lily", "bm_daniel", "bm_fable", "bm_lewis", "ef_dora",
)  # fmt: skip
MORE, FEWER = 10, 6  # sentences of a voice: of Mandarin, of another language
SHORTEST = 11  # characters: about three seconds


def rows(texts: list[dict], seed: int = 0) -> list[dict]:
    """Lines for corpus.py. texts: lines of the corpus's table."""
    draw = random.Random(seed)
    long = [t for t in texts if t["type"] == "a" and len(t["text"]) >= SHORTEST]
    by_split = {split: [t for t in long if t["split"] == split] for split in ("train", "dev", "test")}
    wanted = [(split, voice) for split, held in HELD.items() for voice in (*KNOWN, *held)]
    wanted += [("train", voice) for voice in (*KNOWN, *TAUGHT)]
    return [
        text | {"id": f"o_{split}_{voice}_{n:02}", "split": split, "speaker": voice, "speed": 1.0}
        for split, voice in wanted
        for n, text in enumerate(draw.sample(by_split[split], MORE if voice in (*KNOWN, *MANDARIN) else FEWER))
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=Path, default=TEXTS)
    parser.add_argument("--out", type=Path, default=Path("others.jsonl"))
    args = parser.parse_args()
    found = rows([json.loads(line) for line in args.texts.read_text(encoding="utf-8").splitlines()])
    args.out.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in found), encoding="utf-8")
    print(f"{len(found)} sentences of {len({r['speaker'] for r in found})} voices, in {args.out}")


if __name__ == "__main__":
    main()
