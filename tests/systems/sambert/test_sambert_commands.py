"""`tts-lab speak`, `voices`, `vram` and `fetch` for Sambert, through the real loader."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import soundfile
import tiny_voice
from click.testing import Result
from typer.testing import CliRunner

from tts_lab import cli

TEXT = "今天天气真好，我们去公园吧！"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_voice.write(tmp_path_factory.mktemp("voices"), ("zhibei_emo", "zhiyan_emo"))


def call(*arguments: Any) -> Result:
    return CliRunner().invoke(cli.app, [str(each) for each in arguments])


def speak(folder: Path, out: Path, *options: Any, text: str = TEXT) -> Result:
    return call("speak", text, "--system", "sambert", "--weights", folder, "--out", out, *options)


def test_it_speaks_from_a_folder_and_from_an_archive(folder: Path, tmp_path: Path) -> None:
    out, packed = tmp_path / "a.wav", tiny_voice.pack(folder / "voices", tmp_path / "voices.zip")
    options = ("--voice", "知雁", "--emotion", "happy", "--mel", tmp_path / "a.png", "--json")
    result = speak(folder, out, *options)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["system"], told["voice"], told["chunks"]) == ("sambert", "zhiyan", 1)
    assert soundfile.info(out).samplerate == 16_000
    first = out.read_bytes()
    assert (tmp_path / "a.png").stat().st_size > 10_000
    assert speak(packed, out, *options).exit_code == 0
    assert out.read_bytes() == first  # one seed, one result, whatever the package


def test_ssml_and_a_mixture(folder: Path, tmp_path: Path) -> None:
    ssml = '<speak>今天<emotion category="sad">真难过</emotion>。</speak>'
    result = speak(folder, tmp_path / "a.wav", "--emotion", "30% happy + 70% neutral", "--json", text=ssml)
    assert result.exit_code == 0, result.output
    assert any("70% neutral + 30% happy" in note for note in json.loads(result.stdout)["notes"])


def test_what_has_no_reading_is_told(folder: Path, tmp_path: Path) -> None:
    result = speak(folder, tmp_path / "a.wav", "--quiet", text="你好😀")
    assert result.exit_code == 0
    assert "Not spoken: 😀" in result.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--voice", "zhibai"], "did you mean 'zhibei'?"),
        (["--voice", "zhibei:F75"], "No speaker is called 'F75' (did you mean 'F7"),
        (["--emotion", "hapy"], "did you mean 'happy'?"),
        (["--emotion", "50% happy + 20% sad"], "sum to 70%"),
        (["--reference", "me.wav"], "no input for a reference clip"),
        (["--emotion-weights", "1,2"], "by its name, or a mixture"),
    ],
)
def test_what_cannot_be_is_a_sentence_and_leaves_no_file(
    folder: Path, tmp_path: Path, options: list[str], words: str
) -> None:
    out = tmp_path / "a.wav"
    result = speak(folder, out, *options)
    assert result.exit_code == 2, result.output
    assert words in " ".join(result.stderr.split())
    assert not out.exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no text to speak"),
        ("，。", "nothing to speak"),
        ("<speak>你好<emotion></speak>", "line 1, column 10"),
        ("<speak>你好</emotion></speak>", "malformed at line 1, column 12"),
    ],
)
def test_bad_text_is_a_sentence_and_leaves_no_file(folder: Path, tmp_path: Path, text: str, words: str) -> None:
    result = speak(folder, tmp_path / "a.wav", text=text)
    assert result.exit_code == 2, result.output
    assert words in " ".join(result.stderr.split())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("part", ["am", "voc"])
def test_a_voice_that_lacks_a_part_is_a_sentence(folder: Path, tmp_path: Path, part: str) -> None:
    shutil.copytree(folder / "voices" / "zhibei_emo", tmp_path / "v" / "zhibei_emo")
    shutil.rmtree(tmp_path / "v" / "zhibei_emo" / part)
    result = speak(tmp_path / "v", tmp_path / "a.wav")
    assert result.exit_code == 2
    assert f"{part}; download it again" in " ".join(result.stderr.split())


def test_voices_are_listed(folder: Path) -> None:
    result = call("voices", "--system", "sambert", "--weights", folder, "--json")
    assert list(json.loads(result.stdout)) == ["zhibei", "zhiyan"]
    assert "random weights" in call("voices", "--system", "sambert", "--weights", "random").stdout


def test_the_memory_of_a_card_of_two_gigabytes() -> None:
    result = call("vram", "sambert", "--card", "2gb", "--seconds", "5")
    assert result.exit_code == 0, result.output
    assert "Fits" in result.stdout


def test_fetch_says_what_to_download_and_checks_it(folder: Path, tmp_path: Path) -> None:
    before = call("fetch", "sambert", "--voice", "知北", "--to", tmp_path)
    assert before.exit_code == 2
    said = " ".join(before.stdout.split())
    name = "speech_sambert-hifigan_tts_zhibei_emo_zh-cn_16k"
    assert f"https://www.modelscope.cn/models/damo/{name}" in said
    assert "Terms: unverified" in said
    assert str(tmp_path / name) in said
    assert "Nothing was downloaded" in " ".join(before.stderr.split())
    assert not list(tmp_path.iterdir())

    shutil.copytree(folder / "voices" / "zhibei_emo", tmp_path / name / "voices" / "zhibei_emo")
    after = call("fetch", "sambert", "--voice", "zhibei", "--to", tmp_path)
    assert after.exit_code == 0, after.output
    assert "its files load" in after.stdout

    shutil.rmtree(tmp_path / name / "voices" / "zhibei_emo" / "voc")
    broken = call("fetch", "sambert", "--voice", "zhibei", "--to", tmp_path)
    assert broken.exit_code == 2
    assert "zhibei lacks the vocoder" in broken.stdout


def test_where_fetch_puts_voices_they_are_found(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTS_LAB_WEIGHTS", str(tmp_path))
    name = "speech_sambert-hifigan_tts_zhibei_emo_zh-cn_16k"
    shutil.copytree(folder / "voices" / "zhibei_emo", tmp_path / "sambert" / name / "voices" / "zhibei_emo")
    assert call("speak", "你好", "--system", "sambert", "--out", tmp_path / "a.wav", "--quiet").exit_code == 0
    assert "zhibei" in call("fetch", "sambert").stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("sambert", "--voice", "zhibai"), "did you mean 'zhibei'?"),
        (("sambert", "--only", "codec"), "--only names files of indextts2"),
        (("indextts2", "--voice", "zhibei"), "--voice is for sambert"),
        (("mini",), "there are for indextts2, sambert"),
    ],
)
def test_fetch_refuses_what_makes_no_sense(tmp_path: Path, options: tuple[str, ...], words: str) -> None:
    result = call("fetch", *options, "--to", tmp_path)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())
