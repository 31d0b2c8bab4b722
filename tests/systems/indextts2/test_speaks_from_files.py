"""From a folder in the released layout to sound, through the real loader and the real command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import tiny_checkpoint
import torch
from typer.testing import CliRunner

from tts_lab import cli
from tts_lab.pipeline import say
from tts_lab.recipe import Recipe
from tts_lab.systems import load_system
from tts_lab.systems.indextts2.stages import RANDOM_NOTE
from tts_lab.types import Request

TEXT = "今天天气真好，我们去公园吧！"
RECIPE = Recipe(steps=2, guidance=0.7)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("released")
    tiny_checkpoint.write(made)
    return made


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path, t = tmp_path_factory.mktemp("clips") / "me.wav", np.arange(66_150) / 22_050
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * 200 * t) * np.sin(2 * np.pi * 3 * t), 22_050)
    return path


def test_a_folder_of_released_files_speaks(folder: Path, clip: Path) -> None:
    system = load_system("indextts2", "cpu", folder)
    speech = say(system, Request(TEXT, reference=clip), RECIPE)
    assert len(speech.samples) > 1000
    assert torch.isfinite(speech.samples).all()
    assert RANDOM_NOTE not in speech.receipt.notes  # they were loaded, whatever they are
    assert all(wave.mel.semantic.units for wave in speech.waves)


def test_a_stored_clip_gives_a_voice(folder: Path) -> None:
    system = load_system("indextts2", "cpu", folder)
    assert system.voices[0] == "xiaoxiao"
    speech = say(system, Request(TEXT, voice="yunxi"), RECIPE)
    assert speech.receipt.voice == "yunxi"


def test_an_emotion_is_read_from_a_text(folder: Path, clip: Path) -> None:
    """A tiny random model answers nonsense, which is said, or weights, which are used."""
    system = load_system("indextts2", "cpu", folder)
    system.parts.emotion_text.weights = lambda text: (0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0)  # type: ignore[attr-defined]
    plain, sad, named = (
        say(system, Request(TEXT, reference=clip, **given), RECIPE).samples
        for given in ({}, {"emotion_text": "我很难过"}, {"emotion": "sad"})
    )
    assert torch.equal(sad, named)
    assert not torch.equal(sad, plain)


def test_the_command_line_speaks(folder: Path, clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.wav"
    given = ["speak", TEXT, "--system", "indextts2", "--weights", folder, "--reference", clip, "--steps", "2",
             "--emotion-weights", "0,0,0.5,0,0,0,0,0", "--emotion-strength", "0.5", "--out", out, "--json"]  # fmt: skip
    result = CliRunner().invoke(cli.app, [str(a) for a in given])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["system"] == "indextts2"
    assert soundfile.info(out).samplerate == 22_050


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--emotion-weights", "1,2"], "eight weights"),
        (["--emotion-weights", "a,b"], "numbers with commas"),
        (["--emotion-strength", "2"], "from 0 to 1"),
        (["--emotion", "hapy"], "has no emotion 'hapy'"),
        (["--emotion", "happy", "--emotion-reference", "x.wav"], "in several ways"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_a_sentence_and_leaves_no_file(
    folder: Path, clip: Path, tmp_path: Path, options: list[str], words: str
) -> None:
    out = tmp_path / "a.wav"
    given: list[Any] = ["speak", TEXT, "--system", "indextts2", "--weights", folder, "--reference", clip, "--out", out]
    result = CliRunner().invoke(cli.app, [str(a) for a in given] + options)
    assert result.exit_code == 2, result.output
    assert words in " ".join(result.stderr.split())
    assert not out.exists()
