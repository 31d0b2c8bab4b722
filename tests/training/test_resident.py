"""Speech that lies on the device: its batches are those that a corpus makes of the same rows."""

import random
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.append(str(Path(__file__).resolve().parents[2] / "training"))

import features
import held_out
from batches import Batch, Corpus
from moves import MEDIANS, SPEEDS, move_of
from resident import Heard, Resident
from teacher import Move

VOICES = ("zf_xiaobei", "zf_xiaoxiao", "zm_yunjian", "zm_yunxi")


def rows(count: int, seed: int, split: str = "train") -> list[dict]:
    rng = np.random.default_rng(seed)
    made = []
    for k in range(count):
        n = int(rng.integers(4, 12))
        durations = rng.integers(1, 9, n)
        log_f0 = np.where(rng.random(n) < 0.3, np.nan, rng.normal(5, 0.2, n))
        made.append(
            {"id": f"{split}{seed}_{k}", "split": split, "speaker": VOICES[k % 4], "first": 0, "duration": durations,
             "mel": 3 + rng.normal(size=(durations.sum(), 80)), "symbol": rng.integers(1, 40, n),
             "tone": rng.integers(0, 6, n), "place": rng.integers(0, 4, n), "log_f0": log_f0,
             "voiced": rng.random(n)}
        )  # fmt: skip
    return made


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    packed = features.pack([*rows(8, 0), *rows(4, 1, "dev")])
    gains = {"gain_names": np.array(VOICES), "gains": np.array([1.0, 0.9, 0.8, 0.7])}
    np.savez(tmp_path / "features.npz", **packed, **gains)
    return Corpus(tmp_path)


def write(folder: Path, name: str, made: list[dict], moved: float = 0.0) -> None:
    folder.mkdir(exist_ok=True)
    own = {"energy": 6.0 * moved, "breath": 0.5 * moved, "made": moved, "moved": moved}
    more = {k: np.full(len(made), v, dtype=np.float32) for k, v in own.items()}
    np.savez(folder / name, **features.pack(made), **more)


def resident(folder: Path, corpus: Corpus, **options: bool) -> Resident:
    return Resident(folder, corpus, np.random.default_rng(0), torch.device("cpu"), **options)


def taken(there: Resident, ids: list[int]) -> Batch:
    rows = np.array(ids)
    return there._taken(there._together(rows, rows))


def same(ours: Batch, theirs: Batch) -> None:
    for name, value in vars(theirs).items():
        torch.testing.assert_close(getattr(ours, name), value, msg=name)


def test_a_batch_is_what_a_corpus_makes_of_the_rows(corpus: Corpus, tmp_path: Path) -> None:
    folder = tmp_path / "sounding"
    write(folder, "0_0.npz", rows(5, 2))
    write(folder, "1_0.npz", rows(6, 3), moved=1.0)
    there = resident(folder, corpus)
    same(taken(there, [1, 3]), Heard(folder / "0_0.npz", corpus).batch([1, 3]))
    same(taken(there, [5, 10]), Heard(folder / "1_0.npz", corpus).batch([0, 5]))


def test_a_round_holds_every_row_once_within_the_budget(corpus: Corpus, tmp_path: Path) -> None:
    write(tmp_path / "sounding", "0_0.npz", rows(30, 2))
    there = resident(tmp_path / "sounding", corpus)
    lengths = np.diff(there.frames)
    plan = [one.ids.numpy() for one in there._planned(200)]
    assert sorted(np.concatenate(plan).tolist()) == list(range(30))
    assert all(lengths[ids].max() * len(ids) <= 200 for ids in plan)


def test_few_shapes_hold_every_row_and_the_same_of_each(corpus: Corpus, tmp_path: Path) -> None:
    write(tmp_path / "sounding", "0_0.npz", rows(60, 2))
    there = resident(tmp_path / "sounding", corpus, few_shapes=True)
    there.whole = 4, 16
    shapes = [(*batch.symbol.shape, *batch.mel.shape) for batch in map(there._taken, there._planned(300))]
    lengths = {shape[4] for shape in shapes}
    assert len(lengths) > 2
    assert all(length % 16 == 0 for length in lengths)
    assert len(set(shapes)) == len(lengths)
    assert all(300 - shape[4] < shape[0] * shape[4] <= 300 for shape in shapes)
    assert set(np.concatenate([one.ids for one in there._planned(300)])) == set(range(60))
    wide = vars(taken(there, [3, 7]))
    for name, value in vars(taken(resident(tmp_path / "sounding", corpus), [3, 7])).items():
        own = wide[name][..., : value.shape[-1]] if value.ndim > 1 else wide[name]
        torch.testing.assert_close(own, value, msg=name)


def test_files_that_come_later_are_seen_in_the_next_round(corpus: Corpus, tmp_path: Path) -> None:
    folder = tmp_path / "sounding"
    with pytest.raises(FileNotFoundError, match=r"sounding\.py"):
        resident(folder, corpus)
    write(folder, "0_0.npz", rows(3, 2))
    there = resident(folder, corpus)
    assert len(there.batch(10_000).speaker) == 3
    write(folder, "0_1.npz", rows(4, 3))
    assert len(there.batch(10_000).speaker) == 7


def test_prosody_is_learned_from_what_was_not_moved(corpus: Corpus, tmp_path: Path) -> None:
    folder = tmp_path / "sounding"
    write(folder, "0_0.npz", rows(3, 2), moved=1.0)
    write(folder, "1_0.npz", rows(4, 3))
    found = resident(folder, corpus, still=True).batch(10_000)
    assert len(found.speaker) == 4
    assert not found.manner.any()


def test_of_a_corpus_the_held_out_rows_and_what_all_come_to(corpus: Corpus, tmp_path: Path) -> None:
    folder = tmp_path / "few"
    folder.mkdir()
    np.savez(folder / "features.npz", **held_out.of(corpus))
    few = Corpus(folder)
    for name in ("mean", "std", "median_log_f0"):
        torch.testing.assert_close(getattr(few, name), getattr(corpus, name))
    assert few.voices == corpus.voices
    assert features.known_gains(folder)["zm_yunxi"] == 0.7
    same(few.batch([0, 2]), corpus.batch(corpus.ids("dev")[[0, 2]].tolist()))


def test_a_corpus_is_heard_among_other_speech(corpus: Corpus, tmp_path: Path) -> None:
    folder = tmp_path / "sounding"
    write(folder, "0_0.npz", rows(3, 2), moved=1.0)
    np.savez(folder / "corpus.npz", **held_out.taught(corpus))
    there, train = resident(folder, corpus), corpus.ids("train")
    assert len(there.rows) == 3 + len(train)
    same(taken(there, [4, 7]), corpus.batch(train[[1, 4]].tolist()))
    assert len(resident(folder, corpus, still=True).rows) == len(train)


def test_sentences_say_how_they_are_spoken() -> None:
    sounding = pytest.importorskip("sounding", reason="needs the extra `train`")
    found = sounding.composed(60, 3)
    assert found == sounding.composed(60, 3)
    still = [row for row in found if row["move"] == asdict(Move(MEDIANS[row["voice"]])) and not row["manner"]]
    assert 15 < len(still) < 50
    assert {row["speed"] for row in still} <= {0.9, 1.0, 1.1}
    assert 1 <= sum(row["manner"] for row in found) < 20


def test_moves_stay_near_the_voice() -> None:
    draw = random.Random(0)
    moves = [move_of("zm_yunxi", draw) for _ in range(200)]
    assert all(move.centre == MEDIANS["zm_yunxi"] for move in moves)
    assert 0.3 < sum(move != Move(move.centre) for move in moves) / 200 < 0.5
    assert 1.0 in SPEEDS
