"""The released files downloaded at a user's request: at pinned revisions, checked, and whole or not at all.

Files are collected in a folder `.fetching`, where a download that was cut off goes on the next time; each moves to its
place when its size and its hash are right.
"""

from __future__ import annotations

import errno
import hashlib
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tts_lab.errors import LabError, OutputError, WeightsError
from tts_lab.systems.indextts2.released_files import EMOTION, FILES, REPOSITORIES, Released, Repository, repository

COLLECTING = ".fetching"
SPARE = 2**28  # bytes of the disk that are left free
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO)
Report = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What a download would do. present: files that are there and right; wanted: the others."""

    folder: Path
    present: tuple[Released, ...]
    wanted: tuple[Released, ...]

    @property
    def bytes(self) -> int:
        return sum(file.size for file in self.wanted)

    @property
    def repositories(self) -> tuple[Repository, ...]:
        """Of the wanted files, each once."""
        return tuple({repository(file).name: repository(file) for file in self.wanted}.values())


def plan(folder: Path, only: Iterable[str] = ()) -> Plan:
    """What is to be done to have the files of these groups in the folder; no group: all of them.

    Files that are there are hashed, which takes a few seconds for each gigabyte. Raises WeightsError for a group that
    does not exist.
    """
    groups = set(only) or set(REPOSITORIES)
    unknown = sorted(groups - set(REPOSITORIES))
    if unknown:
        raise WeightsError(f"There are no files called {', '.join(unknown)}; there are {', '.join(REPOSITORIES)}.")
    files = [file for file in FILES if file.group in groups]
    there = {file for file in files if intact(folder / file.place, file)}
    return Plan(folder, tuple(f for f in files if f in there), tuple(f for f in files if f not in there))


def intact(path: Path, file: Released) -> bool:
    """Whether a file has its size, and its hash where the table has one."""
    if not path.is_file() or path.stat().st_size != file.size:
        return False
    return not file.sha256 or hashed(path, "sha256") == file.sha256


def fetch(todo: Plan, report: Report = lambda _: None) -> None:
    """Download what is wanted. report: called with a line for each file.

    Raises WeightsError where the hub cannot be reached or has another file than the table says, OutputError where the
    folder cannot be written or is too small.
    """
    hub = _hub()
    collecting = todo.folder / COLLECTING
    try:
        collecting.mkdir(parents=True, exist_ok=True)
        _check_room(todo)
        for file in todo.wanted:
            report(f"{file.place}  {size(file.size)}")
            _fetch_one(hub, todo.folder, collecting / repository(file).name.replace("/", "--"), file)
        shutil.rmtree(collecting, ignore_errors=True)
    except OSError as error:
        raise OutputError(
            f"The folder {todo.folder} cannot be written ({error.strerror or error}); name another one with --to."
        ) from error


def _fetch_one(hub: Any, folder: Path, collecting: Path, file: Released) -> None:
    expected = _at_the_hub(hub, file)
    source = repository(file)
    try:
        got = Path(hub.hf_hub_download(source.name, file.remote, revision=source.revision, local_dir=collecting))
    except Exception as error:  # the hub's library raises those of its HTTP library, too
        if isinstance(error, OSError) and error.errno in _DISK:
            raise
        raise _unreachable(error) from error
    _verify(got, file, expected)
    final = folder / file.place
    final.parent.mkdir(parents=True, exist_ok=True)
    got.replace(final)


def _at_the_hub(hub: Any, file: Released) -> str:
    """The hash that the hub names: SHA-256 for a large file, git's for a small one.

    Raises WeightsError where size or hash is not the table's, before anything is downloaded.
    """
    source = repository(file)
    try:
        found = hub.get_hf_file_metadata(hub.hf_hub_url(source.name, file.remote, revision=source.revision))
    except Exception as error:
        raise _unreachable(error) from error
    other = [] if found.size in (None, file.size) else [f"{found.size:,} bytes in place of {file.size:,}"]
    tag = (found.etag or "").strip('"')
    if file.sha256 and len(tag) == 64 and tag != file.sha256:
        other.append("another SHA-256")
    if other:
        raise WeightsError(
            f"{source.name}: {file.remote} has {' and '.join(other)} at the hub than the lab's table says, and was not "
            "downloaded: download it by hand if you trust it, and give its folder with --weights."
        )
    return tag


def _verify(path: Path, file: Released, tag: str) -> None:
    """Compare with the table and with the hub; a wrong file is removed. Raises WeightsError."""
    right = path.stat().st_size == file.size
    if right and file.sha256:
        right = hashed(path, "sha256") == file.sha256
    if right and len(tag) == 64 and tag != file.sha256:
        right = hashed(path, "sha256") == tag
    if right and len(tag) == 40:
        right = hashed(path, "sha1", f"blob {file.size}\0".encode()) == tag
    if not right:
        path.unlink(missing_ok=True)
        raise WeightsError(
            f"The download of {file.remote} is not the file that was expected, and was removed: run the command again."
        )


def hashed(path: Path, kind: str, before: bytes = b"") -> str:
    """Hash of a file; before: bytes that git puts in front."""
    digest = hashlib.new(kind, before)
    with path.open("rb") as file:
        while block := file.read(2**22):
            digest.update(block)
    return digest.hexdigest()


def terms(todo: Plan) -> list[tuple[str, str, str, str]]:
    """What the licences ask, for each repository: (name, size, licence, terms)."""
    rows = []
    for source in todo.repositories:
        amount = sum(file.size for file in todo.wanted if repository(file).name == source.name)
        rows.append((source.name, size(amount), source.licence, source.terms))
    return rows


def size(count: int) -> str:
    """Bytes in words, in the units of a download."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} bytes"


def _hub() -> Any:
    try:
        import huggingface_hub
    except ModuleNotFoundError:
        raise LabError("Downloads need huggingface_hub, which is not installed; run ./lab install.") from None
    return huggingface_hub


def _check_room(todo: Plan) -> None:
    free = shutil.disk_usage(todo.folder).free
    begun = sum(path.stat().st_size for path in (todo.folder / COLLECTING).rglob("*") if path.is_file())
    if free + begun < todo.bytes + SPARE:
        raise OutputError(
            f"The disk of {todo.folder} has {size(free)} free, but {size(todo.bytes)} are to be downloaded: make room, "
            f"name another folder with --to, or leave out what is optional ({EMOTION}) with --only."
        )


def _unreachable(error: BaseException) -> WeightsError:
    reason = (str(error).strip().split("\n")[0] or type(error).__name__)[:160]
    return WeightsError(
        f"The files cannot be downloaded from huggingface.co ({reason}): check the connection and run the command "
        "again, which goes on where it stopped; behind a firewall set HF_ENDPOINT to a mirror; or copy the files from "
        "another computer and give their folder with --weights."
    )
