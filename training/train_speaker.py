"""Train the classifier that tells which bundled voice a reference clip sounds like.

    python training/train_speaker.py --features features --out runs/speaker --steps 600

Clips are random crops with changed level, tilt and bandwidth and with noise, as recordings have.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from batches import Corpus
from loop import Trainer, every
from tts_lab.systems.mini.speaker import SpeakerEncoder

CROP = (86, 430)  # frames: one to five seconds


def clips(corpus: Corpus, split: str, count: int, generator: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Random crops of one common length, normalised log-mel (b, m, t), and their speakers (b,)."""
    long = [i for i in corpus.ids(split) if np.diff(corpus.raw["frame_start"])[i] >= CROP[0]]
    chosen = generator.choice(long, count)
    mels = [corpus.mel(i) for i in chosen]
    frames = min(int(generator.integers(*CROP)), min(m.shape[1] for m in mels))
    starts = [int(generator.integers(0, m.shape[1] - frames + 1)) for m in mels]
    crops = torch.stack([m[:, s : s + frames] for m, s in zip(mels, starts, strict=True)])
    return crops, torch.from_numpy(corpus.speaker[chosen])


def disturb(mel: Tensor, std: Tensor, generator: torch.Generator) -> Tensor:
    """Another microphone and room: level, tilt, a noise floor, a missing upper end. mel: normalised (b, m, t)."""
    b, m, _ = mel.shape
    log = mel * std[:, None]  # nats, mean taken off

    def draw(scale: float) -> Tensor:
        return torch.randn(b, 1, 1, generator=generator) * scale

    tilt = torch.linspace(-1, 1, m)[None, :, None] * draw(0.5)
    floor = -4 + draw(1.0) + 0.5 * torch.randn(log.shape, generator=generator)
    noisy = torch.logaddexp(log + draw(0.3) + tilt, floor)
    cut = torch.randint(m // 2, 2 * m, (b, 1, 1), generator=generator)  # half of the clips keep their upper end
    band = torch.arange(m)[None, :, None]
    return torch.where(band >= cut, -5.0, noisy) / std[:, None]


@torch.no_grad()
def accuracy(model: SpeakerEncoder, corpus: Corpus, split: str = "dev") -> float:
    generator = np.random.default_rng(0)
    hits = []
    for _ in range(8):
        mel, speaker = clips(corpus, split, 16, generator)
        hits.append((model(mel).argmax(-1) == speaker).float().mean())
    return float(torch.stack(hits).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/speaker"))
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    corpus = Corpus(args.features)
    model = SpeakerEncoder(corpus.mean.shape[0], len(corpus.voices))
    trainer = Trainer(model, args.out, rate=1e-3, steps=args.steps, decay=0.99)
    numpy_generator, torch_generator = np.random.default_rng(1), torch.Generator().manual_seed(1)
    recent: list[float] = []
    while not trainer.done:
        mel, speaker = clips(corpus, "train", 24, numpy_generator)
        # Smoothing keeps the classifier from being sure of a voice that it has never heard.
        logits = model(disturb(mel, corpus.std, torch_generator))
        loss = cross_entropy(logits, speaker, label_smoothing=0.1)
        trainer.update(loss)
        recent.append(loss.item())

        def report() -> None:
            trainer.log(train=float(np.mean(recent[-100:])), dev_accuracy=accuracy(trainer.average, corpus))
            trainer.save()

        every(trainer, 100, report)


if __name__ == "__main__":
    main()
