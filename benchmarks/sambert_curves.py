"""What Sambert-HiFiGAN costs as speech gets longer: our way of running it against the published one.

    python benchmarks/sambert_curves.py                          one core, 4 to 120 s of speech, median of 3
    python benchmarks/sambert_curves.py --seconds 2,4 --repeats 1 --out trial.json

The same random weights at the released 16 kHz sizes, phones of 10 mel frames on average (the longest of 26). Seconds
are those of the acoustic model, from units to mel, on this machine; lengths that take the published way longer than
`--longest-naive` are traced, not timed. Bytes are peaks of activations under a trace on the meta device, weights left
out, as a card's allocator would be asked for them: of the acoustic model both ways, and of everything up to the sound
when the vocoder hears the whole mel, tiles of it, or pieces as they come. Prints a table and writes
`data/measured/sambert_curves.json` (other settings than the default ones are written only where `--out` says).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch

from environment import ROOT, command, environment, positive, today, write_json
from tts_lab.errors import LabError
from tts_lab.experiments.quality_table import Table, markdown
from tts_lab.memory.events import EventLog
from tts_lab.memory.tracer import Tracer
from tts_lab.nn.tiling import tiled
from tts_lab.systems.sambert.acoustic import Sambert, Units
from tts_lab.systems.sambert.config import SambertConfig, VocoderConfig
from tts_lab.systems.sambert.frames import Plan
from tts_lab.systems.sambert.naive import naive_speak
from tts_lab.systems.sambert.streaming import spoken
from tts_lab.systems.sambert.vocoder import KanHiFiGAN

RESULT = ROOT / "data" / "measured" / "sambert_curves.json"
RELEASED = SambertConfig(sy=147, tone=10, syllable_flag=8, word_segment=8, emotion=36, speaker=4)
FRAMES_PER_SECOND = 80
PHONES = (26, 10, 8, 12)  # frames: the longest first, then these in turn
TILE = 64  # mel frames
WAYS = ("ours", "naive", "whole", "tiled", "streamed")


@dataclass(frozen=True)
class Models:
    """An acoustic model and a vocoder with random weights."""

    acoustic: Sambert
    vocoder: KanHiFiGAN

    @classmethod
    def on(cls, device: str, acoustic: SambertConfig, vocoder: VocoderConfig) -> Models:
        torch.manual_seed(0)
        with torch.device(device):
            models = cls(Sambert(acoustic), KanHiFiGAN(vocoder))
        for model in (models.acoustic, models.vocoder):
            model.eval().requires_grad_(False)
        return models

    def run(self, way: str, units: Units, durations: tuple[tuple[int, ...], ...]) -> None:
        """Speak: "ours" and "naive" up to the mel, the others up to the sound."""
        if way == "naive":
            naive_speak(self.acoustic, units, durations)
            return
        r = self.acoustic.config.outputs_per_step
        plan = Plan.of(self.acoustic.prosody(units), r, durations)
        if way == "streamed":
            for piece in spoken(self.acoustic, plan, self.vocoder):
                piece.cpu()
                del piece
            return
        mel = self.acoustic.mel(plan)
        if way == "whole":
            self.vocoder(mel)
        elif way == "tiled":
            tiled(self.vocoder, mel, TILE)


def main(arguments: Sequence[str] | None = None) -> None:
    args = _arguments(arguments)
    try:
        result = measure(args, RELEASED, VocoderConfig())
        print(markdown(table(result["lengths"])))
        out = args.out or (RESULT if _is_default(args) else None)
        if out:
            write_json(out, result)
        print(f"\nEverything is in {out}." if out else "\nNot written: name a file with --out to keep the result.")
    except LabError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


def measure(args: argparse.Namespace, acoustic: SambertConfig, vocoder: VocoderConfig) -> dict[str, Any]:
    """Trace and time every length."""
    torch.set_num_threads(args.threads)
    where = {**environment(), "threads": args.threads}
    real, meta = (Models.on(device, acoustic, vocoder) for device in ("cpu", "meta"))
    lengths = []
    for seconds in args.seconds:
        units, durations = request(seconds)
        peaks = {way: peak(meta, way, seconds) for way in WAYS}
        naive = seconds <= args.longest_naive
        took = {way: timed(partial(real.run, way, units, durations), args.repeats)
                for way in ("ours", *["naive"] * naive)}  # fmt: skip
        lengths.append({"seconds": seconds, "phones": len(durations[0]), "frames": sum(durations[0]),
                        "peak_activation_bytes": peaks, "took_seconds": took})  # fmt: skip
        print(f"{seconds:g} s of speech: done", file=sys.stderr)
    return {
        "what": __doc__.splitlines()[0],
        "command": command(),
        "date": today(),
        "environment": where,
        "repeats": args.repeats,
        "tile_frames": TILE,
        "not_timed": [s for s in args.seconds if s > args.longest_naive],
        "lengths": lengths,
    }


def request(seconds: float, device: str = "cpu") -> tuple[Units, tuple[tuple[int, ...], ...]]:
    """Units that mean nothing, and how long they last: `seconds` of speech."""
    frames, rows = round(seconds * FRAMES_PER_SECOND), []
    while frames > 0:
        rows.append(min(frames, PHONES[0] if not rows else PHONES[1 + len(rows) % 3]))
        frames -= rows[-1]
    n = len(rows)
    ids = torch.ones(1, n, dtype=torch.long, device=device)
    return Units(torch.ones(1, n, 4, dtype=torch.long, device=device), ids, ids.clone()), (tuple(rows),)


def peak(models: Models, way: str, seconds: float) -> int:
    """Most bytes of activations at a time."""
    units, durations = request(seconds, "meta")
    with Tracer() as tracer:
        tracer.place(models.acoustic, "acoustic")
        if way not in ("ours", "naive"):
            tracer.place(models.vocoder, "vocoder")
        for given in (units.ling, units.emotion, units.speaker):
            tracer.place(given)
        models.run(way, units, durations)
    return _without_weights(tracer.log)


def _without_weights(log: EventLog) -> int:
    return log.peak_bytes() - sum(e.bytes for e in log if e.category == "weight" and e.bytes > 0)


def timed(run: Callable[[], None], repeats: int) -> dict[str, Any]:
    """Seconds of each run after one that warms up, and their median."""
    runs = []
    with torch.inference_mode():
        for _ in range(repeats + 1):
            start = time.perf_counter()
            run()
            runs.append(round(time.perf_counter() - start, 4))
    return {"median": median(runs[1:]), "runs": runs[1:]}


def table(lengths: Sequence[dict[str, Any]]) -> Table:
    """A row for each length; a dash where nothing was timed."""
    header = (
        "speech",
        "ours",
        "published way",
        "memory: ours",
        "published way",
        "with sound: whole",
        "tiled",
        "streamed",
    )
    rows = []
    for entry in lengths:
        took, peaks = entry["took_seconds"], entry["peak_activation_bytes"]
        times = [f"{took[way]['median']:.2f} s" if way in took else "-" for way in ("ours", "naive")]
        rows.append((f"{entry['seconds']:g} s", *times, *(f"{peaks[way] / 2**20:,.1f} MiB" for way in WAYS)))
    return header, rows


def _is_default(args: argparse.Namespace) -> bool:
    plain = _arguments([])
    return all(getattr(args, name) == getattr(plain, name) for name in ("seconds", "threads", "longest_naive"))


def _lengths(text: str) -> list[float]:
    try:
        values = [float(x) for x in text.split(",")]
    except ValueError:
        values = []
    if not values or not all(0 < x <= 600 for x in values):
        raise argparse.ArgumentTypeError(f"must be seconds between 0 and 600, such as 4,12, but is {text!r}")
    return values


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=_lengths, default=[4.0, 12.0, 30.0, 60.0, 120.0], help="lengths of speech")
    parser.add_argument("--longest-naive", type=float, default=30.0, help="longest speech to time the published way")
    parser.add_argument("--threads", type=positive, default=1, help="cores to use")
    parser.add_argument("--repeats", type=positive, default=3, help="runs; the median counts")
    parser.add_argument("--out", type=Path, help="JSON file for the result")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
