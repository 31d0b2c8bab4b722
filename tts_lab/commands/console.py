"""What commands share: a complaint on stderr, the text that was given, a system that loads while a person watches."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tts_lab.errors import TextError

if TYPE_CHECKING:
    from tts_lab.types import System


def complain(sentence: str) -> None:
    """A sentence on stderr, in red where there are colours."""
    from rich.console import Console

    Console(stderr=True, soft_wrap=True).print(sentence, style="red", markup=False, highlight=False)


def given_text(text: str | None, text_file: str | None) -> str:
    """The text itself, or that of a UTF-8 file; `-` is stdin. Raises TextError for both, neither, or nothing in it."""
    if (text is None) == (text_file is None):
        raise TextError("Give either the text itself or --text-file, one of the two.")
    found = text if text_file is None else _read(text_file)
    if not found or not found.strip():
        raise TextError("There is no text to speak; give some Chinese text, such as 你好。")
    return found


def load(system: str, device: str, quiet: bool, weights: str | None) -> System:
    """A system, as `load_system` gives it, with a sign of life on stderr meanwhile."""
    from rich.console import Console

    from tts_lab.systems import load_system

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        return load_system(system, device, weights)
    with console.status(f"loading {system}"):
        return load_system(system, device, weights)


def _read(name: str) -> str:
    source = "stdin" if name == "-" else name
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise TextError(f"{source} is not text in UTF-8; save it as UTF-8 and try again.") from None
    except OSError as error:
        raise TextError(f"{source} cannot be read ({error.strerror}); give an existing text file.") from None
