"""The page in a browser without a screen; as a script, the picture of the README: `python tests/web/picture.py`."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
TEXT = "今天天气真好，我们一起去公园吧！"
PICTURE = Path(__file__).resolve().parents[2] / "docs" / "web.png"
PATIENCE = 60_000  # ms


def find_browser() -> str | None:
    """Path of a Chromium; None where there is none."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


@contextmanager
def browser() -> Iterator[Any]:
    """A browser of playwright."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        found = play.chromium.launch(executable_path=find_browser(), args=list(QUIET))
        yield found
        found.close()


def speak(page: Any, url: str, text: str = TEXT) -> None:
    """Open the page, type, press Speak, wait for the sound and for the picture of the memory."""
    page.goto(url)
    page.get_by_label("Text 文本").fill(text)
    page.get_by_role("button", name="Speak 合成").click()
    bar = page.locator("#bar img")
    bar.wait_for(state="attached", timeout=PATIENCE)
    bar.scroll_into_view_if_needed()  # pictures below the edge are fetched when they come into view
    bar.wait_for(timeout=PATIENCE)
    page.wait_for_function("document.querySelector('#bar img').naturalWidth > 0", timeout=PATIENCE)


def draw(path: Path) -> None:
    """The page with the bundled voice, in few colours, so that the file stays small."""
    from PIL import Image

    from tts_lab.web.limits import Limits
    from tts_lab.web.serve import Address, Server
    from tts_lab.web.shelf import Shelf

    with Server(Shelf("cpu"), Limits(), Address(port=0)) as server, browser() as chromium:
        page = chromium.new_page(viewport={"width": 1240, "height": 900})
        speak(page, server.url, "你好。")  # the first speech of a process is slower than any other
        speak(page, server.url)
        page.wait_for_timeout(1500)  # the player draws its wave
        shot = page.screenshot(full_page=True)
    Image.open(io.BytesIO(shot)).convert("RGB").quantize(96, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE)
