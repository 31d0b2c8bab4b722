from __future__ import annotations

import subprocess
import sys
import time

import pytest

from tts_lab.memory.meter import NullMeter, TimeMeter, peak_process_bytes


def test_time_meter_adds_up_passes_of_a_stage_and_keeps_their_order(monkeypatch):
    now = iter((0, 1, 10, 14, 20, 22))
    monkeypatch.setattr("tts_lab.memory.meter.time.perf_counter", lambda: next(now))
    meter = TimeMeter()
    for name in ("b", "a", "b"):
        with meter.stage(name):
            pass
    assert list(meter.stages.items()) == [("b", 3), ("a", 4)]


def test_time_meter_counts_a_stage_that_raised():
    meter = TimeMeter()
    with pytest.raises(ZeroDivisionError), meter.stage("a"):
        time.sleep(0.01)
        raise ZeroDivisionError
    assert meter.stages["a"] >= 0.01


def test_stages_cannot_be_changed_from_outside():
    with pytest.raises(TypeError):
        TimeMeter().stages["a"] = 1.0


def test_null_meter_watches_nothing():
    meter = NullMeter()
    with meter.stage("a"):
        pass
    assert dict(meter.stages) == {}


def test_peak_is_this_process_own_and_grows_with_what_it_holds():
    code = (
        "from tts_lab.memory.meter import peak_process_bytes as p\n"
        "a = p(); b = bytearray(b'x') * (100 * 2**20); c = p(); print(a, c)"
    )
    ballast = bytearray(b"x") * (200 * 2**20)  # what launches a process must not be counted in it
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    before, after = map(int, out.split())
    assert len(ballast) < peak_process_bytes()
    assert 2**20 < before < 150 * 2**20
    assert after - before > 95 * 2**20
