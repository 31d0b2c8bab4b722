"""Go on with encoder, styles and diffusion model together, from the bundled weights or from an earlier state.

    python training/train_joint.py --features features --out runs/joint --minutes 60 --workers 2

Steps 3 and 5 of README.md train one after the other, the second on a frozen first. Here the encoder also learns what
the diffusion model needs to be told, which a regression does not ask of it. The residual's average is not moved by the
diffusion loss (as in Grad-TTS): the average mel stays what a regression makes it.

With `--endless FOLDER` part of the batches come from what endless.py makes, which lacks the noise of a sound: a
direction of its own in the voice's style tells the diffusion model so, and is left out when it speaks. With `--only
average` the diffusion model stays as it is, with `--only diffusion` the encoder does.

With `--sounding FOLDER` all of them come from what sounding.py makes, and lie on the device. On a card:

    python training/train_joint.py --features features --sounding sounding --device cuda --bfloat16 --frames 32000 \
        --rate 7e-4 --jitter 0.3 --dropout 0.05 --average-first 2 --every 500 --minutes 16 --out runs/joint

There a step is launched as one CUDA graph (`graphed.py`); `--eager` launches its kernels one by one.
"""

from __future__ import annotations

import argparse
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from batches import Batch, Corpus, Endless
from export import ORDER
from graphed import Graphed
from loop import Trainer, every
from resident import Resident
from train_acoustic import spread_of, whole_loss, window_loss
from train_encoder import loss_of as average_loss
from tts_lab.systems.mini.acoustic import AcousticModel, Content
from tts_lab.systems.mini.checkpoint import load_model
from tts_lab.systems.mini.codes import PITCHES
from tts_lab.systems.mini.config import MiniConfig
from workers import add_options, average_gradients, shared, start

WINDOWS = 128, 224, 448  # frames of a graph's windows: few, and the last is whole for most of what is composed
MANNERS = 3  # effort, breath, and the sound of WORLD


class Joint(nn.Module):
    """The acoustic model, the table of voices' styles and the directions of a manner in it.

    styles: rows in the order of the corpus's voices; manner: (3, s), what effort, breath and WORLD's own sound
    add; soundless: (s,), what tells the diffusion model of a mel that had no sound.
    """

    def __init__(self, config: MiniConfig, voices: int) -> None:
        super().__init__()
        self.acoustic = AcousticModel(config)
        self.styles = nn.Embedding(voices, config.style)
        self.manner = nn.Parameter(torch.zeros(MANNERS, config.style))
        self.soundless = nn.Parameter(torch.zeros(config.style))

    def only(self, part: str) -> None:
        """Teach `average` or `diffusion` alone: the other parts stay as they are."""
        self.requires_grad_(part == "average")
        self.acoustic.dit.requires_grad_(part == "diffusion")
        self.soundless.requires_grad_(part == "diffusion")

    def content(self, b: Batch) -> Content:
        style = self.styles(b.speaker) + b.manner[:, :MANNERS] @ self.manner
        codes = b.symbol, b.tone, b.place, b.duration, b.pitch
        content = self.acoustic.content(*codes, style, b.mel.shape[2], b.phones)
        return replace(content, style=style + b.manner[:, MANNERS:] * self.soundless)


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


def losses_of(
    model: Joint, batch: Batch, generator: torch.Generator, frames: int | None = None
) -> tuple[Tensor, Tensor]:
    """Diffusion loss on a random window of each utterance, of `frames` or as drawn, and the average mel's on all."""
    content = model.content(batch)
    return window_loss(model.acoustic, content, batch, generator, frames), average_loss(content.average, batch)[0]


def jittered(batch: Batch, spread: float, generator: torch.Generator) -> Batch:
    """The batch with its voiced phones' pitch codes moved by noise: the semantic model's are never quite right.

    spread: standard deviation of the noise in codes, before it is rounded.
    """
    noise = spread * torch.randn(batch.pitch.shape, generator=generator, device=generator.device)
    moved = (batch.pitch + noise.round().long().to(batch.pitch.device)).clamp(1, PITCHES - 1)
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


class Lessons:
    """Losses to learn from, one after the other, without end."""

    def __init__(self, model: Joint, corpus: Corpus, args: argparse.Namespace, seed: int) -> None:
        self.model, self.corpus, self.args = model, corpus, args
        device = torch.device(args.device)
        self.noise = torch.Generator(device).manual_seed(seed)
        self.order = np.random.default_rng(seed)
        self.endless = Endless(args.endless, corpus, self.order) if args.endless else None
        self.graphed = None
        self.sounding = None
        if args.sounding:
            few = device.type == "cuda"
            self.sounding = Resident(args.sounding, corpus, self.order, device, few_shapes=few)
            if few and not args.eager:
                self.graphed = Graphed(model, self.loss, self.noise, bfloat16=args.bfloat16)
        self.recordings: Iterator[Batch] = iter(())

    def loss(self, batch: Batch, frames: int | None, average_only: bool) -> tuple[Tensor, Tensor]:
        """The loss of a step, and of it what is to be read in the log: the diffusion's or the average mel's."""
        batch = jittered(batch, self.args.jitter, self.noise)
        if average_only or self.args.only == "average":
            average = average_loss(self.model.content(batch).average, batch)[0]
            return average, average.detach()
        flow, average = losses_of(self.model, batch, self.noise, frames)
        return (flow if self.args.only else flow + self.args.weight * average), flow.detach()

    def next(self, *, average_only: bool = False) -> tuple[Tensor, Tensor]:
        """The loss of a step on the next batch, with windows of a drawn length."""
        with torch.autocast(self.args.device, torch.bfloat16, enabled=self.args.bfloat16):
            return self.loss(self._batch().to(self.noise.device), None, average_only)

    def learn(self, trainer: Trainer, *, average_only: bool = False) -> Tensor:
        """One step of the trainer; returns what is to be read in the log."""
        if self.graphed is None:
            loss, told = self.next(average_only=average_only)
            trainer.update(loss, between=lambda: average_gradients(self.model))
            return told
        batch = self._batch()
        frames = 0 if average_only else min(int(self.order.choice(WINDOWS)), batch.mel.shape[2])
        told = self.graphed(batch, frames, average_only)
        trainer.follow()
        return told

    def _batch(self) -> Batch:
        if self.sounding:
            return self.sounding.batch(self.args.frames)
        recorded = self.endless is None or self.order.random() < self.args.recorded
        return self._recording() if recorded else self.endless.batch(self.args.frames)

    def _recording(self) -> Batch:
        batch = next(self.recordings, None)
        if batch is None:
            self.recordings = self.corpus.batches("train", self.args.frames, self.order)
            batch = next(self.recordings)
        return batch


def work(rank: int, args: argparse.Namespace) -> None:
    torch.manual_seed(rank)
    corpus = Corpus(args.features)
    model = bundled(corpus, args.begin).requires_grad_(True).to(args.device)
    for part in model.acoustic.encoder.modules():
        if isinstance(part, nn.Dropout):
            part.p = args.dropout
    if args.only:
        model.only(args.only)
    trainer = Trainer(model, args.out, rate=args.rate, minutes=args.minutes)
    resumed = trainer.resume()
    if rank == 0:
        print(f"{sum(p.numel() for p in model.parameters()):,} parameters, resumed: {resumed}", flush=True)
        trainer.log(**validate(trainer.average, corpus))
    lessons = Lessons(model, corpus, args, seed=1000 * rank + trainer.step)
    recent: deque[Tensor] = deque(maxlen=100)

    def report() -> None:
        if rank == 0:
            told = float(torch.stack(list(recent)).mean()) if recent else float("nan")
            trainer.log(train=told, **validate(trainer.average, corpus))
            trainer.save()

    while not trainer.done:
        model.train()
        begun = trainer.seconds < 60 * args.average_first  # the average mel alone
        recent.append(lessons.learn(trainer, average_only=begun))
        every(trainer, args.every, report)
        trainer.seconds = shared(trainer.seconds)
        if begun and not args.only and trainer.seconds >= 60 * args.average_first:
            measure_spread(model, trainer.average, corpus)
    if args.only == "average":
        measure_spread(model, trainer.average, corpus)
    report()


def measure_spread(model: Joint, average: Joint, corpus: Corpus) -> None:
    """What the average mel leaves over is smaller once it has learned, and is what the diffusion model is scaled by."""
    device = model.styles.weight.device
    spread = spread_of(lambda batch: (average.content(batch.to(device)).average.cpu(),), corpus)
    for each in (model, average):
        each.acoustic.spread.copy_(spread)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--begin", type=Path, default=Path("data/voices"), help="folder of the weights to begin with")
    parser.add_argument("--out", type=Path, default=Path("runs/joint"))
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=4e-4)
    parser.add_argument("--weight", type=float, default=0.5, help="of the average mel's loss beside the diffusion's")
    parser.add_argument("--jitter", type=float, default=0.5, help="of pitch codes while training, in codes")
    parser.add_argument("--dropout", type=float, default=0.1, help="of the encoder; beside endless speech 0 is better")
    parser.add_argument("--endless", type=Path, help="folder of what endless.py makes, also while it makes it")
    parser.add_argument("--recorded", type=float, default=0.5, help="share of batches that are recordings beside these")
    parser.add_argument("--only", choices=("average", "diffusion"), help="teach this part; the other stays as it is")
    parser.add_argument("--frames", type=int, default=4000, help="mel frames in a batch before cropping")
    parser.add_argument("--sounding", type=Path, help="folder of what sounding.py makes; all batches are of it")
    parser.add_argument("--average-first", type=float, default=0, metavar="MINUTES", help="of the average mel alone")
    parser.add_argument("--every", type=int, default=100, help="steps between two reports, each with a checkpoint")
    parser.add_argument("--eager", action="store_true", help="no CUDA graphs, where a card would use them")
    parser.add_argument("--bfloat16", action="store_true", help="faster where the processor has units for it")
    add_options(parser, port=29518)
    start(work, parser.parse_args())


if __name__ == "__main__":
    main()
