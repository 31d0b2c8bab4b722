"""tts_lab: a laboratory for Mandarin speech synthesis on small machines.

    from tts_lab import load_system, say
    speech = say(load_system("mini"), "今天天气真好，我们一起去公园吧！")

Names are imported when they are first used, so that `import tts_lab` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tts_lab.errors import LabError
    from tts_lab.experiments.own_model import plan_module
    from tts_lab.experiments.sweep import Sweep
    from tts_lab.experiments.vram import vram
    from tts_lab.levers.lend import lend
    from tts_lab.memory.cards import find_card
    from tts_lab.memory.largest import largest
    from tts_lab.memory.meter import Meter, NullMeter, TimeMeter
    from tts_lab.memory.replay import replay
    from tts_lab.memory.report import MemoryReport
    from tts_lab.memory.schedule import schedule
    from tts_lab.memory.tracer import trace
    from tts_lab.pipeline import say, speak, speak_to_file
    from tts_lab.receipt import Receipt
    from tts_lab.recipe import Recipe
    from tts_lab.systems import load_system
    from tts_lab.types import Chunk, Mel, Prompt, Request, Semantic, Speech, Wave

__version__ = "0.1.0"

_HOME = {
    "tts_lab.errors": ("LabError",),
    "tts_lab.experiments.own_model": ("plan_module",),
    "tts_lab.experiments.sweep": ("Sweep",),
    "tts_lab.experiments.vram": ("vram",),
    "tts_lab.levers.lend": ("lend",),
    "tts_lab.memory.cards": ("find_card",),
    "tts_lab.memory.largest": ("largest",),
    "tts_lab.memory.meter": ("Meter", "NullMeter", "TimeMeter"),
    "tts_lab.memory.replay": ("replay",),
    "tts_lab.memory.report": ("MemoryReport",),
    "tts_lab.memory.schedule": ("schedule",),
    "tts_lab.memory.tracer": ("trace",),
    "tts_lab.pipeline": ("say", "speak", "speak_to_file"),
    "tts_lab.receipt": ("Receipt",),
    "tts_lab.recipe": ("Recipe",),
    "tts_lab.systems": ("load_system",),
    "tts_lab.types": ("Chunk", "Mel", "Prompt", "Request", "Semantic", "Speech", "Wave"),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "Chunk",
    "LabError",
    "Mel",
    "MemoryReport",
    "Meter",
    "NullMeter",
    "Prompt",
    "Receipt",
    "Recipe",
    "Request",
    "Semantic",
    "Speech",
    "Sweep",
    "TimeMeter",
    "Wave",
    "find_card",
    "largest",
    "lend",
    "load_system",
    "plan_module",
    "replay",
    "say",
    "schedule",
    "speak",
    "speak_to_file",
    "trace",
    "vram",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'tts_lab' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext tts_lab` adds the cell magic `%%vram`."""
    from tts_lab.show.magics import VramMagics

    shell.register_magics(VramMagics)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
