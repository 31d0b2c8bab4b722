"""The small vocoder as it is bundled: what goes through it comes out as it was, and it is a lever like any other."""

import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from tts_lab.audio.mel import MEL_22K, log_mel
from tts_lab.audio.pitch import fundamental
from tts_lab.errors import WeightsError
from tts_lab.paths import data_dir, voices_dir
from tts_lab.pipeline import say
from tts_lab.recipe import Recipe
from tts_lab.systems import lacks, load_system
from tts_lab.systems.mini import checkpoint
from tts_lab.systems.mini.stages import Mini
from tts_lab.types import Request

QUICK = Recipe(steps=1, guidance=0.0)
SMALL = QUICK.replace(vocoder="small")


@pytest.fixture(scope="module")
def mini() -> Mini:
    system = load_system("mini", "cpu")
    assert isinstance(system, Mini)
    return system


@pytest.fixture(scope="module", params=["xiaobei", "yunjian"])
def clip(request: pytest.FixtureRequest) -> Tensor:
    samples, rate = soundfile.read(data_dir() / "references" / f"{request.param}.flac", dtype="float32")
    assert rate == MEL_22K.sample_rate
    return torch.from_numpy(samples[: 3 * rate // 256 * 256])


@pytest.fixture(scope="module")
def copied(mini: Mini, clip: Tensor) -> Tensor:
    mel = log_mel(clip, MEL_22K)
    noise = torch.randn(1, MEL_22K.hop_length, mel.shape[2], generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return mini.small(mini.small.source(mel, noise))[0]


def test_a_recordings_mel_comes_back_as_that_mel(clip: Tensor, copied: Tensor) -> None:
    mel, again = log_mel(clip, MEL_22K)[0], log_mel(copied, MEL_22K)[0]
    loud = mel.mean(0) > mel.mean() - 1
    off = (again - mel)[:, loud]
    assert copied.shape == clip.shape
    assert off.abs().mean() < 0.35  # nats; noise alone is off by about that in each of its bands
    assert off.mean().abs() < 0.1


def test_a_recordings_pitch_comes_back(clip: Tensor, copied: Tensor) -> None:
    """By pYIN, which knows nothing of the reader inside."""
    was, now = fundamental(clip), fundamental(copied)
    both = ~np.isnan(was) & ~np.isnan(now)
    cents = 1200 * np.abs(np.log2(now[both] / was[both]))
    assert both.sum() > 0.85 * (~np.isnan(was)).sum()
    assert np.median(cents) < 25
    assert (cents > 600).mean() < 0.03  # octaves


def test_it_speaks_as_long_and_as_loud_as_the_universal_one(mini: Mini) -> None:
    request = Request("今天天气真好，我们一起去公园吧！", seed=3)
    small, universal = say(mini, request, SMALL), say(mini, request, QUICK)
    assert small.samples.shape == universal.samples.shape
    louder = 10 * math.log10(float(small.samples.square().mean() / universal.samples.square().mean()))
    assert abs(louder) < 1.5
    assert small.samples.abs().max() < 1
    assert small.receipt.recipe.vocoder == "small"


def test_its_noise_belongs_to_the_seed(mini: Mini) -> None:
    first, second = (say(mini, Request("你好。", seed=3), SMALL).samples for _ in range(2))
    assert torch.equal(first, second)


def test_it_is_a_quarter_of_the_universal_ones_size(mini: Mini) -> None:
    count = lambda model: sum(p.numel() for p in model.parameters())  # noqa: E731
    assert count(mini.small) < 0.25 * count(mini.hifigan)
    assert (voices_dir() / checkpoint.VOCODER).stat().st_size < 8e6


def test_other_systems_say_that_they_have_none() -> None:
    for system in ("indextts2", "sambert"):
        assert "one vocoder" in lacks(system)["vocoder small"]
    assert "vocoder small" not in lacks("mini")


def test_a_lost_or_damaged_file_is_named_with_the_fix(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"vocoder\.safetensors is missing.*git checkout"):
        checkpoint.load_small_vocoder(tmp_path)
    shutil.copy(voices_dir() / checkpoint.VOCODER, tmp_path)
    assert checkpoint.load_small_vocoder(tmp_path).sizes.layers > 0
    data = (tmp_path / checkpoint.VOCODER).read_bytes()
    (tmp_path / checkpoint.VOCODER).write_bytes(data[: len(data) // 2])
    with pytest.raises(WeightsError, match=r"vocoder\.safetensors is damaged"):
        checkpoint.load_small_vocoder(tmp_path)
