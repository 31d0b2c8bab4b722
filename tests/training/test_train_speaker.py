"""The speaker encoder's training: which voices and sentences it hears, how clips are disturbed, and the limits."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "training"))

other_voices = pytest.importorskip("other_voices")
train_speaker = pytest.importorskip("train_speaker")

MEAN = torch.full((80,), -5.0)


@pytest.fixture(scope="module")
def texts() -> list[dict]:
    return [json.loads(line) for line in (ROOT / "training/texts/corpus.jsonl").read_text("utf-8").splitlines()]


def test_no_voice_or_sentence_of_a_split_is_heard_in_another(texts: list[dict]) -> None:
    rows = other_voices.rows(texts)
    assert len({row["id"] for row in rows}) == len(rows)
    heard = {s: [r for r in rows if r["split"] == s] for s in ("train", "dev", "test")}
    voices = {s: {r["speaker"] for r in part} for s, part in heard.items()}
    said = {s: {r["text"] for r in part} for s, part in heard.items()}
    taught = {t["text"] for t in texts if t["split"] == "train"}
    for one, other in (("train", "dev"), ("train", "test"), ("dev", "test")):
        assert voices[one] & voices[other] == set(other_voices.KNOWN)
        assert not said[one] & said[other]
    assert said["train"] <= taught
    assert not (said["dev"] | said["test"]) & taught


def test_clips_have_the_length_asked_for_even_where_utterances_are_short() -> None:
    mels = [torch.full((80, n), float(n)) for n in (7, 30, 100)]
    for frames in (5, 60, 430):
        assert train_speaker.clip(mels, frames, np.random.default_rng(frames)).shape == (80, frames)


def test_a_clip_is_disturbed_by_its_seed_and_keeps_its_shape() -> None:
    mel = MEAN[:, None] + torch.randn(4, 80, 50)
    one, again, other = (
        train_speaker.disturb(mel, MEAN, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )  # fmt: skip
    assert torch.equal(one, again)
    assert one.shape == mel.shape
    assert bool(one.isfinite().all())
    assert not torch.allclose(one, other, atol=0.1)
    assert not torch.allclose(one, mel, atol=0.1)


def test_a_room_only_adds_behind() -> None:
    click = torch.zeros(1, 80, 60)
    click[:, :, 20] = 1.0
    found = train_speaker.tail(click)
    assert bool((found[:, :, :21] == 0).all())
    assert bool((found[:, :, 21:46] > 0).all())
    assert bool((found[0, 0, 21:45].diff() < 0).all())


def test_a_faster_voice_is_higher_and_shorter() -> None:
    rate, hertz = 22_050, 200.0
    tone = np.sin(2 * np.pi * hertz * np.arange(rate) / rate).astype(np.float32)
    found = train_speaker.warped(tone, 1.25)
    assert len(found) == pytest.approx(rate / 1.25, abs=2)
    assert np.abs(np.fft.rfft(found)).argmax() * rate / len(found) == pytest.approx(hertz * 1.25, abs=2)


def test_limits_by_hand() -> None:
    plain, poor = [0.001 * k for k in range(1, 101)], [0.01 * k for k in range(1, 101)]
    found = train_speaker.limits(plain, poor, [0.1, 0.3, 0.6, 1.0])
    assert found["known"] == pytest.approx(2 * 0.095)  # five of a hundred lie beyond, and as much again for doubt
    assert found["unlike"] == pytest.approx(0.95)
    assert found["taken"] == 0.25
    assert train_speaker.limits([0.2], [0.1], [0.8])["unlike"] == pytest.approx(0.4)  # never below what is known


class Told(torch.nn.Module):
    """An encoder whose embeddings are angles: those that the mels hold in every value."""

    centroids = torch.tensor([[1.0, 0.0]])

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        angle = mel.median(1).values.median(1).values
        return torch.stack((angle.cos(), angle.sin()), 1)


def test_calibration_separates_a_known_voice_from_another() -> None:
    held = {"known": [torch.full((80, 300), 0.1)], "other": [torch.full((80, 300), 2.5)]}
    found = train_speaker.calibrate(Told(), held, ["known"], torch.zeros(80))
    assert 2 * (1 - float(torch.tensor(0.1).cos())) == pytest.approx(found["known"], abs=1e-3)
    assert (found["taken"], found["equal_error"] < 0.2) == (0, True)
    swapped = train_speaker.calibrate(Told(), held, ["other"], torch.zeros(80))
    assert swapped["taken"] > 0.4  # what is called known lies farther than what is not
