"""`tts-lab web`: what it refuses, what it warns of, and how it ends."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from tts_lab import cli
from tts_lab.commands import web
from tts_lab.errors import LabError

HERE = Path(__file__).resolve().parents[1]
LAUNCH = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path[:0] = [{here!r}, {root!r}]
from tts_lab.systems import SYSTEMS
SYSTEMS["mini"] = "fake_system"
from tts_lab.cli import main
main()
"""


@pytest.fixture
def gradio():
    return pytest.importorskip("gradio", reason="the extra `web` is not installed")


def refused(*args):
    done = CliRunner().invoke(cli.app, ["web", *args])
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    assert "Traceback" not in done.output
    return done.stderr.strip()


def test_without_gradio_one_sentence_that_helps(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "gradio" else find(name, *rest)
    )
    said = refused()
    assert "./lab install web" in said
    assert len(said.splitlines()) == 1


def test_weights():
    assert web.parse_weights([]) == {}
    assert web.parse_weights(["indextts2=~/w", "sambert=random"]) == {"indextts2": "~/w", "sambert": "random"}
    assert web.parse_weights(["random"]) == {"indextts2": "random", "sambert": "random"}
    for bad in ("indextts2", "=folder", "indextts2="):
        with pytest.raises(LabError, match="SYSTEM=FOLDER"):
            web.parse_weights([bad])


def test_the_password_is_never_on_the_command_line(monkeypatch):
    monkeypatch.setenv(web.PASSWORD, "secret")
    assert web.password() == "secret"
    monkeypatch.delenv(web.PASSWORD)
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    with pytest.raises(LabError, match=web.PASSWORD):
        web.password()
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("getpass.getpass", lambda *_: "typed")
    assert web.password() == "typed"
    help_text = CliRunner().invoke(cli.app, ["web", "--help"], env={"COLUMNS": "200"}).stdout
    assert "--login" in help_text
    assert "--password" not in help_text


def test_a_warning_where_others_can_come(capsys):
    web._warn(private=True, has_login=False)
    assert capsys.readouterr().err == ""
    web._warn(private=False, has_login=False)
    said = capsys.readouterr().err
    assert "can be reached from other machines" in said
    assert "--login" in said
    web._warn(private=False, has_login=True)
    assert "unencrypted" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["--weights", "everything"], "SYSTEM=FOLDER"),
        (["--weights", "nobody=random"], "There is no system 'nobody'"),
        (["--most-characters", "0"], "characters must be above 0"),
        (["--port", "70000"], "There is no port 70000"),
        (["--host", "198.51.100.1"], "is no address of this machine"),
        (["--device", "gpu"], "There is no device 'gpu'"),
        (["--system", "mimi", "--port", "0"], "did you mean 'mini'"),
    ],
)
def test_refused_with_a_sentence(gradio, args, sentence):
    assert sentence in refused(*args)


def test_a_port_in_use(gradio):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"Port {port} is in use" in refused("--port", str(port))


@pytest.mark.parametrize(
    ("how", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_ends_cleanly_with_pages_open(gradio, tmp_path, how, code):
    """It prints its address, serves, and on Ctrl-C leaves neither a file nor a word too many."""
    process = launch(tmp_path, "--port", "0")
    try:
        url = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline()).group()
        with httpx.stream("GET", f"{url}gradio_api/heartbeat/visitor", timeout=120) as page:
            next(page.iter_lines())
            assert len(list(tmp_path.glob("tts-lab-web-*"))) == 1
            process.send_signal(how)
            out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == code
    assert out == ""
    assert err.splitlines() == ["Loading …", "Stopped."][: 2 if code == 130 else 1]
    assert list(tmp_path.glob("tts-lab-web-*")) == []


def launch(tmp_path, *args):
    code = LAUNCH.format(here=str(HERE), root=str(HERE.parent))
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONIOENCODING": "utf-8"}
    return subprocess.Popen(
        [sys.executable, "-c", code, "web", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        encoding="utf-8", env=environment,
    )  # fmt: skip
