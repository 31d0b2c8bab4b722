"""Train the diffusion part of the acoustic stage on what the encoder's average mel leaves over.

    python training/train_acoustic.py --features features --encoder runs/encoder --out runs/acoustic --minutes 60

The encoder is frozen but keeps its dropout, so that its residuals on the training text are as large as on new text.
With `--workers N` gradients of N one-thread processes are averaged (faster than N threads when the machine is shared).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from batches import Batch, Corpus
from loop import Trainer, every
from train_encoder import Acoustic
from tts_lab.nn.flow import path
from tts_lab.systems.mini.acoustic import AcousticModel, Content
from tts_lab.systems.mini.config import MiniConfig
from workers import add_options, average_gradients, shared, start

CROP = range(128, 321, 32)  # frames; longer text than this is seen in pieces
DROP = 0.1  # of conditions, for guidance


def build(corpus: Corpus, encoder: Path) -> tuple[AcousticModel, Tensor]:
    """A fresh acoustic model around a trained encoder, and its voices' styles (voices, s)."""
    config = MiniConfig()
    trained = Acoustic(config.encoder, len(corpus.voices), config.style, config.mels)
    trained.load_state_dict(torch.load(encoder / "state.pt", weights_only=True)["average"])
    model = AcousticModel(config)
    model.encoder.load_state_dict(trained.encoder.state_dict())
    model.encoder.requires_grad_(False)
    model.mean.copy_(corpus.mean)
    model.std.copy_(corpus.std)
    model.spread.copy_(spread_of(trained.eval(), corpus))
    return model, trained.styles.weight.detach().clone()


@torch.no_grad()
def spread_of(average: Callable[[Batch], tuple[Tensor, ...]], corpus: Corpus) -> Tensor:
    """Standard deviation per band, on held-out text, of what an average mel leaves over, (m,).

    average: gives the average mel (b, m, t) first.
    """
    total, count = torch.zeros(corpus.mean.shape[0]), 0
    for batch in corpus.batches("dev", 4000):
        error = (batch.mel - average(batch)[0]) * batch.frames[:, None]
        total, count = total + error.square().sum((0, 2)), count + int(batch.frames.sum())
    return (total / count).sqrt()


def encode(model: AcousticModel, batch: Batch, styles: Tensor) -> Content:
    with torch.no_grad():
        return model.content(batch.symbol, batch.tone, batch.place, batch.duration, batch.pitch,
                             styles[batch.speaker], batch.mel.shape[2], batch.phones)  # fmt: skip


def crop(content: Content, batch: Batch, frames: int, generator: torch.Generator) -> tuple[Content, Tensor, Tensor]:
    """One random window of `frames` frames for each utterance. Returns content, mel and mask of the windows."""
    t = batch.mel.shape[2]
    frames = min(frames, t) // 2 * 2
    room = (batch.frames.sum(1) - frames).clamp(min=0)
    start = (uniform(len(room), generator).to(room.device) * (room + 1)).long()
    index = start[:, None] + torch.arange(frames, device=room.device)
    band = index[:, None].expand(-1, batch.mel.shape[1], -1)
    wide = index[..., None].expand(-1, -1, content.features.shape[-1])
    cut = Content(content.average.gather(2, band), content.features.gather(1, wide), content.style)
    return cut, batch.mel.gather(2, band), batch.frames.gather(1, index)


def loss_of(model: AcousticModel, content: Content, mel: Tensor, mask: Tensor, t: Tensor, noise: Tensor,
            drop: Tensor | None) -> Tensor:  # fmt: skip
    """Mean squared error of the velocity, weighted so that every time counts alike."""
    residual = (mel - content.average.detach()) / model.spread[:, None]
    x, target = path(noise, residual, t)
    error = (model.velocity(x, t, content, drop, mask) - target) * mask[:, None]
    q = (t * t + (1 - t) * (1 - t)).view(-1, 1, 1)  # undoes the preconditioning's scale
    return (error.square() * q).sum() / (mask.sum() * mel.shape[1])


def window_loss(model: AcousticModel, content: Content, batch: Batch, generator: torch.Generator,
                frames: int | None = None) -> Tensor:  # fmt: skip
    """The loss on one random window of each utterance, with random noise, times and conditions withheld.

    frames: of the windows; None to draw one of CROP.
    """
    if frames is None:
        frames = CROP[int(torch.randint(len(CROP), (1,), generator=generator, device=generator.device))]
    content, mel, mask = crop(content, batch, frames, generator)
    noise = torch.randn(mel.shape, generator=generator, device=generator.device).to(mel.device)
    drop = (uniform(len(mel), generator) < DROP).to(mel.device)
    t = stratified(len(mel), generator).to(mel.device)
    return loss_of(model, content, mel, mask, t, noise, drop)


def whole_loss(model: AcousticModel, content: Content, batch: Batch, generator: torch.Generator) -> Tensor:
    """The loss on whole utterances with all their conditions: to compare one model with another."""
    noise = torch.randn(batch.mel.shape, generator=generator).to(batch.mel.device)
    t = stratified(len(noise), generator).to(batch.mel.device)
    return loss_of(model, content, batch.mel, batch.frames, t, noise, None)


def stratified(count: int, generator: torch.Generator) -> Tensor:
    """(count,) times in 0..1, one from each of `count` equal strips, shuffled."""
    strips = (torch.arange(count, device=generator.device) + uniform(count, generator)) / count
    return strips[uniform(count, generator).argsort()]


def uniform(count: int, generator: torch.Generator) -> Tensor:
    """(count,) numbers from 0 to 1, where the generator lives."""
    return torch.rand(count, generator=generator, device=generator.device)


@torch.no_grad()
def validate(model: AcousticModel, corpus: Corpus, styles: Tensor) -> float:
    """Loss on whole held-out utterances with fixed noise."""
    model.eval()
    generator = torch.Generator().manual_seed(0)
    losses = []
    for batch in corpus.batches("dev", 4000):
        batch = batch.to(styles.device)
        content = encode(model, batch, styles)
        losses.append(whole_loss(model, content, batch, generator))
    return float(torch.stack(losses).mean())


def work(rank: int, args: argparse.Namespace) -> None:
    torch.manual_seed(0)
    corpus = Corpus(args.features)
    model, styles = build(corpus, args.encoder)
    device = torch.device(args.device)
    model, styles = model.to(device), styles.to(device)
    trainer = Trainer(model, args.out, rate=args.rate, minutes=args.minutes)
    resumed = trainer.resume()
    if rank == 0:
        torch.save(styles.cpu(), args.out / "styles.pt")
        print(f"{sum(p.numel() for p in model.dit.parameters()):,} parameters, resumed: {resumed}", flush=True)
    generator = torch.Generator().manual_seed(1000 * rank + trainer.step)
    order = np.random.default_rng(1000 * rank + trainer.step)
    recent: list[float] = []
    while not trainer.done:
        for batch in corpus.batches("train", args.frames, order):
            batch = batch.to(device)
            content = encode(model.train(), batch, styles)
            loss = window_loss(model, content, batch, generator)
            trainer.update(loss, between=lambda: average_gradients(model))
            recent.append(loss.item())

            def report() -> None:
                if rank == 0:
                    trainer.log(train=float(np.mean(recent[-200:])), dev=validate(trainer.average, corpus, styles))
                    trainer.save()

            every(trainer, 200, report)
            trainer.seconds = shared(trainer.seconds)
            if trainer.done:
                break
    if rank == 0:
        trainer.save()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--encoder", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/acoustic"))
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--frames", type=int, default=4000, help="mel frames in a batch before cropping")
    add_options(parser, port=29517)
    start(work, parser.parse_args())


if __name__ == "__main__":
    main()
