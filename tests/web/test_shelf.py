"""One copy of each system, and what can be said of those that cannot speak here."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tts_lab.errors import LabError, WeightsError
from tts_lab.web import shelf as module
from tts_lab.web.shelf import Shelf


def test_loaded_once_however_many_ask(registered, slow):
    shelf, together = Shelf("cpu"), threading.Barrier(8)

    def ask(_):
        together.wait()
        return shelf.get("slow")

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(ask, range(8)))
    assert found == set(slow)
    assert len(slow) == 1


def test_what_another_system_had_on_the_card_leaves_it(registered, monkeypatch):
    shelf, left = Shelf("cpu"), []
    monkeypatch.setattr(module, "leave_card", lambda system: left.append(system.name))
    shelf.use("fake")
    assert left == []
    shelf.use("slow")
    assert left == ["fake"]
    shelf.get("fake")  # a look at its voices moves nothing
    assert left == ["fake"]


def test_copies_leave_the_card():
    class Home:
        def __init__(self, resident):
            self.held = resident

        def resident(self):
            return self.held

        def clear(self):
            self.held = ()

    class System:
        home = Home(("acoustic",))

    module.leave_card(System())
    assert System.home.held == ()


def test_why_not(registered, tmp_path, monkeypatch):
    monkeypatch.setenv("TTS_LAB_WEIGHTS", str(tmp_path))
    shelf = Shelf("cpu", {"sambert": "random"})
    assert shelf.why_not("mini") is None
    assert "tts-lab fetch indextts2" in shelf.why_not("indextts2")
    assert shelf.why_not("sambert") is None
    assert shelf.label("mini") == "mini"
    assert "no weights here" in shelf.label("indextts2")
    assert "the sound means nothing" in shelf.label("sambert")
    with pytest.raises(WeightsError):
        shelf.get("indextts2")


def test_unknown():
    with pytest.raises(LabError, match="did you mean 'mini'"):
        Shelf("cpu").get("mimi")
    with pytest.raises(LabError, match="no system 'nobody'"):
        Shelf("cpu", {"nobody": "random"})
    with pytest.raises(LabError, match="no device 'gpu'"):
        Shelf("gpu")
