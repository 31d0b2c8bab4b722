"""Of a corpus's features only the rows that choose (`dev`), and what all rows come to: what a card needs of a corpus.

    python training/held_out.py --features features --out features-dev
    python training/held_out.py --features features --out features-dev --taught sounding/corpus.npz

A training that hears other speech (`--sounding`) reads voices, scale, medians and loudness from it: 2 MB for 60. With
`--taught` the rows that train are written as well, as a file of that other speech: the corpus is heard among it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from batches import SPOKEN_HOW, Corpus

PACKED = {"frame_start": ("mel",), "phone_start": ("symbol", "tone", "place", "duration", "log_f0", "voiced")}


def rows(corpus: Corpus, split: str) -> dict[str, np.ndarray]:
    """The packed rows of a split, as features.py packs them: frames and phones end to end, and where each begins."""
    raw, ids = corpus.raw, corpus.ids(split)
    out = {k: raw[k][ids] for k in ("id", "split", "speaker", "first")}
    for start, names in PACKED.items():
        own = [slice(raw[start][i], raw[start][i + 1]) for i in ids]
        out[start] = np.cumsum([0, *(s.stop - s.start for s in own)])
        out |= {name: np.concatenate([raw[name][s] for s in own]) for name in names}
    return out


def of(corpus: Corpus) -> dict[str, np.ndarray]:
    """The rows of `dev`, with the statistics of the corpus: mean and std (m,), median_log_f0 (voices,), gains."""
    means = {k: getattr(corpus, k).numpy() for k in ("mean", "std", "median_log_f0")}
    return rows(corpus, "dev") | means | {k: corpus.raw[k] for k in ("gain_names", "gains")}


def taught(corpus: Corpus) -> dict[str, np.ndarray]:
    """The rows of `train`, as sounding.py packs speech that was not moved."""
    out = rows(corpus, "train")
    return out | {k: np.zeros(len(out["id"]), np.float32) for k in SPOKEN_HOW}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=Path, default=Path("features"))
    parser.add_argument("--out", type=Path, default=Path("features-dev"))
    parser.add_argument("--taught", type=Path, help="file for the rows that train, in the folder that --sounding reads")
    args = parser.parse_args()
    corpus = Corpus(args.features)
    args.out.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(args.out / "features.npz", **of(corpus))
    if args.taught:
        args.taught.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(args.taught, **taught(corpus))


if __name__ == "__main__":
    main()
