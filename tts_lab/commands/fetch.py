"""`tts-lab fetch`: released weights, after their terms were shown and accepted."""

from __future__ import annotations

import sys
from pathlib import Path

from tts_lab.errors import LabError
from tts_lab.paths import weights_dir
from tts_lab.systems.indextts2 import fetch

SYSTEMS = ("indextts2", "sambert")


def run(system: str, to: Path | None, accepted: bool, only: tuple[str, ...], voice: str | None = None) -> None:
    """Show the terms, ask, download; or for `sambert`, whose hub the lab does not reach, say how, and check.

    Raises LabError for an unknown system, without consent, or where the weights are not there in the end.
    """
    if system not in SYSTEMS:
        raise LabError(f"There are no weights to fetch for {system!r}; there are for {', '.join(SYSTEMS)}.")
    folder = (to or weights_dir() / system).expanduser()
    if system == "sambert":
        if only:
            raise LabError("--only names files of indextts2; for sambert, name a voice with --voice zhibei.")
        by_hand(folder, voice)
        return
    if voice is not None:
        raise LabError("--voice is for sambert, whose weights are voices; indextts2 takes the voice of any clip.")
    print(f"Looking at {folder} ...", file=sys.stderr)
    todo = fetch.plan(folder, only)
    if not todo.wanted:
        print(f"All {len(todo.present)} files are in {folder}, and are what they should be.")
        return
    _show(todo)
    if not (accepted or _agreed()):
        raise LabError("Nothing was downloaded, for the terms were not accepted; give --accept-licence to accept them.")
    fetch.fetch(todo, lambda line: print(line, file=sys.stderr))
    print(f"Downloaded {len(todo.wanted)} files ({fetch.size(todo.bytes)}) into {folder}.")


def by_hand(folder: Path, voice: str | None) -> None:
    """Say for each voice whether it is there, or else how to get it. Raises LabError where one is missing or unusable,
    so that a script notices."""
    from tts_lab.systems.sambert.fetch import TERMS, wanted

    missing: list[str] = []
    for each in wanted(folder, voice):
        name = f"{each.voice.name} ({each.voice.chinese})"
        trouble = each.trouble() if each.folder.exists() else ""
        if trouble is None:
            print(f"{name} is in {each.folder}: its files load.")
            continue
        missing.append(each.voice.name)
        print(f"{name}: {trouble or f'not in {each.folder} yet.'}")
        print("\n".join(f"  {number}. {step}" for number, step in enumerate(each.steps, 1)))
    if not missing:
        return
    print(f"\n{TERMS}")
    raise LabError(
        f"Nothing was downloaded: the lab does not reach ModelScope. Follow the steps for {', '.join(missing)}, then "
        "run the command again: it checks what is there."
    )


def _show(todo: fetch.Plan) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("from huggingface.co", "size", "licence", "terms, in short", title_justify="left")
    for row in fetch.terms(todo):
        table.add_row(*row)
    console = Console()
    console.print(table)
    for source in todo.repositories:
        console.print(f"{source.name}: the terms in full at {source.url}", soft_wrap=True, highlight=False)
    kept = f"; {len(todo.present)} more are there already" if todo.present else ""
    console.print(
        f"{len(todo.wanted)} files, {fetch.size(todo.bytes)}, into {todo.folder}{kept}.",
        soft_wrap=True,
        highlight=False,
    )


def _agreed() -> bool:
    """Ask, where somebody is there to answer."""
    if not sys.stdin.isatty():
        return False
    print("Do you accept these terms? [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes", "是")
