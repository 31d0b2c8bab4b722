from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))  # for fake_system, which other processes import too
settings.register_profile("lab", deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy
settings.load_profile("lab")
os.environ["TTS_LAB_TRACES"] = "off"  # a test asks the code that is here, not what an earlier run has kept


def pytest_collection_finish(session):
    if "tts_lab.memory.tracer" in sys.modules:
        import torch._dynamo  # noqa: F401  # which every trace needs

        gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def _thawed():
    """Python's collector looks at nothing that was there when a file began, if tracing was imported by then.

    A trace collects garbage when it begins and at every border of a stage, and half of its time went into looking
    through the objects of torch, pytest and all tests. What traces froze can go when a file has ended.
    """
    before = gc.get_freeze_count()
    yield
    if before and gc.get_freeze_count() > before:
        gc.unfreeze()
        gc.collect()
        gc.freeze()


@pytest.fixture
def system():
    from fake_system import ToneSystem

    return ToneSystem()


@pytest.fixture
def fake(monkeypatch):
    """The name of a system that is registered for the length of a test."""
    from tts_lab import systems

    monkeypatch.setitem(systems.SYSTEMS, "fake", "fake_system")
    return "fake"


@pytest.fixture(scope="session")
def browser():
    """A Chromium, one for all tests, for playwright runs once in a process; skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api")
    from chromium import FLAGS, find_browser

    path = find_browser()
    if path is None:
        pytest.skip("no Chromium is installed (Debian and Ubuntu: apt install chromium)")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=path, args=list(FLAGS))
        yield chromium
        chromium.close()
