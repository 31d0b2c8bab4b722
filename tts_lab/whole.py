"""Files that are whole or not there: written under another name beside the target, and renamed when complete."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tts_lab.errors import OutputError


@contextmanager
def whole(path: str | Path, what: str) -> Iterator[Path]:
    """A path to write to; it becomes `path` when the block ends well, and vanishes when it does not.

    what: how a sentence names the file. Raises OutputError where it cannot be written.
    """
    path = Path(path)
    part = path.with_name(f".{path.name[:60]}.{secrets.token_hex(4)}.part")
    try:
        yield part
        os.replace(part, path)
    except OSError as error:
        raise OutputError(f"The {what} {path} cannot be written ({error.strerror}): choose another folder.") from None
    finally:
        with suppress(OSError):  # the folder may be no folder
            part.unlink(missing_ok=True)
