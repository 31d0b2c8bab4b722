"""Downloads: terms first, pinned, checked, whole or not at all. The hub is played by a folder."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
from typer.testing import CliRunner

from tts_lab import cli
from tts_lab.commands import fetch as command
from tts_lab.errors import OutputError, WeightsError
from tts_lab.systems.indextts2 import fetch, located
from tts_lab.systems.indextts2.released_files import FILES, REPOSITORIES, Released, repository


def content(file: Released) -> bytes:
    return f"{file.group}/{file.remote}".encode() * 20


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def git(data: bytes) -> str:
    return hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()


class Hub:
    """What the lab uses of huggingface_hub. A download is cut off after `stop` bytes, once, and goes on from there."""

    def __init__(self) -> None:
        self.content = {(repository(f).name, f.remote): content(f) for f in FILES}
        self.asked: list[str] = []
        self.stop: int | None = None

    def hf_hub_url(self, repo: str, name: str, revision: str) -> tuple[str, str]:
        assert re.fullmatch("[0-9a-f]{40}", revision)
        return repo, name

    def get_hf_file_metadata(self, url: tuple[str, str]) -> Any:
        data = self.content[url]
        return SimpleNamespace(size=len(data), etag=f'"{sha256(data) if url[1].endswith(".pth") else git(data)}"')

    def hf_hub_download(self, repo: str, name: str, *, revision: str, local_dir: Path) -> str:
        self.asked.append(name)
        path = Path(local_dir) / name
        part = path.with_name(path.name + ".incomplete")
        path.parent.mkdir(parents=True, exist_ok=True)
        begun = part.read_bytes() if part.exists() else b""
        data = self.content[repo, name]
        if self.stop is not None:
            part.write_bytes(data[: self.stop])
            self.stop = None
            raise ConnectionError("the line was cut")
        assert data.startswith(begun)
        path.write_bytes(begun + data[len(begun) :])
        part.unlink(missing_ok=True)
        return str(path)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A hub whose files are short, and a table that agrees with it."""
    short = tuple(
        replace(f, size=len(content(f)), sha256=sha256(content(f)) if f.sha256 else "") for f in FILES
    )  # fmt: skip
    monkeypatch.setattr(fetch, "FILES", short)
    found = Hub()
    for name in ("hf_hub_url", "get_hf_file_metadata", "hf_hub_download"):
        monkeypatch.setattr(huggingface_hub, name, getattr(found, name))
    return found


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    monkeypatch.setenv("TTS_LAB_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *arguments: CliRunner().invoke(cli.app, ["fetch", *map(str, arguments)])


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


# --- the table ---


def test_revisions_and_hashes_are_whole() -> None:
    for source in REPOSITORIES.values():
        assert re.fullmatch("[0-9a-f]{40}", source.revision)
        assert source.licence
        assert source.terms
        assert source.url == f"https://huggingface.co/{source.name}/tree/{source.revision}"
    for file in FILES:
        assert re.fullmatch("[0-9a-f]{64}|", file.sha256)
        assert file.size > 0
        assert file.group in REPOSITORIES
    assert len({file.place for file in FILES}) == len(FILES)
    assert REPOSITORIES["codec"].licence == "CC-BY-NC-4.0"
    assert {file.place for file in FILES if file.size > 10**7 and not file.sha256} == set()


def test_what_is_fetched_is_where_it_is_looked_for(hub: Hub, tmp_path: Path) -> None:
    fetch.fetch(fetch.plan(tmp_path))
    found = located.locate(tmp_path)
    assert found.codec == tmp_path / "hf_cache" / "semantic_codec_model.safetensors"
    assert found.emotion == tmp_path / "qwen0.6bemo4-merge"
    assert found.features.with_name("config.json").is_file()


# --- the way that works ---


def test_terms_are_shown_then_files_are_whole_and_nothing_else_is_left(hub: Hub, run, tmp_path: Path) -> None:
    done = run("indextts2", "--accept-licence")
    assert done.exit_code == 0, done.output
    folder = tmp_path / "weights" / "indextts2"
    assert files(folder) == {file.place for file in FILES}
    for file in FILES:
        assert (folder / file.place).read_bytes() == content(file)
    for said in ("bilibili Model Use License", "CC-BY-NC-4.0", "not for commercial use", "MIT", "Apache-2.0"):
        assert said in done.output
    assert "https://huggingface.co/amphion/MaskGCT/tree/265c6cef" in done.output
    assert f"Downloaded {len(FILES)} files" in done.output


def test_what_is_there_is_not_downloaded_again(hub: Hub, run, tmp_path: Path) -> None:
    assert run("indextts2", "--accept-licence", "--to", tmp_path / "w").exit_code == 0
    hub.asked.clear()
    done = run("indextts2", "--to", tmp_path / "w")
    assert done.exit_code == 0
    assert f"All {len(FILES)} files are in" in done.output
    (tmp_path / "w" / "gpt.pth").write_bytes(content(FILES[3])[::-1])  # as long, but other bytes
    (tmp_path / "w" / "bpe.model").unlink()
    assert run("indextts2", "--to", tmp_path / "w", "--accept-licence").exit_code == 0
    assert hub.asked == ["gpt.pth", "bpe.model"]


def test_only_some(hub: Hub, run, tmp_path: Path) -> None:
    done = run("indextts2", "--accept-licence", "--to", tmp_path / "w", "--only", "codec", "--only", "campplus")
    assert done.exit_code == 0
    assert "bilibili" not in done.output
    assert files(tmp_path / "w") == {"hf_cache/semantic_codec_model.safetensors", "hf_cache/campplus_cn_common.bin"}


def test_a_download_goes_on_where_it_stopped(hub: Hub, run, tmp_path: Path) -> None:
    hub.stop = 30
    first = run("indextts2", "--accept-licence", "--to", tmp_path / "w")
    assert first.exit_code == 2
    assert "the line was cut" in first.output
    assert "run the command again, which goes on" in re.sub(r"\s+", " ", first.output)
    assert all(name.startswith(fetch.COLLECTING) for name in files(tmp_path / "w"))
    assert run("indextts2", "--accept-licence", "--to", tmp_path / "w").exit_code == 0
    assert files(tmp_path / "w") == {file.place for file in FILES}


# --- consent ---


def test_without_consent_nothing_is_downloaded(hub: Hub, run, tmp_path: Path) -> None:
    done = run("indextts2", "--to", tmp_path / "w")
    assert done.exit_code == 2
    assert "CC-BY-NC-4.0" in done.output
    assert "terms were not accepted; give --accept-licence" in done.output
    assert hub.asked == []
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize(
    ("answer", "agreed"), [("y\n", True), ("是\n", True), ("\n", False), ("no\n", False), ("", False)]
)
def test_somebody_at_a_terminal_is_asked(hub: Hub, monkeypatch, tmp_path: Path, answer: str, agreed: bool) -> None:
    terminal = SimpleNamespace(isatty=lambda: True, readline=lambda: answer)
    monkeypatch.setattr(command.sys, "stdin", terminal)
    if agreed:
        command.run("indextts2", tmp_path / "w", False, ("campplus",))
        assert hub.asked == ["campplus_cn_common.bin"]
    else:
        with pytest.raises(command.LabError, match="not accepted"):
            command.run("indextts2", tmp_path / "w", False, ("campplus",))


# --- what can go wrong ---


def test_a_file_that_the_hub_has_otherwise_is_not_downloaded(hub: Hub, tmp_path: Path) -> None:
    hub.content["IndexTeam/IndexTTS-2", "gpt.pth"] = b"other".ljust(len(content(FILES[3])))
    with pytest.raises(WeightsError, match=r"gpt\.pth has another SHA-256 at the hub .*--weights"):
        fetch.fetch(fetch.plan(tmp_path))
    assert "gpt.pth" not in hub.asked
    hub.content["IndexTeam/IndexTTS-2", "gpt.pth"] = b"short"
    with pytest.raises(WeightsError, match=r"gpt\.pth has 5 bytes in place of [\d,]+"):
        fetch.fetch(fetch.plan(tmp_path))


@pytest.mark.parametrize("name", ["bpe.model", "feat1.pt", "gpt.pth"])  # by the table's hash, by git's, by both
def test_a_download_that_is_not_what_was_promised_is_removed(hub: Hub, monkeypatch, tmp_path: Path, name: str) -> None:
    def wrong(*args: Any, **kwargs: Any) -> str:
        path = Path(Hub.hf_hub_download(hub, *args, **kwargs))
        if path.name == name:
            path.write_bytes(path.read_bytes()[::-1])
        return str(path)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", wrong)
    with pytest.raises(WeightsError, match=f"download of {name} is not the file that was expected, and was removed"):
        fetch.fetch(fetch.plan(tmp_path))
    assert not [path for path in files(tmp_path) if path.endswith(name)]


def test_a_group_or_a_system_that_does_not_exist(run, tmp_path: Path) -> None:
    done = run("indextts2", "--only", "gpu")
    assert done.exit_code == 2
    assert "no files called gpu; there are indextts2, emotion, codec, campplus, bigvgan, w2v-bert" in done.output
    done = run("mini")
    assert done.exit_code == 2
    assert "no weights to fetch for 'mini'; there are for indextts2" in done.output


def test_a_folder_that_cannot_be_written(hub: Hub, run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    done = run("indextts2", "--accept-licence", "--to", tmp_path / "file" / "w")
    assert done.exit_code == 2
    assert "cannot be written" in done.output
    assert "--to" in done.output


def test_a_disk_that_is_too_small(hub: Hub, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**6))
    with pytest.raises(OutputError, match=r"has 1\.0 MB free, but .* are to be downloaded: make room"):
        fetch.fetch(fetch.plan(tmp_path))


def test_a_disk_that_fills_up_is_not_called_a_bad_connection(hub: Hub, monkeypatch, tmp_path: Path) -> None:
    def full(*_: Any, **__: Any) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", full)
    with pytest.raises(OutputError, match=r"cannot be written \(No space left on device\); name another one with --to"):
        fetch.fetch(fetch.plan(tmp_path))


@pytest.mark.parametrize("surroundings", [{"HF_ENDPOINT": "http://127.0.0.1:9"}, {"HF_HUB_OFFLINE": "1"}], ids=str)
def test_without_the_hub_it_says_in_one_sentence_what_to_do(tmp_path: Path, surroundings: dict[str, str]) -> None:
    """The real library in a process of its own: with an address that nothing answers at, and told to be offline."""
    arguments = ("fetch", "indextts2", "--accept-licence", "--to", str(tmp_path / "w"), "--only", "campplus")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "tts_lab.cli", *arguments], capture_output=True, text=True, timeout=300,
        env=os.environ | surroundings | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    said = done.stderr.strip().split("\n")[-1]
    assert said.startswith("The files cannot be downloaded from huggingface.co (")
    assert all(way in said for way in ("run the command again", "HF_ENDPOINT", "--weights"))
    assert "Traceback" not in done.stderr
    assert files(tmp_path / "w") == set()


def test_sizes_in_words() -> None:
    assert [fetch.size(n) for n in (727, 57_170, 28_036_335, 3_484_663_079)] == [
        "727 bytes",
        "57.2 kB",
        "28.0 MB",
        "3.5 GB",
    ]
