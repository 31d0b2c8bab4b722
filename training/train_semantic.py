"""Train the semantic model: phones and voice -> duration and pitch codes.

    python training/train_semantic.py --features features --out runs/semantic --minutes 20

With `--sounding FOLDER` it learns from what sounding.py makes where that is spoken as the teacher would, and not from
the features' own train rows.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from batches import Batch, Corpus
from loop import Trainer, every
from resident import Resident
from tts_lab.systems.mini.config import MiniConfig, SemanticConfig
from tts_lab.systems.mini.semantic import SemanticModel


class Semantic(nn.Module):
    """The semantic model and its own table of voices' styles."""

    def __init__(self, config: SemanticConfig, voices: int, style: int) -> None:
        super().__init__()
        self.styles = nn.Embedding(voices, style)
        self.model = SemanticModel(config, style)

    def losses(self, b: Batch, smoothing: float = 0.0) -> tuple[Tensor, Tensor]:
        """Mean cross-entropy of durations and of pitches, nats per phone."""
        style = self.styles(b.speaker)
        durations, pitches = self.model(b.symbol, b.tone, b.place, b.duration, b.pitch, style)
        keep = b.phones
        return (cross_entropy(durations[keep], b.duration[keep], label_smoothing=smoothing),
                cross_entropy(pitches[keep], b.pitch[keep], label_smoothing=smoothing))  # fmt: skip


@torch.no_grad()
def validate(model: Semantic, corpus: Corpus) -> dict[str, float]:
    device = model.styles.weight.device
    rows = [model.losses(b.to(device)) for b in corpus.batches("dev", 8000)]
    duration, pitch = (float(torch.stack(column).mean()) for column in zip(*rows, strict=True))
    return {"dev_duration": duration, "dev_pitch": pitch}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/semantic"))
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--frames", type=int, default=8000)
    parser.add_argument("--sounding", type=Path, help="folder of what sounding.py makes")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    device = torch.device(args.device)
    corpus, config = Corpus(args.features), MiniConfig()
    model = Semantic(config.semantic, len(corpus.voices), config.style).to(device)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters")
    trainer = Trainer(model, args.out, rate=args.rate, minutes=args.minutes, steps=args.steps, weight_decay=0.05)
    trainer.resume()
    generator = np.random.default_rng(trainer.step)
    recent: list[float] = []
    best = float("inf")
    sounding = Resident(args.sounding, corpus, generator, device, still=True) if args.sounding else None

    def batches() -> Iterator[Batch]:
        if sounding is None:
            return corpus.batches("train", args.frames, generator)
        return (sounding.batch(args.frames) for _ in range(100))

    while not trainer.done:
        for batch in batches():
            loss = torch.stack(model.losses(batch.to(device), smoothing=0.05)).sum()
            trainer.update(loss)
            recent.append(loss.item())

            def report() -> None:
                nonlocal best
                scores = validate(trainer.average, corpus)
                trainer.log(train=float(np.mean(recent[-100:])), **scores)
                if sum(scores.values()) < best:
                    best = sum(scores.values())
                    torch.save(trainer.average.state_dict(), args.out / "best.pt")
                trainer.save()

            every(trainer, 100, report)
            if trainer.done:
                break


if __name__ == "__main__":
    main()
