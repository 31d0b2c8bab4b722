"""How fast the bundled voice speaks from the command line, start-up included, and how much memory it takes.

    python benchmarks/speed.py                          two cores, 8 evaluations, median of 5
    python benchmarks/speed.py --threads 1 --evaluations 4 --repeats 3 --out trial.json

Every run is a fresh process of `tts-lab speak`, held to `--threads` cores where the platform can. Prints a table and
writes `data/measured/speed.json` (other settings than the default ones are written only where `--out` says).
Work: from the request to the last sample. Whole process: from the shell's call until it returns. A real-time factor is
seconds of one of them per second of speech; start-up is what the whole process takes beside the work.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from environment import ROOT, command, environment, positive, today, write_json
from tts_lab.errors import LabError
from tts_lab.experiments.quality import ladder
from tts_lab.experiments.quality_table import Table, markdown
from tts_lab.recipe import Recipe

RESULT = ROOT / "data" / "measured" / "speed.json"
TEXTS = {
    "a sentence": "今天天气真好，我们一起去公园吧！",
    "a paragraph": (
        "清晨的菜市场总是最热闹的。卖豆腐的大叔推着小车，一边走一边吆喝；水果摊上的橘子还带着绿叶，闻起来又香又甜。"
        "奶奶挑了两斤西红柿和一把小葱，说中午要给我们做面条。我提着篮子跟在她后面，听她和邻居们聊天。"
        "回家的路上，太阳升起来了，河面闪着金色的光。"
    ),
}
# What a start consists of: each line does what those above it do, and one thing more.
START = {
    "Python": "pass",
    "PyTorch": "import torch",
    "the lab's modules": "import tts_lab.cli, tts_lab.pipeline, tts_lab.systems.mini",
    "weights": "from tts_lab.systems import load_system; load_system('mini', 'cpu')",
}


def main(arguments: Sequence[str] | None = None) -> None:
    args = _arguments(arguments)
    try:
        result = measure(args)
        print(markdown(speeds(result["texts"])), markdown(starts(result["start"])), sep="\n\n")
        out = args.out or (RESULT if _is_default(args) else None)
        if out:
            write_json(out, result)
        print(f"\nEvery run is in {out}." if out else "\nNot written: name a file with --out to keep the runs.")
    except LabError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Run everything `args.repeats` times, after one run that warms the disk's cache."""
    recipe = ladder([args.evaluations], Recipe())[args.evaluations]
    cores = hold(args.threads)
    where = {**environment(), "threads": args.threads, "cores": cores}
    texts = {}
    for name, text in TEXTS.items():
        runs = [speak(text, recipe, args) for _ in _repeats(args.repeats + 1, name)][1:]
        texts[name] = {**summary(runs), "text": text, "runs": runs}
    start = {
        name: [_seconds_of(code, args.threads) for _ in _repeats(args.repeats, name)] for name, code in START.items()
    }
    return {
        "what": __doc__.splitlines()[0],
        "command": command(),
        "date": today(),
        "environment": where,
        "evaluations": args.evaluations,
        "recipe": recipe.to_dict(),
        "texts": texts,
        "start": start,
    }


def speak(text: str, recipe: Recipe, args: argparse.Namespace) -> dict[str, Any]:
    """One process of the command line. Returns its receipt's figures and `process`: seconds until it had ended."""
    with tempfile.TemporaryDirectory() as folder:
        levers = Path(folder) / "recipe.yaml"
        levers.write_text(recipe.to_yaml(), encoding="utf-8")
        call = [sys.executable, "-m", "tts_lab.cli", "speak", text, "--system", args.system, "--device", "cpu"]
        call += ["--recipe", str(levers), "--out", str(Path(folder) / "speech.wav"), "--json"]
        seconds, printed = timed(call, args.threads)
    return figures(printed, seconds)


def figures(printed: str, seconds: float) -> dict[str, Any]:
    """What a run's last line of JSON tells, with the seconds of the whole process."""
    try:
        receipt = json.loads(printed.strip().splitlines()[-1])
        keys = ("audio_seconds", "wall_seconds", "evaluations", "peak_process_bytes", "stages")
        return {"process": round(seconds, 4), **{key: receipt[key] for key in keys}}
    except (ValueError, IndexError, KeyError) as error:
        raise LabError(
            f"`tts-lab speak --json` printed no receipt on its last line, but {printed[-200:]!r}."
        ) from error


def summary(runs: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Medians over runs."""
    return {
        "audio_seconds": median(run["audio_seconds"] for run in runs),
        "real_time_factor": round(median(run["wall_seconds"] / run["audio_seconds"] for run in runs), 4),
        "process_real_time_factor": round(median(run["process"] / run["audio_seconds"] for run in runs), 4),
        "start_up_seconds": round(median(run["process"] - run["wall_seconds"] for run in runs), 4),
        "vocoder_real_time_factor": round(median(run["stages"]["vocoder"] / run["audio_seconds"] for run in runs), 4),
        "peak_process_bytes": max(run["peak_process_bytes"] for run in runs),
    }


def speeds(texts: dict[str, dict[str, Any]]) -> Table:
    """A row for each text."""
    header = (
        "text",
        "speech",
        "real-time factor of the work",
        "vocoder alone",
        "of the whole process",
        "start-up",
        "peak memory",
    )
    rows = [
        (
            name,
            f"{s['audio_seconds']:.1f} s",
            f"{s['real_time_factor']:.2f}",
            f"{s['vocoder_real_time_factor']:.2f}",
            f"{s['process_real_time_factor']:.2f}",
            f"{s['start_up_seconds']:.1f} s",
            f"{s['peak_process_bytes'] / 2**20:.0f} MiB",
        )
        for name, s in texts.items()
    ]
    return header, rows


def starts(start: dict[str, list[float]]) -> Table:
    """What the parts of a start add to it: each measured as a process of its own, less the one before."""
    rows, before = [], 0.0
    for name, seconds in start.items():
        until = median(seconds)
        rows.append((name, f"{until - before:.2f} s", f"{until:.2f} s"))
        before = until
    return ("start-up", "takes", "until then"), rows


def timed(call: Sequence[str], threads: int) -> tuple[float, str]:
    """Run a process on so many threads. Returns its seconds and stdout. Raises LabError, with its last words."""
    settings = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    began = time.perf_counter()
    done = subprocess.run(
        call, env={**os.environ, **settings, "PYTHONPATH": paths}, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - began
    if done.returncode:
        raise LabError(f"The measured command failed: {' '.join((done.stderr or done.stdout).split())[-400:]}")
    return seconds, done.stdout


def hold(threads: int) -> int:
    """Hold this process, and those it starts, to so many cores where the platform can. Returns how many it has."""
    if not hasattr(os, "sched_setaffinity"):
        return os.cpu_count() or 1
    cores = sorted(os.sched_getaffinity(0))
    if threads > len(cores):
        raise LabError(
            f"This machine lends {len(cores)} cores, not {threads}; ask for --threads {len(cores)} or fewer."
        )
    os.sched_setaffinity(0, cores[:threads])
    return threads


def _seconds_of(code: str, threads: int) -> float:
    return round(timed([sys.executable, "-c", code], threads)[0], 4)


def _repeats(count: int, what: str) -> Any:
    from tqdm import tqdm

    return tqdm(range(count), desc=what, file=sys.stderr, mininterval=1.0)


def _is_default(args: argparse.Namespace) -> bool:
    plain = _arguments([])
    return all(getattr(args, name) == getattr(plain, name) for name in ("evaluations", "threads", "system"))


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=positive, default=2, help="cores to use")
    parser.add_argument("--evaluations", type=positive, default=8, help="of the acoustic model, for each piece of text")
    parser.add_argument("--repeats", type=positive, default=5, help="runs; the median counts")
    parser.add_argument("--system", default="mini")
    parser.add_argument("--out", type=Path, help="JSON file for the result")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
