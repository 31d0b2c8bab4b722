"""Speech without its sound: composed sentences, borders on whole frames, files to learn from while more are made."""

import argparse
import random
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tts_lab.text.phones import syllable_phones

sys.path.append(str(Path(__file__).resolve().parents[2] / "training"))

import composed
import corpus as corpora
import endless
import features
from batches import Corpus, Endless, Part
from readout import Readout
from teacher import Inner, Move

VOICES = ("zf_xiaobei", "zf_xiaoxiao", "zm_yunjian", "zm_yunxi")


# --- sentences ---


@pytest.fixture(scope="module")
def sentences() -> list[composed.Reading]:
    composer = composed.Composer(3)
    return [composer.sentence() for _ in range(60)]


def test_every_character_has_a_reading_and_every_sentence_can_be_said(sentences):
    for words, pinyin in sentences:
        assert sum(len(w) for w in words if w not in corpora.MARKS) == len(pinyin)
        assert 2 <= len(pinyin) <= 32
        assert all(syllable_phones(p) for p in pinyin)
        corpora.tokens_of(words, pinyin)


def test_a_seed_draws_the_same_sentences_and_another_others(sentences):
    again, other = composed.Composer(3), composed.Composer(4)
    assert [again.sentence() for _ in range(10)] == sentences[:10]
    assert [other.sentence() for _ in range(10)] != sentences[:10]


def test_most_sentences_are_not_in_the_corpus(sentences):
    own = {row["text"] for row in composed.Composer(0).rows}
    new = sum("".join(words) not in own for words, _ in sentences)
    assert new > len(sentences) / 2


def test_nothing_held_out_is_composed(monkeypatch):
    composer = composed.Composer(0)
    held = "今天下午我们一起去公园散步"
    composer.held = composed.pieces(held)
    texts = iter(["他说今天下午我们一起去公园。", "他说今天下午我们不去。"])
    monkeypatch.setattr(composer.draw, "random", lambda: 0.9)
    monkeypatch.setattr(composer, "listed", lambda: next(texts))
    words, _ = composer.sentence()
    assert "".join(words) == "他说今天下午我们不去。"


def test_a_text_without_one_reading_a_character_is_not_used(monkeypatch):
    assert composed.read("你好。") == (["你好", "。"], ["ni2", "hao3"])
    assert composed.read("？！") is None
    joined = replace(composed.analyse("你好。"), syllables=composed.analyse("你。").syllables)
    monkeypatch.setattr(composed, "analyse", lambda text: joined)
    assert composed.read("你好。") is None


# --- frames ---


def test_time_is_bent_so_that_borders_lie_on_whole_frames():
    seconds = [0.1, 0.225, 0.05, 0.3]
    total = 58
    read = endless.bent(seconds, total)
    whole = np.concatenate([[0], np.cumsum(features.frames_of(seconds, total))])
    real = np.concatenate([[0], np.cumsum(seconds)]) * 22050 / 256
    assert read.shape == (total,)
    assert (np.diff(read) > 0).all()
    assert np.abs(read - (np.arange(total) + 0.5)).max() < 0.51
    for border, place in zip(whole[1:-1], real[1:-1], strict=True):  # half-way between two frames lies the border
        assert (read[border - 1] + read[border]) / 2 == pytest.approx(place, abs=0.05)


def test_phones_too_short_for_a_frame_are_survived():
    read = endless.bent([0.1, 0.002, 0.0, 0.3], 35)
    assert (np.diff(read) > 0).all()
    assert read[0] > 0
    assert read[-1] < 35


def test_pitch_is_moved_as_often_and_as_far_as_said():
    draw = random.Random(0)
    moves = [endless.move_of("zm_yunxi", draw) for _ in range(400)]
    moved = [m for m in moves if m.range != 1]
    assert 0.33 < len(moved) / len(moves) < 0.47
    assert {m.centre for m in moves} == {155.0}
    assert all(0.65 <= m.range <= 1.4 and -3.5 <= m.semitones <= 4.5 for m in moved)


# --- utterances and files ---


class Fake:
    """A teacher that gives every token two frames, with a pitch of 200 Hz throughout."""

    def __init__(self, packages, threads=1, *, sound=True):
        assert not sound

    def inner(self, tokens, voice, speed, move):
        frames = np.full(len(tokens), 4)
        count = 2 * frames.sum()
        ramp = np.linspace(0, 1, 512 * count, dtype=np.float32).reshape(512, count)
        return Inner(ramp, np.full(count, 200.0, dtype=np.float32), np.zeros(count, dtype=np.float32), frames)


@pytest.fixture
def source(monkeypatch):
    monkeypatch.setattr(endless, "Teacher", Fake)
    monkeypatch.setattr(endless.readout, "load", lambda folder: Readout().eval())
    return endless.Source(Path(), Path())


def test_an_utterance_has_the_features_of_a_recording(source, one_thread):
    row = source.utterance(
        (["你好", "，", "妈妈", "。"], ["ni2", "hao3", "ma1", "ma5"]), "zf_xiaobei", 1.0, Move(), "e"
    )
    assert row["mel"].dtype == np.float16
    assert len(row["mel"]) == sum(row["duration"])
    assert len(row["symbol"]) == len(row["tone"]) == len(row["log_f0"]) == len(row["duration"])
    heard = [f for f in row["log_f0"] if np.isfinite(f)]
    np.testing.assert_allclose(heard, np.log(200), rtol=1e-5)
    assert set(features.pack([row])) == set(features.pack([row | {"id": "other"}]))


def test_files_come_whole_and_are_learnt_from_while_more_are_made(source, tmp_path, one_thread):
    args = argparse.Namespace(packages=Path(), readout=Path(), out=tmp_path, minutes=1e6, rows=6)
    clock = iter([0.0] * 18 + [1e9] * 10)  # the time is over when the third file has two
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(endless.time, "monotonic", lambda: next(clock))
        made = endless.work((7000, args))
    files = sorted(p.name for p in tmp_path.iterdir())
    assert files == ["7000_0.npz", "7000_1.npz", "7000_2.npz"]
    like = known(tmp_path / "like")
    parts = [Part(tmp_path / name, like) for name in files]
    assert [len(p.raw["id"]) for p in parts] == [6, 6, 2]
    assert sum(len(p.raw["mel"]) for p in parts) == made
    assert len(set(np.concatenate([p.raw["id"] for p in parts]))) == sum(len(p.raw["id"]) for p in parts)


def known(folder: Path) -> Corpus:
    """A corpus of an utterance of each voice, with a scale of its own."""
    rng = np.random.default_rng(0)
    rows = [
        {"id": f"u{k}", "split": "train", "speaker": name, "first": 0, "mel": 3 + rng.normal(size=(30, 80)),
         "symbol": [1, 5, 6], "tone": [0, 1, 1], "place": [0, 0, 1], "duration": [5, 15, 10],
         "log_f0": [np.nan, 5.0 + k / 10, 5.1], "voiced": [0, 1, 1]}
        for k, name in enumerate(VOICES)
    ]  # fmt: skip
    folder.mkdir()
    np.savez(folder / "features.npz", **features.pack(rows))
    return Corpus(folder)


def test_a_part_is_coded_as_the_corpus_it_is_beside(tmp_path):
    like = known(tmp_path / "like")
    rows = [{"id": "e1", "split": "train", "speaker": "zm_yunjian", "first": 0, "mel": np.full((9, 80), 3.0),
             "symbol": [5, 6], "tone": [1, 1], "place": [0, 1], "duration": [4, 5],
             "log_f0": [float(like.median_log_f0[2]), np.nan], "voiced": [1, 0]}]  # fmt: skip
    np.savez(tmp_path / "1_0.npz", **features.pack(rows))
    part = Part(tmp_path / "1_0.npz", like)
    batch = part.batch([0])
    assert batch.speaker.tolist() == [2]  # its place among the four, though it stands alone
    assert batch.pitch[0].tolist() == [24, 0]  # the voice's median, and unvoiced
    assert batch.manner.tolist() == [[0, 0, 0, 1]]
    assert like.batch([0]).manner.abs().sum() == 0
    np.testing.assert_allclose(batch.mel[0, :, 0], (3 - like.mean) / like.std, rtol=1e-4)


def test_later_files_are_seen_and_unfinished_ones_are_not(tmp_path):
    like = known(tmp_path / "like")
    folder = tmp_path / "made"
    folder.mkdir()
    stream = Endless(folder, like, np.random.default_rng(0))
    with pytest.raises(FileNotFoundError, match="endless.py makes some"):
        stream.batch(100)
    content = (tmp_path / "like" / "features.npz").read_bytes()
    (folder / "1_0.npz").write_bytes(content)
    (folder / ".1_1.part.npz").write_bytes(b"half")
    assert stream.batch(1000).symbol.shape == (4, 3)
    (folder / "1_1.npz").write_bytes(content)
    stream.batch(1000)
    assert len(stream.parts) == 2
