"""A list to choose from, in which what has no effect is disabled and says why. ipywidgets' own has no such options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import anywidget
import traitlets

from tts_lab.show.sound_player import STATIC


class Choice(anywidget.AnyWidget):
    """One of several names.

    options: what may be chosen; value: what is. excluded: option -> why it changes nothing now. idle: why the whole
    list changes nothing now; empty where it does something. Raises TraitError for a value that is no option.
    """

    _esm = STATIC / "choice.js"
    _css = STATIC / "choice.css"

    options = traitlets.List(traitlets.Unicode()).tag(sync=True)
    value = traitlets.Unicode().tag(sync=True)
    description = traitlets.Unicode().tag(sync=True)
    excluded = traitlets.Dict().tag(sync=True)
    idle = traitlets.Unicode("").tag(sync=True)
    disabled = traitlets.Bool(False).tag(sync=True)

    def __init__(self, options: Sequence[str], value: str | None = None, description: str = "", **more: Any) -> None:
        chosen = options[0] if value is None and options else value or ""
        super().__init__(options=list(options), value=chosen, description=description, **more)

    def __repr__(self) -> str:
        return f"Choice({self.description}: {self.value} of {', '.join(self.options)})"

    @traitlets.validate("value")
    def _known(self, proposal: Any) -> str:
        if self.options and proposal["value"] not in self.options:
            raise traitlets.TraitError(f"{proposal['value']!r} is none of {', '.join(self.options)}")
        return proposal["value"]

    def exclude(self, reasons: Mapping[str, str]) -> None:
        """What has no effect now: reasons by option, or under this list's own name for all of it."""
        self.idle = reasons.get(self.description, "")
        named = f"{self.description} "
        self.excluded = {key.removeprefix(named): why for key, why in reasons.items() if key.startswith(named)}
