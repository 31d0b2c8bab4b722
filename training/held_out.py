"""Of a corpus's features only the rows that choose (`dev`), and what all rows come to: what a card needs of a corpus.

    python training/held_out.py --features features --out features-dev

A training that hears other speech (`--sounding`) reads voices, scale, medians and loudness from it: 2 MB for 60.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from batches import Corpus


def of(corpus: Corpus) -> dict[str, np.ndarray]:
    """The packed rows of `dev`, as features.py packs them, with the statistics of the corpus."""
    raw, ids = corpus.raw, corpus.ids("dev")
    out = {k: raw[k][ids] for k in ("id", "split", "speaker", "first")}
    for start, names in (("frame_start", ("mel",)),
                         ("phone_start", ("symbol", "tone", "place", "duration", "log_f0", "voiced"))):  # fmt: skip
        own = [slice(raw[start][i], raw[start][i + 1]) for i in ids]
        out[start] = np.cumsum([0, *(s.stop - s.start for s in own)])
        out |= {name: np.concatenate([raw[name][s] for s in own]) for name in names}
    means = {k: getattr(corpus, k).numpy() for k in ("mean", "std", "median_log_f0")}
    return out | means | {k: raw[k] for k in ("gain_names", "gains")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=Path, default=Path("features"))
    parser.add_argument("--out", type=Path, default=Path("features-dev"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(args.out / "features.npz", **of(Corpus(args.features)))


if __name__ == "__main__":
    main()
