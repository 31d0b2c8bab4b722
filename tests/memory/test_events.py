"""The event log: plain data that is saved small, read back equal, and refused in one sentence when damaged."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tts_lab.errors import LabError, OutputError
from tts_lab.memory.events import Event, EventLog, Marker, Repeat, Work


def churn(count: int, seed: int = 0) -> list[Event]:
    """Allocations and frees of a network-like run: few names, many repeats."""
    draw, alive, events = random.Random(seed), [], []
    for i in range(count):
        if alive and draw.random() < 0.48:
            old = alive.pop(draw.randrange(max(0, len(alive) - 4), len(alive)))
            events.append(Event(old.storage, -old.bytes, old.operator, old.module, "acoustic", old.category))
        else:
            layer = i // 20 % 24
            new = Event(7 + 2 * i, 512 * draw.randint(1, 40), f"aten.op{i % 9}.default", f"layers.{layer}", "acoustic",
                        ("activation", "cache")[i % 9 == 0], i % 2)  # fmt: skip
            alive.append(new)
            events.append(new)
    return events


def test_a_log_is_what_it_was_made_of() -> None:
    events = churn(500)
    log = EventLog(events)
    assert len(log) == 500
    assert list(log) == events
    assert log == EventLog(list(log))
    assert log != EventLog(events[:-1])
    changed = [*events[:-1], Event(**{**vars(events[-1]), "module": "elsewhere"})]
    assert log != EventLog(changed)


def test_sums_by_hand() -> None:
    log = EventLog([
        Event(0, 100, "", "w", "", "weight"), Event(1, 30, "aten.mm.default", "m", "a", "activation"),
        Event(2, 50, "aten.mm.default", "m", "a", "activation"),
        Event(1, -30, "aten.mm.default", "m", "a", "activation"),
        Event(3, 40, "aten.mm.default", "m", "b", "cache"),
    ])  # fmt: skip
    assert log.live_bytes().tolist() == [100, 130, 180, 150, 190]
    assert log.peak_bytes() == 190
    assert [log.bytes_of(c) for c in ("weight", "activation", "cache", "workspace")] == [100, 80, 40, 0]
    c = log.columns()
    assert [c.tables["stage"][i] for i in c.stage] == ["", "a", "a", "a", "b"]


def test_an_empty_log_is_a_log(tmp_path: Path) -> None:
    log = EventLog.load(EventLog([]).save(tmp_path / "e.npz"))
    assert len(log) == 0
    assert log.peak_bytes() == 0
    assert list(log) == []


def test_saved_and_loaded_is_equal_to_the_last_detail(tmp_path: Path) -> None:
    log = EventLog(
        churn(2000), {"system": "mini", "lengths": {"frames": 860}}, [Marker(0, "a", True), Marker(9, "a", False)],
        [Repeat(3, 8, 25)], [Work("a", "aten.mm.default", "float16", 10**12, 12345, 25)],
    )  # fmt: skip
    back = EventLog.load(log.save(tmp_path / "log.npz"))
    assert list(back) == list(log)
    assert (back.meta, back.markers, back.repeats, back.work) == (log.meta, log.markers, log.repeats, log.work)
    assert [p.name for p in tmp_path.iterdir()] == ["log.npz"]


def test_half_a_million_events_stay_below_five_megabytes(tmp_path: Path) -> None:
    log = EventLog(churn(50_000))
    assert log.save(tmp_path / "log.npz").stat().st_size < 500_000  # ten times this many: 5 MB


@pytest.mark.parametrize("keep", [0, 10, 200, -2000, -1])
def test_a_truncated_log_is_refused_in_one_sentence(tmp_path: Path, keep: int) -> None:
    path = EventLog(churn(3000)).save(tmp_path / "log.npz")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(LabError, match=r"log\.npz is damaged, cut short or of another version: make it anew"):
        EventLog.load(path)


def test_no_flipped_byte_goes_unnoticed_or_unexplained(tmp_path: Path) -> None:
    log = EventLog(churn(300), {"system": "mini"})
    path = log.save(tmp_path / "log.npz")
    whole, refused = path.read_bytes(), 0
    for at in range(0, len(whole), 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :])
        try:
            again = EventLog.load(path)
        except LabError:
            refused += 1
        else:  # a byte of the container that carries nothing, such as a date
            assert list(again) == list(log)
            assert again.meta == log.meta
    assert refused > 0.7 * len(whole) / 7


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not a log at all", b"\x93NUMPY\x01\x00"])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    with pytest.raises(LabError, match="is damaged"):
        EventLog.load(path)


def test_a_missing_file_and_an_impossible_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"nowhere\.npz cannot be read \(No such file or directory\)"):
        EventLog.load(tmp_path / "nowhere.npz")
    with pytest.raises(OutputError, match="cannot be written"):
        EventLog([]).save(tmp_path / "no" / "folder" / "log.npz")
