from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

pytest.importorskip("gradio", reason="the extra `web` is not installed")

from tts_lab import systems
from tts_lab.web.limits import Limits
from tts_lab.web.serve import Address, Server
from tts_lab.web.shelf import Shelf

TEXT = "今天天气真好，我们一起去公园吧！"


@pytest.fixture(scope="module")
def registered() -> Iterator[None]:
    """The fake systems, for the length of a file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(systems.SYSTEMS, "fake", "fake_system")
        patch.setitem(systems.SYSTEMS, "slow", "slow_system")
        yield


@pytest.fixture(scope="module")
def server(registered) -> Iterator[Server]:
    """A page with the fake system, shared by the tests of a file."""
    with Server(Shelf("cpu"), Limits(characters=200, upload_mb=0.5, clip_seconds=5), Address(port=0), "fake") as found:
        yield found


@pytest.fixture
def serve(registered) -> Iterator[Callable[..., Server]]:
    """Serves further pages, until the test ends."""
    with ExitStack() as stack:

        def start(limits: Limits | None = None, login: tuple[str, str] | None = None, **shelf: Any) -> Server:
            address = Address(port=0, login=login)
            return stack.enter_context(Server(Shelf("cpu", **shelf), limits or Limits(), address, "fake"))

        yield start


@pytest.fixture
def slow(monkeypatch):
    """The slow systems that are loaded in this test; let go at its end, whatever happens."""
    import slow_system

    monkeypatch.setattr(slow_system, "LOADED", [])
    yield slow_system.LOADED
    for each in slow_system.LOADED:
        each.enough.set()


def soon(what: Callable[[], Any], seconds: float = 120) -> Any:
    """What `what` gives once it is true; fails where that takes too long."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.02)
    return found


@pytest.fixture(name="soon")
def _soon() -> Callable[..., Any]:
    return soon
