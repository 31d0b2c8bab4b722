"""Train the network that reads a mel from what the teacher makes its sound of (`readout.py`).

    python training/train_readout.py --packages packages --corpus corpus --features features --out runs/readout

The corpus has to be one that today's teacher made (`corpus.py`): where the teacher does not find the durations that the
manifest has, an utterance is left out and counted.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor
from tqdm import tqdm

import features
from loop import Trainer, every
from readout import Readout, at_frames
from teacher import FRAME_SAMPLES, RATE, Inner, Teacher
from tts_lab.audio.mel import MEL_22K, log_mel

WINDOW, BATCH = 240, 16  # frames of an excerpt, excerpts in a batch
EDGE = 8  # frames at an excerpt's ends, which see too little, are not counted
VOICING = 0.2  # weight of the loss of where WORLD finds a pitch

_teacher: Teacher | None = None  # one in each process


@dataclass(frozen=True)
class Example:
    """An utterance: what the teacher made it of (float16), its mel (t, m) float16 and where it has a pitch (t,)."""

    split: str
    inner: Inner
    mel: np.ndarray
    voiced: np.ndarray


def example(job: tuple[dict, Path, float, Path]) -> Example | None:
    """One line of a manifest, or None where the teacher speaks it at other durations."""
    global _teacher
    entry, root, gain, packages = job
    torch.set_num_threads(1)
    if _teacher is None:
        _teacher = Teacher(packages, sound=False)
    inner = _teacher.inner(entry["tokens"], entry["speaker"], entry["speed"])
    if not np.allclose(inner.frames * FRAME_SAMPLES / RATE, entry["durations_s"], atol=1e-3):
        return None
    samples, _ = soundfile.read(root / entry["file"], dtype="float32")
    mel = log_mel(torch.from_numpy(samples * gain)[None], MEL_22K)[0].T.numpy()
    voiced = features.pitch(samples, MEL_22K.sample_rate, len(mel), MEL_22K.hop_length) > 0
    slim = Inner(inner.content.astype(np.float16), inner.pitch, inner.energy, inner.frames)
    return Example(entry["split"], slim, mel.astype(np.float16), voiced)


def examples(args: argparse.Namespace) -> list[Example]:
    entries, gains = features.manifest(args.corpus), features.known_gains(args.features)
    jobs = [(entry, root, gains[entry["speaker"]], args.packages) for entry, root in entries][: args.limit]
    with ProcessPoolExecutor(args.jobs) as pool:
        found = list(tqdm(pool.map(example, jobs, chunksize=8), total=len(jobs), unit="utterance"))
    good = [e for e in found if e is not None]
    print(f"{len(good)} utterances; {len(found) - len(good)} of other durations were left out", flush=True)
    return good


def scaled(rows: list[Example]) -> Readout:
    """A fresh network that knows the means and deviations of what it is to read, and of the mels."""
    readout = Readout()
    content = np.concatenate([e.inner.content[:, ::7].T.astype(np.float32) for e in rows[::9]])
    mel = np.concatenate([e.mel for e in rows]).astype(np.float32)
    scales = ((readout.content_mean, readout.content_std, content), (readout.mean, readout.std, mel))
    for mean, std, values in scales:
        mean.copy_(torch.from_numpy(values.mean(0)))
        std.copy_(torch.from_numpy(values.std(0)).clamp(min=1e-3))
    return readout


def excerpt(e: Example, start: int, frames: int) -> tuple[np.ndarray, ...]:
    """content (t, c), pitch, energy (t,), mel (t, m) and voiced (t,) of an example's frames, float32."""
    middles = start + 0.5 + np.arange(frames)
    cut = slice(start, start + frames)
    return *at_frames(e.inner, middles), e.mel[cut].astype(np.float32), e.voiced[cut].astype(np.float32)


def draw(rows: list[Example], generator: np.random.Generator) -> list[Tensor]:
    """A batch of excerpts, all of one length."""
    chosen = [rows[i] for i in generator.integers(len(rows), size=BATCH)]
    frames = min(WINDOW, *(len(e.mel) for e in chosen))
    parts = [excerpt(e, int(generator.integers(len(e.mel) - frames + 1)), frames) for e in chosen]
    return [torch.from_numpy(np.stack(column)) for column in zip(*parts, strict=True)]


def loss_of(readout: Readout, batch: list[Tensor]) -> tuple[Tensor, Tensor]:
    """L1 and L2 of the mel and the loss of the voicing; and the mel's mean square alone, to read."""
    content, pitch, energy, mel, voiced = batch
    read, voicing = readout(content, pitch, energy)
    inside = slice(EDGE, -EDGE)
    error = (read.float() - (mel - readout.mean) / readout.std)[:, inside]
    square = error.square().mean()
    sure = torch.nn.functional.binary_cross_entropy_with_logits(voicing.float()[:, inside], voiced[:, inside])
    return error.abs().mean() + square + VOICING * sure, square


@torch.no_grad()
def validate(readout: Readout, rows: list[Example]) -> float:
    """Mean square of the mel's error on whole utterances."""
    readout.eval()
    return float(np.mean([loss_of(readout, [torch.from_numpy(a)[None] for a in excerpt(e, 0, len(e.mel))])[1]
                          for e in rows]))  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=Path, default=Path("packages"), help="folder of the teacher's packages")
    parser.add_argument("--corpus", type=Path, nargs="+", required=True)
    parser.add_argument("--features", type=Path, required=True, help="of the same corpus; they have its voices' gains")
    parser.add_argument("--out", type=Path, default=Path("runs/readout"))
    parser.add_argument("--minutes", type=float, default=14)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--limit", type=int, help="utterances of the corpus, to try it out")
    parser.add_argument("--jobs", type=int, default=2, help="processes that run the teacher")
    parser.add_argument("--bfloat16", action="store_true", help="faster where the processor has units for it")
    args = parser.parse_args()
    rows = examples(args)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    taught, held = ([e for e in rows if (e.split == "train") == train] for train in (True, False))
    readout = scaled(taught)
    taught = [e for e in taught if len(e.mel) >= WINDOW] or taught  # else the shortest of a batch shortens all
    trainer = Trainer(readout, args.out, rate=args.rate, minutes=args.minutes, decay=0.995)
    trainer.resume()
    generator, recent = np.random.default_rng(trainer.step), [float("nan")]

    def report() -> None:
        trainer.log(train=float(np.nanmean(recent[-200:])), dev=validate(trainer.average, held))
        trainer.save()

    while not trainer.done:
        with torch.autocast("cpu", torch.bfloat16, enabled=args.bfloat16):
            loss, square = loss_of(readout.train(), draw(taught, generator))
        trainer.update(loss)
        recent.append(square.item())
        every(trainer, 200, report)
    report()


if __name__ == "__main__":
    main()
