"""JupyterLab in a browser without a window, as a person would use it.

Set TTS_LAB_PICTURES to a folder to keep the pictures that the tests take: docs/ has them from there.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
SIZE = {"width": 1280, "height": 900}
HARMLESS = ("favicon",)  # of the console's errors
SETTINGS = {
    "notification-extension/plugin": {"fetchNews": "false", "checkForUpdates": False},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "docmanager-extension/plugin": {"autosave": False},
}

KERNEL = "window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status"
ALL_RAN = f"""() => {{
    const cells = [...window.jupyterapp.shell.currentWidget.content.model.cells];
    const codes = cells.filter((cell) => cell.type === "code" && cell.sharedModel.source.trim());
    return {KERNEL} === "idle" && codes.every((cell) => cell.executionCount);
}}"""


@pytest.fixture(scope="session")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a JupyterLab of its own, on copies of the notebooks."""
    home = tmp_path_factory.mktemp("jupyter")
    shutil.copytree(ROOT / "notebooks", home / "work" / "notebooks", ignore=shutil.ignore_patterns(".*"))
    for plugin, settings in SETTINGS.items():
        file = home / "settings" / "@jupyterlab" / f"{plugin}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(settings))
    token, port = secrets.token_hex(16), free_port()
    environment = {
        **os.environ, "JUPYTER_CONFIG_DIR": str(home / "config"), "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"), "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "IPYTHONDIR": str(home / "ipython"), "PYTHONPATH": str(ROOT), "JUPYTER_TOKEN": token,
    }  # fmt: skip
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}", "--allow-root",
        "--ServerApp.port_retries=0", "--expose-app-in-browser", f"--ServerApp.root_dir={home / 'work'}",
    ]  # fmt: skip
    with (home / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=home / "work", env=environment, stdout=log, stderr=log)
        try:
            address = f"http://127.0.0.1:{port}"
            wait_for(f"{address}/api?token={token}", server, home / "log")
            yield f"{address}|{token}|{home / 'work'}"
        finally:
            server.terminate()
            server.wait(20)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        assert server.poll() is None, log.read_text()[-2000:]
        try:
            urllib.request.urlopen(address, timeout=2).close()
            return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"JupyterLab does not answer: {log.read_text()[-2000:]}")


class Bench:
    """One notebook open in JupyterLab."""

    def __init__(self, page: object, address: str, token: str, folder: Path) -> None:
        self.page, self.address, self.token, self.folder = page, address, token, folder
        self.errors: list[str] = []
        page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def open(self, name: str) -> None:
        self.page.goto(f"{self.address}/lab/tree/{name}?token={self.token}&reset")
        self.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
        self.page.wait_for_function(f"() => window.jupyterapp && {KERNEL} === 'idle'", timeout=60_000)

    def write(self, name: str, *cells: str) -> None:
        """A notebook of these cells."""
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        book.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
        nbformat.write(book, self.folder / name)

    def run_all(self, seconds: float = 240) -> None:
        """Run every cell and wait until the kernel has nothing more to do. Fails where a cell raised."""
        self.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells') }")
        self.page.wait_for_function(ALL_RAN, timeout=seconds * 1000)
        raised = self.page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.error']")
        assert raised.count() == 0, raised.first.inner_text()

    def slide(self, panel: object, label: str, presses: int) -> None:
        """Move the slider with this description by so many steps to the right (left: below zero), with the keyboard."""
        slider = panel.locator(".widget-slider", has=self.page.get_by_text(label, exact=True))
        handle = slider.locator(".noUi-handle").last
        handle.scroll_into_view_if_needed()
        handle.focus()
        for _ in range(abs(presses)):
            self.page.keyboard.press("ArrowRight" if presses > 0 else "ArrowLeft")

    def picture(self, name: str, locator: object = None, **more: object) -> None:
        """Take a picture, kept where TTS_LAB_PICTURES says."""
        folder = os.environ.get("TTS_LAB_PICTURES")
        if folder:
            self.page.set_viewport_size({**SIZE, "height": 1700})  # what does not fit would be cut
            self.page.wait_for_timeout(1000)
            (locator or self.page).screenshot(path=str(Path(folder) / f"{name}.png"), **more)
            self.page.set_viewport_size(SIZE)

    def complaints(self) -> list[str]:
        return [text for text in self.errors if not any(word in text for word in HARMLESS)]


@pytest.fixture(scope="session")
def workbench(browser: object, jupyter: str) -> Callable[[], AbstractContextManager[Bench]]:
    """Gives a page of JupyterLab; when it is left, the browser's console must hold no errors."""
    return partial(_opened, browser, jupyter)


@contextmanager
def _opened(browser: object, jupyter: str) -> Iterator[Bench]:
    address, token, folder = jupyter.split("|")
    context = browser.new_context(viewport=SIZE)
    try:
        bench = Bench(context.new_page(), address, token, Path(folder))
        yield bench
        assert bench.complaints() == []
    finally:
        context.close()
