"""How to get released voices. ModelScope, where they lie, is not reached by the lab: it says what to download from
which page, where to put it, and whether what is there can be used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tts_lab.errors import WeightsError
from tts_lab.systems.sambert.checkpoint import load_voice
from tts_lab.systems.sambert.located import find_voices
from tts_lab.systems.sambert.voices import VOICES, Voice, find_voice

PAGE = "https://www.modelscope.cn/models/{model}"
FILES = "https://www.modelscope.cn/models/{model}/files"
TERMS = (
    "Terms: unverified. The pages name a licence for the model card, and who may use the voices for what was not found "
    "out: read the page of each voice before you use it. None of these files is part of the lab."
)


@dataclass(frozen=True)
class Wanted:
    """A voice that is asked for. folder: where its files are to lie."""

    voice: Voice
    folder: Path

    @property
    def steps(self) -> tuple[str, ...]:
        """What a person does to get it, in order."""
        return (
            f"Read {PAGE.format(model=self.voice.model)}",
            f"Download voices.zip, or the folder voices/, from {FILES.format(model=self.voice.model)} "
            "(resource.zip is the closed front end's, and is not needed)",
            f"Put it into {self.folder}",
        )

    def trouble(self) -> str | None:
        """Why the voice cannot be used from its folder; None where it can."""
        try:
            found = find_voices(self.folder)
            if self.voice.name not in found:
                return f"{self.folder} has {', '.join(found)}, not {self.voice.name}."
            load_voice(found[self.voice.name])
        except WeightsError as error:
            return str(error)
        return None


def wanted(folder: Path, voice: str | None = None) -> tuple[Wanted, ...]:
    """The released voices, or the one that is named. folder: that all lie in. Raises VoiceError for an unknown one."""
    chosen = VOICES if voice is None else (find_voice(voice),)
    return tuple(Wanted(each, folder / each.model.rpartition("/")[2]) for each in chosen)
