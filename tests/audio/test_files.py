"""Sound files: what is written can be read, nothing is half written, and every refusal is a sentence."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from tts_lab.audio.files import AudioWriter, check_writable, read, write
from tts_lab.errors import AudioError, OutputError

RATE = 22_050


def tone(seconds: float = 0.5, rate: int = RATE) -> torch.Tensor:
    return 0.5 * torch.sin(torch.arange(round(seconds * rate)) / rate * 2 * math.pi * 440)


@pytest.mark.parametrize(("suffix", "tolerance"), [(".wav", 4e-5), (".flac", 4e-5), (".ogg", 0.03), (".MP3", 0.03)])
def test_round_trip(tmp_path: Path, suffix: str, tolerance: float) -> None:
    path = tmp_path / f"你好 speech{suffix}"
    write(path, tone(), RATE)
    samples, rate = read(path)
    assert rate == RATE
    assert samples.dtype == torch.float32
    assert samples.shape == tone().shape
    assert (samples - tone())[2000:-2000].abs().max() < tolerance
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_piece_by_piece_equals_whole(tmp_path: Path) -> None:
    write(tmp_path / "whole.wav", tone(3), RATE)
    with AudioWriter(tmp_path / "pieces.wav", RATE) as writer:
        for piece in tone(3).split(7001):
            writer.write(piece)
        assert not (tmp_path / "pieces.wav").exists()  # it appears when complete
    assert (tmp_path / "pieces.wav").read_bytes() == (tmp_path / "whole.wav").read_bytes()


@pytest.mark.parametrize("suffix", [".ogg", ".mp3"])
def test_minutes_in_one_piece(tmp_path: Path, suffix: str) -> None:
    write(tmp_path / f"long{suffix}", torch.zeros(RATE * 120), RATE)
    assert read(tmp_path / f"long{suffix}")[0].shape[0] >= RATE * 120


def test_too_loud_is_clipped_not_wrapped(tmp_path: Path) -> None:
    write(tmp_path / "loud.wav", 4 * tone(), RATE)
    samples, _ = read(tmp_path / "loud.wav")
    assert samples.abs().max() <= 1
    assert (samples - (4 * tone()).clamp(-1, 1)).abs().max() < 1e-4


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "speech.wav"
    write(path, tone(), RATE)
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt), AudioWriter(path, RATE) as writer:
        writer.write(tone(1))
        raise KeyboardInterrupt
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_not_numbers(tmp_path: Path) -> None:
    bad = tone()
    bad[100] = math.nan
    with pytest.raises(AudioError, match="not numbers"):
        write(tmp_path / "bad.wav", bad, RATE)
    assert list(tmp_path.iterdir()) == []


def test_wrong_axes(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"one axis .* not the shape \(1, 100\)"):
        write(tmp_path / "bad.wav", torch.zeros(1, 100), RATE)


def test_nothing_to_write(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no sound to write"):
        write(tmp_path / "empty.wav", torch.zeros(0), RATE)
    assert list(tmp_path.iterdir()) == []


def test_check_writable_leaves_nothing(tmp_path: Path) -> None:
    check_writable(tmp_path / "later.wav", RATE)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OutputError, match="no folder"):
        check_writable(tmp_path / "none" / "later.wav", RATE)


@pytest.mark.parametrize(
    ("name", "rate", "sentence"),
    [
        ("speech.txt", RATE, r"ends in \.txt, .* use \.wav, \.flac, \.ogg, \.mp3"),
        ("speech", RATE, "has no ending"),
        ("", RATE, "has no ending"),
        ("folder.wav", RATE, r"is a folder; name a file in it"),
        ("missing/speech.wav", RATE, "There is no folder .*missing; make it first"),
        ("speech.mp3", 7000, "MP3 has no sample rate of 7000 Hz"),
        ("长" * 100 + ".wav", RATE, "its name is too long"),
    ],
)
def test_refusals(tmp_path: Path, name: str, rate: int, sentence: str) -> None:
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(OutputError, match=sentence):
        write(tmp_path / name, tone(), rate)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.wav"]


def test_a_device_is_not_replaced(tmp_path: Path) -> None:
    link = tmp_path / "speech.wav"
    link.symlink_to("/dev/null")
    with pytest.raises(OutputError, match="device or a pipe"):
        write(link, tone(), RATE)
    assert not Path("/dev/null").is_file()


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "speech.wav").symlink_to(tmp_path / "folder" / "real.wav")
    write(tmp_path / "speech.wav", tone(), RATE)
    assert (tmp_path / "speech.wav").is_symlink()
    assert (tmp_path / "folder" / "real.wav").is_file()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_does_not_allow_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="does not allow it"):
        write(tmp_path / "speech.wav", tone(), RATE)


def test_ordinary_permissions(tmp_path: Path) -> None:
    write(tmp_path / "speech.wav", tone(), RATE)
    mask = os.umask(0)
    os.umask(mask)
    assert (tmp_path / "speech.wav").stat().st_mode & 0o777 == 0o666 & ~mask


def test_full_disk(tmp_path: Path) -> None:
    """A limit on the size of files stands for a disk that fills up; the old file stays, and no part is left."""
    code = (
        "import resource, sys, torch\n"
        "from pathlib import Path\n"
        "from tts_lab.audio.files import write\n"
        "from tts_lab.errors import OutputError\n"
        "noise = torch.rand(200_000) - 0.5\n"
        "for suffix in ('.wav', '.flac', '.ogg', '.mp3'):\n"
        "    path = Path(sys.argv[1]) / f'speech{suffix}'\n"
        "    path.write_bytes(b'old')\n"
        "    for limit in (0, 100, 5000, 30_000):\n"
        "        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))\n"
        "        try:\n"
        "            write(path, noise, 22_050)\n"
        "        except OutputError as error:\n"
        "            print(error)\n"
        "        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    sentences = done.stdout.splitlines()
    assert len(sentences) == 16, done.stdout + done.stderr
    assert all("free" in sentence and "space" in sentence for sentence in sentences), sentences
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"speech.{s}" for s in ("flac", "mp3", "ogg", "wav")]
    assert all(path.read_bytes() == b"old" for path in tmp_path.iterdir())


def test_stereo_is_mixed_down(tmp_path: Path) -> None:
    both = np.stack([np.full(1000, 0.5), np.full(1000, 0.1)], axis=1)
    soundfile.write(tmp_path / "stereo.wav", both, 16_000, subtype="FLOAT")
    samples, rate = read(tmp_path / "stereo.wav")
    assert rate == 16_000
    torch.testing.assert_close(samples, torch.full((1000,), 0.3))


def test_inverted_channels_do_not_cancel(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "inverted.wav", np.stack([tone(), -tone()], axis=1), RATE, subtype="FLOAT")
    torch.testing.assert_close(read(tmp_path / "inverted.wav")[0], tone())


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("missing.wav", None, "There is no file .*missing.wav"),
        ("notes.wav", "今天天气真好".encode() * 100, "is not sound that can be read here; give a WAV"),
        ("notes.raw", b"\x00\x01" * 100, "is not sound that can be read here"),
        ("empty.wav", b"", r"is empty \(0 bytes\)"),
        ("", None, "is a folder"),
    ],
)
def test_unreadable(tmp_path: Path, name: str, content: bytes | None, sentence: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(AudioError, match=sentence):
        read(tmp_path / name)


def test_a_header_without_sound(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "header.wav", np.zeros(0), RATE)
    with pytest.raises(AudioError, match="holds no sound"):
        read(tmp_path / "header.wav")


def test_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "damaged.flac"
    write(path, torch.randn(RATE).clamp(-1, 1), RATE)
    content = bytearray(path.read_bytes())
    content[500:] = os.urandom(len(content) - 500)
    path.write_bytes(content)
    with pytest.raises(AudioError, match="damaged|not sound"):
        read(path)


def test_a_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(AudioError, match="not an ordinary file"):
        read(tmp_path / "pipe.wav")
