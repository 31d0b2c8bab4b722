"""`tts-lab web`: the page in a browser, until Ctrl-C."""

from __future__ import annotations

import getpass
import importlib.util
import os
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass

from tts_lab.commands.console import complain
from tts_lab.errors import LabError

PASSWORD = "TTS_LAB_WEB_PASSWORD"
RANDOM = "random"
NOT_BUNDLED = ("indextts2", "sambert")


@dataclass(frozen=True)
class Question:
    """What is asked, as the command line gives it. weights: `SYSTEM=FOLDER`, `SYSTEM=random`, or `random` for all."""

    host: str = "127.0.0.1"
    port: int = 7860
    login: str | None = None
    system: str = "mini"
    device: str = "auto"
    weights: tuple[str, ...] = ()
    characters: int = 2000
    upload_mb: float = 20.0
    clip_seconds: float = 60.0
    waiting: int = 20
    open_browser: bool = False


def run(question: Question) -> None:
    """Serve until interrupted. Raises LabError for what cannot be, before anything is loaded where it can be told."""
    check_installed()
    weights = parse_weights(question.weights)
    login = None if question.login is None else (question.login, password())
    from tts_lab.web.limits import Limits

    limits = Limits(question.characters, question.upload_mb, question.clip_seconds, question.waiting)
    print("Loading …", file=sys.stderr, flush=True)
    from tts_lab.web.serve import Address, Server
    from tts_lab.web.shelf import Shelf

    server = Server(
        Shelf(question.device, weights), limits, Address(question.host, question.port, login), question.system
    )
    with server:
        print(f"The page is at {server.url} (Ctrl-C ends it).", flush=True)
        _warn(server.address.private, login is not None)
        if question.open_browser:
            _open(server.url)
        _wait()


def check_installed() -> None:
    """Raises LabError where gradio is missing."""
    if importlib.util.find_spec("gradio") is None:
        raise LabError("The page needs gradio, which is not installed; run ./lab install web once, or just ./lab web.")


def parse_weights(given: Iterable[str]) -> dict[str, str]:
    """Name of a system -> folder or `random`. Raises LabError for what is neither."""
    found: dict[str, str] = {}
    for text in given:
        name, sign, folder = text.partition("=")
        if text == RANDOM:
            found |= dict.fromkeys(NOT_BUNDLED, RANDOM)
        elif sign and name.strip() and folder.strip():
            found[name.strip()] = folder.strip()
        else:
            raise LabError(f"--weights wants SYSTEM=FOLDER, such as indextts2=~/indextts2, or random; not {text!r}.")
    return found


def password() -> str:
    """From the environment, else typed without being shown. Never from the command line, which others can read."""
    found = os.environ.get(PASSWORD)
    if not found and sys.stdin.isatty():
        found = getpass.getpass("Password of the page: ", sys.stderr)
    if not found:
        raise LabError(
            f"--login needs a password: put it into the environment variable {PASSWORD}, or type it when asked."
        )
    return found


def _warn(private: bool, has_login: bool) -> None:
    if private:
        return
    guard = (
        "The password is sent unencrypted: use it in a network that you trust, or behind a proxy with TLS."
        if has_login
        else "Everyone there can use it: add --login USER."
    )
    complain(f"Warning: the page can be reached from other machines. {guard}")


def _open(url: str) -> None:
    import webbrowser

    webbrowser.open(url)


def _wait() -> None:
    """Until an interrupt; in steps, because some platforms do not wake a wait without end."""
    forever = threading.Event()
    while True:
        forever.wait(3600)
