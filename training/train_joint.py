"""Go on with encoder, styles and diffusion model together, from the bundled weights or from an earlier state.

    python training/train_joint.py --features features --out runs/joint --minutes 60 --workers 2

Steps 3 and 5 of README.md train one after the other, the second on a frozen first. Here the encoder also learns what
the diffusion model needs to be told, which a regression does not ask of it. The residual's average is not moved by the
diffusion loss (as in Grad-TTS): the average mel stays what a regression makes it.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from batches import Batch, Corpus
from export import ORDER
from loop import Trainer, every
from train_acoustic import whole_loss, window_loss
from train_encoder import loss_of as average_loss
from tts_lab.systems.mini.acoustic import AcousticModel, Content
from tts_lab.systems.mini.checkpoint import load_model
from tts_lab.systems.mini.codes import PITCHES
from tts_lab.systems.mini.config import MiniConfig
from workers import add_options, average_gradients, shared, start

MANNERS = 3  # effort, breath, and the sound of WORLD


class Joint(nn.Module):
    """The acoustic model, the table of voices' styles and the directions of a manner in it.

    styles: rows in the order of the corpus's voices; manner: (3, s), what effort, breath and WORLD's own sound add.
    """

    def __init__(self, config: MiniConfig, voices: int) -> None:
        super().__init__()
        self.acoustic = AcousticModel(config)
        self.styles = nn.Embedding(voices, config.style)
        self.manner = nn.Parameter(torch.zeros(MANNERS, config.style))

    def content(self, b: Batch) -> Content:
        style = self.styles(b.speaker) + b.manner @ self.manner
        return self.acoustic.content(b.symbol, b.tone, b.place, b.duration, b.pitch, style, b.mel.shape[2], b.phones)


def bundled(corpus: Corpus, folder: Path) -> Joint:
    """What the bundled weights hold of it. The corpus is then normalised as they know it, whatever came to it."""
    model, config, _ = load_model(folder)
    corpus.mean, corpus.std = model.acoustic.mean.clone(), model.acoustic.std.clone()
    joint = Joint(config, len(corpus.voices))
    joint.acoustic.load_state_dict(model.acoustic.state_dict())
    rows = [ORDER.index(name) for name in corpus.voices]
    joint.styles.weight.data.copy_(model.acoustic_styles[rows])
    joint.manner.data[: len(model.manner)] = model.manner
    return joint


def losses_of(model: Joint, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Diffusion loss on a random window of each utterance, and the average mel's on the whole."""
    content = model.content(batch)
    return window_loss(model.acoustic, content, batch, generator), average_loss(content.average, batch)[0]


def jittered(batch: Batch, spread: float, generator: torch.Generator) -> Batch:
    """The batch with its voiced phones' pitch codes moved by noise: the semantic model's are never quite right.

    spread: standard deviation of the noise in codes, before it is rounded.
    """
    noise = (spread * torch.randn(batch.pitch.shape, generator=generator)).round().long()
    moved = (batch.pitch + noise).clamp(1, PITCHES - 1)
    return replace(batch, pitch=torch.where(batch.pitch > 0, moved, 0))


@torch.no_grad()
def validate(model: Joint, corpus: Corpus) -> dict[str, float]:
    """Both losses on whole held-out utterances, with fixed noise; the average mel's is its L1."""
    model.eval()
    generator = torch.Generator().manual_seed(0)
    rows = []
    for batch in corpus.batches("dev", 4000):
        batch = batch.to(model.styles.weight.device)
        content = model.content(batch)
        flow = whole_loss(model.acoustic, content, batch, generator)
        rows.append((flow, average_loss(content.average, batch)[1]))
    flow, average = (float(torch.stack(column).mean()) for column in zip(*rows, strict=True))
    return {"dev_flow": flow, "dev_average": average}


def work(rank: int, args: argparse.Namespace) -> None:
    torch.manual_seed(rank)
    corpus = Corpus(args.features)
    model = bundled(corpus, args.begin).requires_grad_(True).to(args.device)
    trainer = Trainer(model, args.out, rate=args.rate, minutes=args.minutes)
    resumed = trainer.resume()
    if rank == 0:
        print(f"{sum(p.numel() for p in model.parameters()):,} parameters, resumed: {resumed}", flush=True)
        trainer.log(**validate(trainer.average, corpus))
    generator = torch.Generator().manual_seed(1000 * rank + trainer.step)
    order = np.random.default_rng(1000 * rank + trainer.step)
    recent: list[float] = []
    while not trainer.done:
        for batch in corpus.batches("train", args.frames, order):
            model.train()
            batch = jittered(batch, args.jitter, generator)
            with torch.autocast(args.device, torch.bfloat16, enabled=args.bfloat16):
                flow, average = losses_of(model, batch.to(args.device), generator)
            trainer.update(flow + args.weight * average, between=lambda: average_gradients(model))
            recent.append(flow.item())

            def report() -> None:
                if rank == 0:
                    trainer.log(train=float(np.mean(recent[-100:])), **validate(trainer.average, corpus))
                    trainer.save()

            every(trainer, 100, report)
            trainer.seconds = shared(trainer.seconds)
            if trainer.done:
                break
    if rank == 0:
        trainer.log(train=float(np.mean(recent[-100:])), **validate(trainer.average, corpus))
        trainer.save()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--begin", type=Path, default=Path("data/voices"), help="folder of the weights to begin with")
    parser.add_argument("--out", type=Path, default=Path("runs/joint"))
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=4e-4)
    parser.add_argument("--weight", type=float, default=0.5, help="of the average mel's loss beside the diffusion's")
    parser.add_argument("--jitter", type=float, default=0.5, help="of pitch codes while training, in codes")
    parser.add_argument("--frames", type=int, default=4000, help="mel frames in a batch before cropping")
    parser.add_argument("--bfloat16", action="store_true", help="faster where the processor has units for it")
    add_options(parser, port=29518)
    start(work, parser.parse_args())


if __name__ == "__main__":
    main()
