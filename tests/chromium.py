"""Where a Chromium is, and how it starts without a window and without asking its maker for anything."""

from __future__ import annotations

import shutil

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required",
)  # fmt: skip


def find_browser() -> str | None:
    """Path of a Chromium on the PATH; None where there is none."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)
