"""Go on with encoder, styles and diffusion model together, from the bundled weights or from an earlier state.

    python training/train_joint.py --features features --out runs/joint --minutes 60 --workers 2

Steps 3 and 5 of README.md train one after the other, the second on a frozen first. Here the encoder also learns what
the diffusion model needs to be told, which a regression does not ask of it. The residual's average is not moved by the
diffusion loss (as in Grad-TTS): the average mel stays what a regression makes it.

With `--endless FOLDER` part of the batches come from what endless.py makes, which lacks the noise of a sound: a
direction of its own in the voice's style tells the diffusion model so, and is left out when it speaks. With `--only
said` nothing learns but what phones say to the decoder, from what the teacher's said to it (`told.py`); with `--only
average` the diffusion model stays as it is, with `--only diffusion` the encoder does.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from batches import Batch, Corpus, Endless
from encoded import remember
from export import ORDER
from loop import Trainer, every
from told import told_loss
from train_acoustic import spread_of, whole_loss, window_loss
from train_encoder import loss_of as average_loss
from tts_lab.systems.mini.acoustic import AcousticModel, Content
from tts_lab.systems.mini.checkpoint import load_model
from tts_lab.systems.mini.codes import PITCHES
from tts_lab.systems.mini.config import MiniConfig
from tts_lab.systems.mini.encoder import Clock, Curves, clock_of
from workers import add_options, average_gradients, shared, start

TOLD = 0.3  # weight of what phones say to the decoder beside the average mel, where the teacher tells it
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
        """Teach `said`, `average` or `diffusion` alone: the other parts stay as they are."""
        self.requires_grad_(part != "diffusion")
        encoder = self.acoustic.encoder
        for kept in (encoder.reader, encoder.decoder, encoder.readout, encoder.voice):
            kept.requires_grad_(part == "average")
        self.acoustic.dit.requires_grad_(part == "diffusion")
        self.soundless.requires_grad_(part == "diffusion")

    def style(self, b: Batch) -> Tensor:
        return self.styles(b.speaker) + b.manner[:, :MANNERS] @ self.manner

    def content(self, b: Batch) -> Content:
        style = self.style(b)
        if b.encoded is None:
            content = self.acoustic.content(b.codes, style, b.mel.shape[2], b.phones)
        else:
            content = Content(b.encoded.average, b.encoded.features, style)
        return replace(content, style=style + b.manner[:, MANNERS:] * self.soundless)

    def said(self, b: Batch) -> tuple[Curves, Clock, Tensor]:
        """What phones say to the decoder, when, and in which style."""
        style, encoder = self.style(b), self.acoustic.encoder
        contents = encoder.reader(b.codes.tokens, b.codes.places, batched=True)
        x = encoder.phones(b.codes, contents, style, b.phones)
        clock = clock_of(b.codes.duration, b.mel.shape[2], b.codes.span, batched=True)
        return encoder.said(x, contents, clock, b.codes.pitch, style), clock, style

    def average(self, b: Batch) -> tuple[Tensor, Curves]:
        """The average mel (b, m, t) and what phones say to the decoder."""
        said, clock, style = self.said(b)
        encoder = self.acoustic.encoder
        inner = encoder.shaped(said, clock, style)
        return encoder.read(inner, said, clock, b.codes.duration)[0], said


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
    pitch = batch.codes.pitch
    noise = (spread * torch.randn(pitch.shape, generator=generator)).round().long()
    moved = torch.where(pitch > 0, (pitch + noise).clamp(1, PITCHES - 1), 0)
    return replace(batch, codes=replace(batch.codes, pitch=moved))


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
        self.noise = torch.Generator().manual_seed(seed)
        self.order = np.random.default_rng(seed)
        self.endless = Endless(args.endless, corpus, self.order) if args.endless else None
        self.recordings: Iterator[Batch] = iter(())

    def remember(self, rank: int) -> None:
        """What the encoder says of all that is there, once, with one draw of the jitter for each utterance."""
        corpora = [self.corpus]
        if self.endless is not None:
            self.endless.look()
            corpora += self.endless.parts.values()
        folder, device = self.args.out / "encoded", self.args.device

        def said(batch: Batch, learnt: bool) -> Content:
            return self.model.content(jittered(batch, self.args.jitter * learnt, self.noise).to(device))

        remember(said, corpora, folder, rank=rank, workers=self.args.workers)

    def next(self) -> tuple[Tensor, float]:
        """The loss of a step, and of it what is to be read in the log: the diffusion's or the average mel's."""
        recorded = self.endless is None or self.order.random() < self.args.recorded
        batch = self._recording() if recorded else self.endless.batch(self.args.frames)
        batch = jittered(batch, self.args.jitter, self.noise).to(self.args.device)
        if self.args.only == "said":
            loss = told_loss(self.model.said(batch)[0], batch)
            return loss, loss.item()
        if self.args.only == "average":
            average, said = self.model.average(batch)
            loss, read = average_loss(average, batch)
            return (loss if batch.told is None else loss + TOLD * told_loss(said, batch)), read.item()
        flow, average = losses_of(self.model, batch, self.noise)
        return (flow if self.args.only else flow + self.args.weight * average), flow.item()

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
    if args.only == "diffusion":
        lessons.remember(rank)
    recent = [float("nan")]

    def report() -> None:
        if rank == 0:
            trainer.log(train=float(np.nanmean(recent[-100:])), **validate(trainer.average, corpus))
            trainer.save()

    while not trainer.done:
        model.train()
        with torch.autocast(args.device, torch.bfloat16, enabled=args.bfloat16):
            loss, told = lessons.next()
        trainer.update(loss, between=lambda: average_gradients(model))
        recent.append(told)
        every(trainer, 100, report)
        trainer.seconds = shared(trainer.seconds)
    if args.only in ("said", "average"):  # what it leaves over is what the diffusion model will be scaled by
        average = trainer.average
        spread = spread_of(lambda batch: (average.content(batch.to(args.device)).average.cpu(),), corpus)
        model.acoustic.spread.copy_(spread)
        average.load_state_dict(average.state_dict() | {"acoustic.spread": spread})
    report()


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
    parser.add_argument(
        "--only", choices=("said", "average", "diffusion"), help="teach this part; the other stays as it is"
    )
    parser.add_argument("--frames", type=int, default=4000, help="mel frames in a batch before cropping")
    parser.add_argument("--bfloat16", action="store_true", help="faster where the processor has units for it")
    add_options(parser, port=29518)
    start(work, parser.parse_args())


if __name__ == "__main__":
    main()
