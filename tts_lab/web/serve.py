"""Serving the page: on this machine alone unless told otherwise, without asking any other host for anything."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import socket
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

# Before gradio is imported, which reads them then.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

import gradio as gr

from tts_lab.errors import LabError
from tts_lab.web.events import Events
from tts_lab.web.limits import Limits
from tts_lab.web.page import page
from tts_lab.web.shelf import Shelf

LOOPBACK = ("127.0.0.1", "localhost", "::1")
TEMPORARY = "GRADIO_TEMP_DIR"
LATIN = "Source Sans Pro"  # comes with gradio, and from this server
CHINESE = ("PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", "Noto Sans SC", "WenQuanYi Micro Hei", "sans-serif")
FIXED = ("ui-monospace", "Consolas", "DejaVu Sans Mono", "monospace")


@dataclass(frozen=True)
class Address:
    """host: name or number to listen on. port: 0 takes one that is free. login: user and password, or none."""

    host: str = "127.0.0.1"
    port: int = 7860
    login: tuple[str, str] | None = field(default=None, repr=False)

    @property
    def private(self) -> bool:
        return self.host in LOOPBACK


class Server:
    """The page, served while this is in use as a context; afterwards no job, no thread of it and no file is left.

    Raises LabError where the port is taken, the host is not of this machine, or the system cannot be loaded.
    """

    def __init__(self, shelf: Shelf, limits: Limits, address: Address = Address(), system: str = "mini") -> None:
        self.address, self.limits = address, limits
        self._port = free_port(address)
        self.folder = Path(tempfile.mkdtemp(prefix="tts-lab-web-"))
        self.events = Events(shelf, limits, self.folder)
        self._before = os.environ.get(TEMPORARY)
        self._blocks: gr.Blocks | None = None
        self.system = system

    @property
    def url(self) -> str:
        """Where a browser on this machine finds the page."""
        host = "127.0.0.1" if self.address.host in ("0.0.0.0", "::") else self.address.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self._port}/"

    def __enter__(self) -> Self:
        os.environ[TEMPORARY] = str(self.folder / "files")  # uploads and results, of this server alone
        try:
            self._blocks = page(self.events, self.system)
            self._launch(self._blocks)
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                raise LabError(f"The page cannot be served at {self.url} ({error}); give another --port.") from None
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all jobs, stop serving, remove all files."""
        self.events.stop()
        if self._blocks is not None:
            _end(self._blocks)
            self._blocks = None
        if self._before is None:
            os.environ.pop(TEMPORARY, None)
        else:
            os.environ[TEMPORARY] = self._before
        shutil.rmtree(self.folder, ignore_errors=True)

    def _launch(self, blocks: gr.Blocks) -> None:
        blocks.queue(max_size=self.limits.waiting, default_concurrency_limit=1)
        blocks.launch(
            server_name=self.address.host, server_port=self._port, auth=self.address.login, share=False,
            prevent_thread_lock=True, quiet=True, show_error=False, ssr_mode=False, pwa=False, mcp_server=False,
            enable_monitoring=False, run_history=False, max_file_size=f"{int(self.limits.upload_mb * 10**6)}b",
            footer_links=["api", "settings"], theme=theme(), css_paths=Path(__file__).with_name("page.css"),
        )  # fmt: skip


def _end(blocks: gr.Blocks) -> None:
    """Stop serving. Open pages are waited for a second only, and not complained about."""
    log = logging.getLogger("uvicorn.error")
    level, server = log.level, getattr(blocks, "server", None)
    if server is not None:
        server.config.timeout_graceful_shutdown = 1
    log.setLevel(logging.CRITICAL)
    try:
        blocks.close(verbose=False)
    finally:
        log.setLevel(level)


def theme() -> gr.themes.Base:
    """Fonts from this server or the visitor's own machine, never from a third."""
    fonts = (gr.themes.LocalFont(LATIN), *CHINESE)
    found = gr.themes.Default(
        primary_hue="emerald", secondary_hue="blue", neutral_hue="slate", font=fonts, font_mono=FIXED
    )
    return found.set(  # what gradio draws paler stands out from its background too little to be read by all
        body_text_color_subdued="*neutral_500", block_info_text_color="*neutral_500",
        button_primary_background_fill="*primary_700", button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700", button_primary_background_fill_hover_dark="*primary_800",
    )  # fmt: skip


def free_port(address: Address) -> int:
    """The port to listen on. Raises LabError where it is taken, or the host is none of this machine."""
    kind = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(kind, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.host, address.port))
        except (OSError, OverflowError) as error:
            raise LabError(_taken(address, error)) from None
        return int(probe.getsockname()[1])


def _taken(address: Address, error: Exception) -> str:
    code, port = getattr(error, "errno", None), address.port
    if code == errno.EADDRINUSE:
        return f"Port {port} is in use, perhaps by another page; choose another with --port (0: one that is free)."
    if code == errno.EACCES:
        return f"Port {port} needs rights that this user does not have; choose one from 1024 to 65535 with --port."
    if isinstance(error, OverflowError):
        return f"There is no port {port}; choose one from 1024 to 65535 with --port (0: one that is free)."
    return f"{address.host} is no address of this machine ({error}); leave --host out to serve this machine alone."
