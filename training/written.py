"""What mini makes of a corpus's texts with the teacher's durations and pitches: mels for the vocoder to learn from.

    python training/written.py --features features --corpus further --out written.npz

A mel that a model writes is not as sharp as a recording's. A vocoder that has heard such mels beside the recordings
they stand for may learn to make up for it (HiFi-GAN, Kong et al. 2020, section 4.4); ours did not measurably
(`docs/LOG.md`). The corpus is to be one that the acoustic model was not taught: it knows the texts it was taught by
heart, and writes them better than any other.

What is stored, flat over all mels: mel (f, 80) float16 natural log; start (u+1,); id; first (frame of the recording at
which a mel begins).
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import torch

import features
from batches import Corpus
from train_joint import Joint, bundled

STEPS = (2, 4, 8)  # of the solver, one of them for each draw
GUIDANCE, SCHEDULE = 0.0, "leap"  # as the voice speaks by default; what the bundled vocoder heard was guided by 1


@cache
def loaded(packed: Path, weights: Path) -> tuple[Joint, Corpus]:
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    corpus = Corpus(packed)
    return bundled(corpus, weights).eval(), corpus


@torch.inference_mode()
def mel(job: tuple[Path, Path, int, int]) -> np.ndarray:
    """The mel (t, 80) of one utterance, float16: job is features, weights, row and draw."""
    packed, weights, i, draw = job
    model, corpus = loaded(packed, weights)
    batch = corpus.batch([i])
    generator = torch.Generator().manual_seed(2 * i + draw)
    steps = STEPS[int(torch.randint(len(STEPS), (1,), generator=generator))]
    noise = torch.randn(batch.mel.shape, generator=generator)
    written, _ = model.acoustic.sample(model.content(batch), noise, steps=steps, guidance=GUIDANCE, kind=SCHEDULE)
    return written[0, :, : int(batch.frames.sum())].T.half().numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, required=True, help="whose texts mini was not taught")
    parser.add_argument("--weights", type=Path, default=Path("data/voices"))
    parser.add_argument("--draws", type=int, default=2, help="mels of an utterance, each from noise of its own")
    parser.add_argument("--out", type=Path, default=Path("written.npz"))
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    raw = np.load(args.features / "features.npz")
    ids = raw["id"]
    wanted = {entry["id"] for entry, _ in features.manifest([args.corpus])}
    rows = [i for i in range(len(ids)) if ids[i] in wanted for _ in range(args.draws)]
    if not rows:
        raise SystemExit(f"{args.features} holds no utterance of {args.corpus}: make features of both first.")
    jobs = [(args.features, args.weights, i, k % args.draws) for k, i in enumerate(rows)]
    with ProcessPoolExecutor(args.jobs) as pool:
        mels = list(pool.map(mel, jobs, chunksize=8))
    np.savez(args.out, mel=np.concatenate(mels), start=np.cumsum([0] + [len(m) for m in mels]), id=ids[rows],
             first=raw["first"][rows])  # fmt: skip
    print(f"{len(mels)} mels, {sum(map(len, mels))} frames")


if __name__ == "__main__":
    main()
