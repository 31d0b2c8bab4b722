"""Going on with all parts of the acoustic stage together."""

import argparse
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tts_lab.paths import voices_dir

sys.path.append(str(Path(__file__).resolve().parents[2] / "training"))

train_joint = pytest.importorskip("train_joint")
batches = pytest.importorskip("batches")
features = pytest.importorskip("features")

VOICES = ("zf_xiaobei", "zf_xiaoxiao", "zm_yunjian", "zm_yunxi")


@pytest.fixture
def corpus(tmp_path: Path):
    rng = np.random.default_rng(0)
    rows = []
    for k, name in enumerate(VOICES):
        durations = rng.integers(2, 9, 12)
        mel = 3 + rng.normal(size=(durations.sum(), 80))
        codes = {"symbol": rng.integers(1, 40, 12), "tone": rng.integers(0, 6, 12), "place": rng.integers(0, 4, 12)}
        pitch = {"log_f0": rng.normal(5, 0.2, 12), "voiced": rng.integers(0, 2, 12)}
        about = {"id": f"u{k}", "split": "train", "speaker": name, "first": 0}
        about |= {"mel": mel, "duration": durations}
        rows.append(about | codes | pitch)
    np.savez(tmp_path / "features.npz", **features.pack(rows))
    return batches.Corpus(tmp_path)


def test_the_corpus_is_scaled_as_the_weights_know_it(corpus):
    before = corpus.mean.clone()
    joint = train_joint.bundled(corpus, voices_dir())
    torch.testing.assert_close(corpus.mean, joint.acoustic.mean)
    torch.testing.assert_close(corpus.std, joint.acoustic.std)
    assert (corpus.mean - before).abs().max() > 1  # this one's own scale is another
    raw = torch.from_numpy(corpus.raw["mel"][corpus.frame_slices("train")[0]].astype(np.float32)).T
    torch.testing.assert_close(corpus.mel(0) * joint.acoustic.std[:, None] + joint.acoustic.mean[:, None], raw)


def test_a_style_is_the_voice_of_the_corpus_row(corpus):
    joint = train_joint.bundled(corpus, voices_dir())
    model, config, _ = train_joint.load_model(voices_dir())
    for row, name in enumerate(corpus.voices):
        bundled = model.acoustic_styles[config.voices.index(name.split("_")[1])]
        torch.testing.assert_close(joint.styles.weight[row].detach(), bundled)


def test_jitter_moves_voiced_codes_a_little_and_leaves_the_others(corpus):
    batch = corpus.batch([0, 1, 2, 3])
    moved = train_joint.jittered(batch, 0.5, torch.Generator().manual_seed(0))
    assert torch.equal(moved.pitch == 0, batch.pitch == 0)
    assert 0 < (moved.pitch != batch.pitch).float().mean() < 0.6
    assert (moved.pitch - batch.pitch).abs().max() <= 3
    assert torch.equal(train_joint.jittered(batch, 0.0, torch.Generator()).pitch, batch.pitch)


def test_a_step_of_training_lowers_its_loss(corpus, one_thread):
    torch.manual_seed(0)
    joint = train_joint.bundled(corpus, voices_dir()).requires_grad_(True)
    batch = corpus.batch([0, 1, 2, 3])
    optimizer = torch.optim.AdamW(joint.parameters(), lr=3e-4)
    losses = []
    for _ in range(6):
        flow, average = train_joint.losses_of(joint, batch, torch.Generator().manual_seed(0))
        optimizer.zero_grad()
        (flow + 0.5 * average).backward()
        optimizer.step()
        losses.append(float((flow + 0.5 * average).detach()))
    assert losses[-1] < 0.9 * losses[0]
    assert joint.styles.weight.grad.abs().sum() > 0  # voices learn too


def lessons(joint, corpus, tmp_path, **options):
    """What is taught with the options given, beside a folder of speech without sound: the corpus's own utterances."""
    folder = tmp_path / "endless"
    folder.mkdir()
    np.savez(folder / "1_0.npz", **corpus.raw)
    given = {
        "endless": folder,
        "sounding": None,
        "recorded": 0.0,
        "frames": 400,
        "jitter": 0.0,
        "device": "cpu",
        "only": None,
        "eager": False,
        "bfloat16": False,
        "weight": 0.5,
    }
    return train_joint.Lessons(joint, corpus, argparse.Namespace(**given | options), seed=0)


def learnt(joint) -> set[str]:
    """Parts that a gradient reached."""
    named = [(name, p) for name, p in joint.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0]
    return {".".join(name.split(".")[:2]) if name.startswith("acoustic") else name.split(".")[0] for name, _ in named}


@pytest.mark.parametrize(
    ("only", "parts"),
    [
        ("average", {"acoustic.encoder", "styles"}),
        ("diffusion", {"acoustic.dit", "soundless"}),
        (None, {"acoustic.encoder", "acoustic.dit", "styles", "soundless"}),
    ],
)
def test_only_the_part_that_is_asked_for_learns(corpus, tmp_path, one_thread, only, parts):
    joint = train_joint.bundled(corpus, voices_dir()).requires_grad_(True)
    if only:
        joint.only(only)
    loss, told = lessons(joint, corpus, tmp_path, only=only).next()
    loss.backward()
    assert learnt(joint) == parts
    assert np.isfinite(float(told))


def test_recordings_are_not_called_soundless(corpus, tmp_path, one_thread):
    joint = train_joint.bundled(corpus, voices_dir()).requires_grad_(True)
    loss, _ = lessons(joint, corpus, tmp_path, recorded=1.0).next()
    loss.backward()
    assert learnt(joint) == {"acoustic.encoder", "acoustic.dit", "styles"}


def test_sounding_speech_takes_the_place_of_all_other(corpus, tmp_path, one_thread):
    folder = tmp_path / "sounding"
    folder.mkdir()
    np.savez(folder / "0_0.npz", **corpus.raw)
    joint = train_joint.bundled(corpus, voices_dir()).requires_grad_(True)
    given = lessons(joint, corpus, tmp_path, sounding=folder)
    given.next()[0].backward()
    assert learnt(joint) == {"acoustic.encoder", "acoustic.dit", "styles"}
    joint.zero_grad()
    given.next(average_only=True)[0].backward()
    assert learnt(joint) == {"acoustic.encoder", "styles"}


def test_what_tells_of_no_sound_does_not_reach_the_average_mel(corpus, tmp_path, one_thread):
    joint = train_joint.bundled(corpus, voices_dir()).eval()
    batch = corpus.batch([0, 1])
    batch.manner[:, train_joint.MANNERS] = 1
    plain = joint.content(batch)
    joint.soundless.data.fill_(1.0)
    told = joint.content(batch)
    torch.testing.assert_close(told.average, plain.average)
    torch.testing.assert_close(told.style, plain.style + 1)


def test_the_whole_script_teaches_the_average_and_scales_what_it_leaves(corpus, tmp_path, monkeypatch, one_thread):
    np.savez(tmp_path / "features.npz", **corpus.raw | {"split": np.array(["train", "train", "train", "dev"])})
    options = ["--features", str(tmp_path), "--begin", str(voices_dir()), "--out", str(tmp_path / "run")]
    monkeypatch.setattr(sys, "argv", ["train_joint.py", *options, "--only", "average", "--minutes", "0.02"])
    train_joint.main()
    state = torch.load(tmp_path / "run" / "state.pt", weights_only=True)["average"]
    before = train_joint.load_model(voices_dir())[0].acoustic
    for name, tensor in before.dit.state_dict().items():
        torch.testing.assert_close(state[f"acoustic.dit.{name}"], tensor)
    assert (state["acoustic.spread"] > 1.5 * before.spread).all()  # of noise, an average leaves more
