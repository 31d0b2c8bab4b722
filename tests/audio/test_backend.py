"""torchaudio loads beside whatever torch is installed, and only one module imports it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tts_lab.audio import backend

ROOT = Path(__file__).resolve().parents[2]


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


def test_what_the_lab_uses_works() -> None:
    torchaudio = backend.torchaudio()
    tone = torch.sin(torch.arange(16_000) / 16_000 * 2 * torch.pi * 440)[None]
    assert torchaudio.compliance.kaldi.fbank(tone, num_mel_bins=80).shape == (98, 80)
    assert torchaudio.functional.resample(tone, 16_000, 8_000).shape == (1, 8_000)
    assert torchaudio.transforms.MelSpectrogram(16_000, n_mels=40)(tone).shape[1] == 40


@pytest.mark.parametrize(
    ("torch_cuda", "library_cuda", "prepare"),
    [(None, "13.0", True), (None, None, True), ("13.0", "13.0", False), ("12.8", "13.0", True), ("13.0", None, True)],
)
def test_library_is_left_out_unless_builds_agree(torch_cuda: str, library_cuda: str, prepare: bool) -> None:
    assert backend.needs_preparing(torch_cuda, library_cuda) is prepare


@pytest.mark.parametrize(
    ("version", "cuda"),
    [("2.11.0+cu130", "13.0"), ("2.11.0+cu126", "12.6"), ("2.11.0+cpu", None), ("2.11.0", None), ("", None)],
)
def test_cuda_of_a_version(version: str, cuda: str | None) -> None:
    assert backend.cuda_of_version(version) == cuda


def test_mode_follows_the_builds() -> None:
    expected = "prepared" if backend.needs_preparing(torch.version.cuda, backend.torchaudio_cuda()) else "native"
    assert backend.mode() == expected


@pytest.mark.skipif(
    not (torch.version.cuda is None and backend.torchaudio_cuda()), reason="this torch loads torchaudio by itself"
)
def test_a_failed_plain_import_does_no_harm() -> None:
    done = python(
        "try:\n import torchaudio\nexcept OSError:\n print('failed')\n"
        "from tts_lab.audio import backend\nprint(backend.torchaudio().__version__, backend.mode())"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("failed\n2.")
    assert done.stdout.rstrip().endswith("prepared")


def test_importing_audio_does_not_import_heavy_packages() -> None:
    modules = [path.stem for path in (ROOT / "tts_lab/audio").glob("*.py") if path.stem != "__init__"]
    heavy = ["torchaudio", "librosa", "soxr", "pyloudnorm", "scipy", "matplotlib", "IPython", "pandas"]
    imports = "\n".join(f"import tts_lab.audio.{name}" for name in modules)
    done = python(f"{imports}\nimport sys\nprint([m for m in {heavy!r} if m in sys.modules])")
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_only_the_backend_imports_torchaudio() -> None:
    statement = re.compile(r"^\s*(import torchaudio|from torchaudio\b)", re.MULTILINE)
    offenders = [
        str(path.relative_to(ROOT))
        for folder in ("tts_lab", "training", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
        if path.name != "backend.py" and statement.search(path.read_text(encoding="utf-8"))
    ]
    assert offenders == []


def test_a_first_use_while_building_on_meta_leaves_nothing_without_values():
    """Its kaldi module makes a constant when it is imported; on meta that would break every later filter bank."""
    code = (
        "import torch\n"
        "from tts_lab.systems.indextts2.parts import SMALL, Parts\n"
        "Parts.build(SMALL, 'meta')\n"
        "from tts_lab.audio.fbank import filter_bank\n"
        "print(filter_bank(torch.randn(16000)).isfinite().all().item())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "True", done.stderr
