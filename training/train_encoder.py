"""Train the text side of the acoustic stage: phones, prosody and voice -> average mel.

python training/train_encoder.py --features features --out runs/encoder --minutes 30
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from batches import Batch, Corpus
from loop import Trainer, every
from tts_lab.systems.mini.config import EncoderConfig, MiniConfig
from tts_lab.systems.mini.encoder import Encoder


class Acoustic(nn.Module):
    """The encoder and the table of voices' styles, as they are trained together."""

    def __init__(self, config: EncoderConfig, voices: int, style: int, mels: int) -> None:
        super().__init__()
        self.styles = nn.Embedding(voices, style)
        nn.init.normal_(self.styles.weight, std=1.0)
        self.encoder = Encoder(config, style, mels)

    def forward(self, b: Batch) -> tuple[Tensor, Tensor]:
        style = self.styles(b.speaker)
        return self.encoder(b.symbol, b.tone, b.place, b.duration, b.pitch, style, b.mel.shape[2], b.phones)


def loss_of(prior: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """L1 plus L2 over real frames, and the L1 alone (to read). Normalised mel units."""
    weight = batch.frames[:, None].float()
    error = (prior - batch.mel) * weight
    count = weight.sum() * batch.mel.shape[1]
    l1 = error.abs().sum() / count
    return l1 + error.square().sum() / count, l1


@torch.no_grad()
def validate(model: Acoustic, corpus: Corpus, split: str = "dev") -> float:
    device = model.styles.weight.device
    batches = (b.to(device) for b in corpus.batches(split, 4000))
    losses = [loss_of(model(b)[0], b)[1] for b in batches]
    return float(torch.stack(losses).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/encoder"))
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--frames", type=int, default=4000, help="mel frames in a batch")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    device = torch.device(args.device)
    corpus, config = Corpus(args.features), MiniConfig()
    model = Acoustic(config.encoder, len(corpus.voices), config.style, config.mels).to(device)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters")
    trainer = Trainer(model, args.out, rate=args.rate, minutes=args.minutes)
    trainer.resume()
    generator = np.random.default_rng(trainer.step)
    losses: list[float] = []
    while not trainer.done:
        for batch in corpus.batches("train", args.frames, generator):
            batch = batch.to(device)
            loss, l1 = loss_of(model(batch)[0], batch)
            trainer.update(loss)
            losses.append(l1.item())

            def report() -> None:
                trainer.log(train=float(np.mean(losses[-100:])), dev=validate(trainer.average, corpus))
                trainer.save()

            every(trainer, 100, report)
            if trainer.done:
                break
    trainer.log(train=float(np.mean(losses[-100:])), dev=validate(trainer.average, corpus))
    trainer.save()


if __name__ == "__main__":
    main()
