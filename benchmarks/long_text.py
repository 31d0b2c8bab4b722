"""Whether the bundled voices keep pace, loudness and pitch over a story, whether joints click, and the memory it takes.

    python benchmarks/long_text.py                      data/texts/story.txt by two voices, 8 evaluations
    python benchmarks/long_text.py --voices xiaobei,xiaoxiao,yunjian,yunxi --once
    python benchmarks/long_text.py --text-file book.txt --evaluations 4 --out trial.json

Every voice speaks the text twice, the second time with its pieces in the opposite order, so that the course of the text
can be told from a drift (`tts_lab/experiments/drift.py`; `--once` saves the time). Memory is that of a fresh process
that does nothing but stream the text into a file, when so many characters were spoken. Prints two tables and writes
`data/measured/long_text.json` (another text, fewer evaluations or `--once`: only where `--out` says). A voice that the
file holds already, measured on the same weights, text and recipe, is not measured again.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from environment import ROOT, command, counts, environment, positive, today, write_json
from quality_book import voice_digest
from speed import timed
from tts_lab.audio.clicks import CLICK_DB
from tts_lab.errors import LabError
from tts_lab.experiments.drift import THRESHOLDS, Drift, drift
from tts_lab.experiments.quality import ladder
from tts_lab.experiments.quality_table import Table, markdown
from tts_lab.memory.meter import peak_process_bytes
from tts_lab.pipeline import speak_to_file
from tts_lab.recipe import Recipe
from tts_lab.types import Request, Wave

RESULT = ROOT / "data" / "measured" / "long_text.json"
STORY = ROOT / "data" / "texts" / "story.txt"
VOICES = ("xiaobei", "yunxi")  # a woman's and a man's


def main(arguments: Sequence[str] | None = None) -> None:
    args = _arguments(arguments)
    out = args.out or (RESULT if _is_default(args) else None)
    try:
        if args.streamed:
            print(json.dumps(stream(*_asked(args), args.characters)))
            return
        result = measure(args, out)
        print(markdown(table(result)), markdown(memory_table(result)), sep="\n\n")
        for each in map(Drift.from_dict, result["voices"]):
            print(f"\n{each.voice}", *each.sentences, sep="\n")
    except LabError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    print(f"\nEvery figure is in {out}." if out else "\nNot written: name a file with --out to keep the figures.")


def measure(args: argparse.Namespace, out: Path | None) -> dict[str, Any]:
    """Voice by voice, then the memory. The result is written after each, and what it holds is not measured again."""
    system, request, recipe = _asked(args)
    text = request.text
    origin = {"weights": voice_digest(), "text": text, "recipe": recipe.to_dict(), "backwards": not args.once}
    result = {
        "what": __doc__.splitlines()[0], "command": command(), "date": today(), "environment": environment(),
        "evaluations": args.evaluations, "characters": _characters(text), "origin": origin,
        "voices": [], "memory": [],
    }  # fmt: skip
    known = _known(out, origin)
    for voice in args.voices:
        asked = replace(request, voice=voice)
        result["voices"].append(known.get(voice) or _drift(system, asked, recipe, not args.once))
        _keep(out, result)
    result["memory"] = _memory(args)
    _keep(out, result)
    return result


def stream(system: Any, request: Request, recipe: Recipe, characters: Sequence[int]) -> list[dict[str, Any]]:
    """Stream a text into a file that nobody keeps; for each size, what had been taken when no more was spoken yet."""
    found: dict[int, dict[str, Any]] = {}
    spoken, chunks, seconds = 0, 0, 0.0

    def heard(wave: Wave) -> None:
        nonlocal spoken, chunks, seconds
        spoken, chunks = spoken + _characters(wave.mel.semantic.chunk.text), chunks + 1
        seconds += wave.seconds
        now = {"characters": spoken, "chunks": chunks, "audio_seconds": round(seconds, 2)}
        for size in (size for size in characters if spoken <= size):
            found[size] = {**now, "peak_process_bytes": peak_process_bytes()}

    with tempfile.TemporaryDirectory() as folder:
        speak_to_file(system, request, Path(folder) / "speech.wav", recipe, on_wave=heard)
    return [found[size] for size in characters if size in found]


def _keep(out: Path | None, result: dict[str, Any]) -> None:
    if out:
        write_json(out, result)


def _known(out: Path | None, origin: dict[str, Any]) -> dict[str, Any]:
    """Voices that the file holds, measured on the same weights, text and recipe."""
    try:
        found = json.loads(out.read_text(encoding="utf-8")) if out and out.exists() else {}
        return {each["voice"]: each for each in found["voices"]} if found.get("origin") == origin else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LabError(f"{out} is not a result of this benchmark; move it away or name another --out.") from error


def table(result: dict[str, Any]) -> Table:
    """A row a voice: what pace, loudness and pitch do over the text, with 95 % intervals, and the joints."""
    units = [f"{name} ({unit}; {threshold:g} is heard)" for name, (threshold, unit) in THRESHOLDS.items()]
    rows = [_row(Drift.from_dict(each)) for each in result["voices"]]
    return ("voice", "speech", *units, f"joints over {CLICK_DB:.0f} dB (sharpest)"), rows


def memory_table(result: dict[str, Any]) -> Table:
    """A row a length of text."""
    rows = [
        (
            f"{m['characters']:,}",
            str(m["chunks"]),
            f"{m['audio_seconds']:.0f} s",
            f"{m['peak_process_bytes'] >> 20} MiB",
        )
        for m in result["memory"]
    ]
    return ("characters", "pieces", "speech", "peak memory of the process"), rows


def _row(found: Drift) -> tuple[str, ...]:
    joints = [piece.click for piece in found.pieces if piece.click is not None]
    clicking = f"{len(found.clicking)} of {len(joints)} ({max(joints):.0f} dB)"
    moves = [f"{each.change}: {each.verdict}" for each in found.trends.values()]
    return (found.voice, f"{found.seconds:.0f} s", *moves, clicking)


def _drift(system: Any, request: Request, recipe: Recipe, backwards: bool) -> dict[str, Any]:
    from tqdm import tqdm

    began = time.perf_counter()
    with tqdm(desc=str(request.voice), unit="piece", file=sys.stderr, mininterval=1.0) as bar:
        found = drift(system, request, recipe, backwards, on_wave=lambda wave: bar.update())
    return {**found.to_dict(), "seconds_of_work": round(time.perf_counter() - began, 1)}


def _memory(args: argparse.Namespace) -> list[dict[str, Any]]:
    """`stream` in a process of its own."""
    call = [sys.executable, str(Path(__file__).resolve()), "--streamed", "--text-file", str(args.text_file)]
    call += ["--voices", args.voices[0], "--evaluations", str(args.evaluations), "--system", args.system]
    call += ["--characters", ",".join(map(str, args.characters)), "--threads", str(args.threads)]
    _, printed = timed(call, args.threads)
    found: list[dict[str, Any]] = json.loads(printed.strip().splitlines()[-1])
    return found


def _asked(args: argparse.Namespace) -> tuple[Any, Request, Recipe]:
    import torch

    from tts_lab.systems import load_system

    torch.set_num_threads(args.threads)
    recipe = ladder([args.evaluations], Recipe())[args.evaluations]
    return load_system(args.system, "cpu"), Request(_read(args.text_file), voice=args.voices[0]), recipe


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LabError(f"The text {path} cannot be read ({error}); name a UTF-8 text file.") from None


def _characters(text: str) -> int:
    return sum(not character.isspace() for character in text)


def _is_default(args: argparse.Namespace) -> bool:
    plain = _arguments([])
    same = all(getattr(args, name) == getattr(plain, name) for name in ("text_file", "evaluations", "system", "once"))
    return same and set(plain.voices) <= set(args.voices) and args.characters == plain.characters


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--voices", type=lambda text: tuple(text.split(",")), default=VOICES, help="with commas between")
    add("--evaluations", type=positive, default=8, help="of the acoustic model, for each piece of text")
    add("--text-file", type=Path, default=STORY, help="another text, in UTF-8")
    add("--characters", type=counts, default=[250, 500, 1000], help="lengths of text whose memory is measured")
    add("--streamed", action="store_true", help="only stream the text, and print what memory that took as JSON")
    add("--once", action="store_true", help="do not speak the text backwards as well")
    add("--threads", type=positive, default=1, help="of the CPU")
    add("--system", default="mini")
    add("--out", type=Path, help="JSON file for the result")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
