"""The command line: `tts-lab speak | vram | fit | claims | sweep | listen | voices | recipes | web | fetch | doctor`.

Results go to stdout, progress and complaints to stderr. What is the input's fault is one sentence and exit code 2.
Nothing heavy is imported before a command needs it: `--help` must be instant.
"""

from __future__ import annotations

import functools
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from tts_lab.commands.console import complain, given_text, load
from tts_lab.errors import LabError

BAD_INPUT, INTERRUPTED, TERMINATED = 2, 130, 143
SPEECH = Path("speech.wav")
WEIGHTS = (
    "Folder of released weights for a system that is not bundled, or random. A converted copy is kept in the folder; "
    "the variable TTS_LAB_CACHE names another one, or is off."
)

app = typer.Typer(
    help="A laboratory for Mandarin speech synthesis on small machines.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

listen = typer.Typer(no_args_is_help=True)
app.add_typer(listen, name="listen", help="What the answers of a listening test show.")


def main() -> None:
    """Entry point. A request to terminate unwinds like an interrupt, so that no half-written file stays behind."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    app()


def tells_why(command: Callable[..., None]) -> Callable[..., None]:
    """Turn a LabError into its sentence and exit code 2, Ctrl-C into 130; other errors are ours and show in full."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except LabError as error:
            complain(str(error))
            raise typer.Exit(BAD_INPUT) from None
        except KeyboardInterrupt:
            complain("Stopped.")
            raise typer.Exit(INTERRUPTED) from None

    return wrapped


@app.command()
@tells_why
def speak(
    text: Annotated[str | None, typer.Argument(help="What to say.", show_default=False)] = None,
    text_file: Annotated[str | None, typer.Option(help="Read the text from this UTF-8 file; - is stdin.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Sound file: .wav, .flac, .ogg or .mp3.")] = SPEECH,
    system: Annotated[str, typer.Option(help="Speech system.")] = "mini",
    weights: Annotated[str | None, typer.Option(help=WEIGHTS)] = None,
    voice: Annotated[str | None, typer.Option(help="Stored voice (see `voices`).")] = None,
    reference: Annotated[Path | None, typer.Option(help="Clip whose voice is imitated.")] = None,
    recipe: Annotated[str, typer.Option(help="Named recipe (see `recipes`) or a YAML file.")] = "default",
    steps: Annotated[int | None, typer.Option(help="Solver steps, 1 to 1000.")] = None,
    solver: Annotated[str | None, typer.Option(help="euler, midpoint, heun or adams.")] = None,
    guidance: Annotated[float | None, typer.Option(help="Strength of guidance, 0 (off) to 10.")] = None,
    moved: Annotated[list[str] | None, typer.Option("--set", help="Change one lever: --set precision=bf16.")] = None,
    seed: Annotated[int, typer.Option(help="Of every random draw.")] = 0,
    speed: Annotated[float, typer.Option(help="Speaking rate, 0.5 to 2.")] = 1.0,
    emotion: Annotated[str | None, typer.Option(help="Name of an emotion that the system knows.")] = None,
    emotion_reference: Annotated[Path | None, typer.Option(help="Clip whose emotion is imitated.")] = None,
    emotion_weights: Annotated[str | None, typer.Option(help="One number for each emotion: 0,0,0.5,0,0,0,0,0.")] = None,
    emotion_text: Annotated[str | None, typer.Option(help="Text whose emotion is taken.")] = None,
    emotion_strength: Annotated[float, typer.Option(help="How much of the emotion, 0 to 1.")] = 1.0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    fit: Annotated[
        bool, typer.Option("--fit", help="Plan for what is free on the card; step down if it runs out.")
    ] = False,
    mel: Annotated[Path | None, typer.Option(help="Also draw waveform and mel into this PNG.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the receipt as one line of JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No receipt and no progress.")] = False,
) -> None:
    """Speak a text into a sound file and print the receipt."""
    from tts_lab.commands.speak import Output, Question, run

    levers = {"steps": steps, "solver": solver, "guidance": guidance}
    manner = {
        "voice": voice, "reference": reference, "seed": seed, "speed": speed, "emotion": emotion,
        "emotion_reference": emotion_reference, "emotion_weights": emotion_weights, "emotion_text": emotion_text,
        "emotion_strength": emotion_strength,
    }  # fmt: skip
    question = Question(text, text_file, system, weights, device, recipe, levers, moved or (), fit, manner)
    run(question, Output(out, mel, as_json, quiet))


@app.command()
@tells_why
def vram(
    system: Annotated[str, typer.Argument(help="Speech system, or an event log (.npz) that was saved.")] = "mini",
    card: Annotated[list[str] | None, typer.Option(help="rtx3070, 8gb, ..., all; may be given again.")] = None,
    recipe: Annotated[str, typer.Option(help="Named recipe (see `recipes`) or a YAML file.")] = "default",
    levers: Annotated[list[str] | None, typer.Option("--set", help="Change one lever: --set precision=fp16.")] = None,
    seconds: Annotated[float, typer.Option(help="Length of the speech, in seconds.")] = 30.0,
    reference_seconds: Annotated[float, typer.Option(help="Length of the reference clip.")] = 15.0,
    alloc_conf: Annotated[str, typer.Option(help="As in PYTORCH_CUDA_ALLOC_CONF.")] = "",
    page: Annotated[Path | None, typer.Option("--html", help="Write the report as one page.")] = None,
    figure: Annotated[Path | None, typer.Option(help="Draw the report: .png, .svg or .pdf.")] = None,
    snapshot: Annotated[Path | None, typer.Option(help="Write a .pickle for docs.pytorch.org/memory_viz.")] = None,
    save_log: Annotated[Path | None, typer.Option(help="Keep the event log (.npz).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON for each card.")] = False,
) -> None:
    """Predict the GPU memory of a request, without a card and without weights."""
    from tts_lab.commands.vram import Files, Question, run

    named, moved = tuple(card or ("rtx3070",)), tuple(levers or ())
    question = Question(system, named, recipe, moved, seconds, reference_seconds, alloc_conf)
    run(question, Files(page, figure, snapshot, save_log), as_json)


@app.command()
@tells_why
def claims(
    only: Annotated[list[str] | None, typer.Option(help="Only the claim of this id; may be given again.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print them as a list of JSON objects.")] = False,
) -> None:
    """Test what the article says of memory and time, statement by statement."""
    from tts_lab.commands.claims import run

    run(tuple(only or ()), as_json)


@app.command()
@tells_why
def fit(
    system: Annotated[str, typer.Argument(help="Speech system.")] = "mini",
    card: Annotated[str, typer.Option(help="rtx3070, 8gb, ...: one card or budget.")] = "rtx3070",
    text_file: Annotated[str | None, typer.Option(help="Plan for this UTF-8 text; - is stdin.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Length of the speech; 30 if nothing is given.")] = None,
    reference_seconds: Annotated[float, typer.Option(help="Length of the reference clip.")] = 15.0,
    quality: Annotated[str | None, typer.Option(help="error<=5%, mos>=4.2, or a preset whose sound stays.")] = None,
    safety: Annotated[str, typer.Option(help="Share of the card that stays free: 5% or 0.05.")] = "5%",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the recipe for `speak --recipe`.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The plan as one line of JSON.")] = False,
) -> None:
    """Find the fastest recipe that fits a card, and say what it gives up."""
    from tts_lab.commands.fit import Question, run

    text = None if text_file is None else given_text(None, text_file)
    run(Question(system, card, text, seconds, reference_seconds, quality, safety), out, as_json)


@app.command()
@tells_why
def sweep(
    grid: Annotated[Path, typer.Argument(help="YAML file: system, base, levers, texts, voices, seeds.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Results, a JSON line a cell: GRID.jsonl.")] = None,
    workers: Annotated[int, typer.Option(help="Processes on this machine.")] = 1,
    threads: Annotated[int | None, typer.Option(help="Of the CPU, for each worker.")] = None,
    scheduler: Annotated[str | None, typer.Option(help="Dask scheduler of a cluster: tcp://10.0.0.1:8786.")] = None,
    judges: Annotated[bool, typer.Option("--judges", help="Also rate and recognise (extra judges).")] = False,
    keep_sound: Annotated[bool, typer.Option("--keep-sound", help="Also keep a WAV file of each cell.")] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try those again that failed before.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each cell.")] = False,
) -> None:
    """Speak recipes x texts x voices and measure each once; stopped or killed, the same command goes on."""
    from tts_lab.commands.sweep import Question, run

    run(Question(grid, out, workers, threads, scheduler, judges, keep_sound, retry_failed), as_json)


@listen.callback()
def listening() -> None:
    """What the answers of a listening test show. Tests are made and taken in a notebook (08_listening_test)."""


@listen.command()
@tells_why
def analyse(
    files: Annotated[list[Path], typer.Argument(help="Answers to one test, a file for each listener.")],
    mid_rule: Annotated[bool, typer.Option("--mid-rule", help="MUSHRA: screen by the 7 kHz anchor too.")] = False,
    figure: Annotated[Path | None, typer.Option(help="Draw the result: .png, .svg or .pdf.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The result as one line of JSON.")] = False,
) -> None:
    """Put the answers of several listeners together and say what they show."""
    from tts_lab.commands.listen import run

    run(files, mid_rule, figure, as_json)


@app.command()
@tells_why
def web(
    host: Annotated[
        str, typer.Option(help="Address to listen on; others than this machine's need 0.0.0.0.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes one that is free.")] = 7860,
    login: Annotated[
        str | None, typer.Option(help="User that must log in; the password is in TTS_LAB_WEB_PASSWORD, or asked for.")
    ] = None,
    system: Annotated[str, typer.Option(help="Speech system that is chosen at first.")] = "mini",
    weights: Annotated[list[str] | None, typer.Option(help="SYSTEM=FOLDER, SYSTEM=random, or random for all.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    most_characters: Annotated[int, typer.Option(help="Longest text.")] = 2000,
    most_upload_mb: Annotated[float, typer.Option(help="Largest clip, in MB.")] = 20.0,
    most_clip_seconds: Annotated[float, typer.Option(help="Longest clip, in seconds.")] = 60.0,
    most_waiting: Annotated[int, typer.Option(help="Jobs that may wait; one runs at a time.")] = 20,
    open_browser: Annotated[bool, typer.Option("--open", help="Open a browser.")] = False,
) -> None:
    """Serve the lab as a web page: speak, look, predict and plan in a browser, without Jupyter (extra web)."""
    from tts_lab.commands.web import Question, run

    limits = (most_characters, most_upload_mb, most_clip_seconds, most_waiting)
    run(Question(host, port, login, system, device, tuple(weights or ()), *limits, open_browser))


@app.command()
@tells_why
def voices(
    system: Annotated[str, typer.Option(help="Speech system.")] = "mini",
    weights: Annotated[str | None, typer.Option(help=WEIGHTS)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print them as one line of JSON.")] = False,
) -> None:
    """List the voices of a system, the first is its default, and its emotions."""
    loaded = load(system, "cpu", quiet=True, weights=weights)
    about = loaded.about_voices()
    if as_json:
        typer.echo(json.dumps(about, ensure_ascii=False))
    else:
        width = max(map(len, about))
        typer.echo("\n".join(f"{name:<{width}}  {label}".rstrip() for name, label in about.items()))
        if len(loaded.emotions) > 1:
            typer.echo(f"emotions: {', '.join(loaded.emotions)}")


@app.command()
def recipes() -> None:
    """List the named recipes, what they mean, and the levers that a YAML file may set."""
    from rich.console import Console
    from rich.table import Table

    from tts_lab.recipe import LEVERS, PRESETS, Recipe

    named = Table("recipe", "evaluations", "meaning", title="Recipes", title_justify="left")
    for name, (recipe, meaning) in PRESETS.items():
        named.add_row(name, str(recipe.evaluations_per_chunk), meaning)
    levers = Table("lever", "default", "meaning", title="Levers", title_justify="left")
    for name, default in Recipe().to_dict().items():
        levers.add_row(name, str(default), LEVERS[name][1])
    console = Console()
    console.print(named)
    console.print(levers)


@app.command()
@tells_why
def fetch(
    system: Annotated[str, typer.Argument(help="Whose weights: indextts2, sambert.", show_default=False)],
    to: Annotated[Path | None, typer.Option(help="Folder to put them in.", show_default=False)] = None,
    accept_licence: Annotated[bool, typer.Option("--accept-licence", help="Accept the terms that are shown.")] = False,
    only: Annotated[list[str] | None, typer.Option(help="Only these files: codec, emotion, ...; repeatable.")] = None,
    voice: Annotated[str | None, typer.Option(help="Only this voice of sambert: zhibei, 知雁, ...")] = None,
) -> None:
    """Download the released weights of a system after showing their terms, or say how to get them and check them."""
    from tts_lab.commands.fetch import run

    run(system, to, accept_licence, tuple(only or ()), voice)


@app.command()
@tells_why
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as one line of JSON.")] = False,
) -> None:
    """Report what is installed and what is missing, and warm up what is slow the first time."""
    from tts_lab import doctor as clinic

    typer.echo("Warming up librosa; on a fresh installation it compiles for up to a minute ...", err=True)
    seconds = clinic.warm()
    report = clinic.report()
    if as_json:
        typer.echo(json.dumps({**report, "warm_seconds": round(seconds, 3)}, ensure_ascii=False))
    else:
        typer.echo(clinic.render(report))


if __name__ == "__main__":
    main()
