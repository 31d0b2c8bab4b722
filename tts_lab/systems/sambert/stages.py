"""The four stages of Sambert-HiFiGAN.

Axes: b batch (1), n linguistic units (phones and breaks), t mel frames, m mel bands, e width of an emotion, s samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tts_lab.errors import VoiceError, WeightsError
from tts_lab.levers.residency import Residency
from tts_lab.nearest import did_you_mean
from tts_lab.nn.attention import set_attention_kernel
from tts_lab.nn.tiling import tiled
from tts_lab.recipe import Recipe
from tts_lab.systems.sambert import LACKS
from tts_lab.systems.sambert.acoustic import Units
from tts_lab.systems.sambert.adaptor import Prosody
from tts_lab.systems.sambert.emotions import asked_for, marker, vector
from tts_lab.systems.sambert.frames import Plan
from tts_lab.systems.sambert.front_end import SpokenText, analyse
from tts_lab.systems.sambert.located import FETCH
from tts_lab.systems.sambert.pieces import split_with_pauses
from tts_lab.systems.sambert.source import denormalised
from tts_lab.systems.sambert.symbols import NAMED_EMOTIONS, SPEAKERS
from tts_lab.systems.sambert.units import LingUnit, encode
from tts_lab.systems.sambert.voice_parts import VoiceParts
from tts_lab.systems.sambert.voices import ALIKE, VOICES, emotion_row, find_speaker, find_voice
from tts_lab.types import Chunk, Mel, Prompt, Request, Semantic, Wave

RANDOM_NOTE = "The weights are random: memory and time are those of the real system, the sound means nothing."
SILENT_LEVERS = tuple(name for name in LACKS if " " not in name)
# The decoder reads layers without calling them, and no stage has more than 50 MiB of weights: whole stages leave.
OFFLOAD = {"voice": "none", "layers": "stage", "disk": "stage"}
Loader = Callable[[], VoiceParts]


class SambertHiFiGAN:
    """text -> linguistic units -> pitch, energy, durations -> mel -> sound. Implements `tts_lab.types.System`.

    loaders: name of a voice -> what loads it, the default voice first; a voice is loaded when it is first asked for.
    """

    name = "sambert"
    emotions = NAMED_EMOTIONS

    def __init__(self, loaders: Mapping[str, Loader], device: str = "cpu") -> None:
        self.loaders, self.device = dict(loaders), device
        self.home = Residency(device)
        self._loaded: dict[str, VoiceParts] = {}
        self.sample_rate = self.parts(self.voices[0]).sample_rate

    # --- the voice ---

    @property
    def voices(self) -> tuple[str, ...]:
        return tuple(self.loaders)

    def about_voices(self) -> dict[str, str]:
        return {name: self._label(name) for name in self.voices}

    def _label(self, name: str) -> str:
        if name in self._loaded and self._loaded[name].random:
            return "random weights: memory and time of the real system, no voice"
        known = next((voice for voice in VOICES if voice.name == name), None)
        return f"{', '.join(known.aliases[:-2])}; released voice with emotions" if known else "a voice of your own"

    def named(self, voice: str) -> str:
        """A voice from any of its names, `知北` or `zhibei`, and with a speaker of its table, `zhibei:F74`.

        Raises VoiceError with the nearest name.
        """
        name, colon, speaker = str(voice).partition(":")
        found = self._find(name.strip())
        return f"{found}:{find_speaker(speaker, self.parts(found).speakers)}" if colon else found

    def _find(self, name: str) -> str:
        own = {voice.lower(): voice for voice in self.voices}
        if name.lower() in own:
            return own[name.lower()]
        try:
            released = find_voice(name)
        except VoiceError:
            aliases = [alias for v in VOICES if v.name in own for alias in (v.name, *v.aliases)]
            guess = did_you_mean(name, [*own, *aliases], ALIKE)
            raise VoiceError(f"No voice is called {name!r}{guess}; here are {', '.join(self.voices)}.") from None
        if released.name not in own:
            raise VoiceError(
                f"The voice {released.name} ({released.chinese}) is not among these weights, which have "
                f"{', '.join(self.voices)}; '{FETCH} --voice {released.name}' says where to get it."
            )
        return released.name

    def parts(self, voice: str) -> VoiceParts:
        """The networks of a voice. Raises WeightsError where they cannot be loaded."""
        if voice not in self._loaded:
            parts = self.loaders[voice]()
            if self._loaded and parts.sample_rate != self.sample_rate:
                raise WeightsError(
                    f"The voice {voice} speaks at {parts.sample_rate} Hz, {self.voices[0]} at {self.sample_rate} Hz: "
                    "give the folder of one of them."
                )
            self._loaded[voice] = parts
        return self._loaded[voice]

    def speaker(self, request: Request, recipe: Recipe) -> Prompt:
        """A stored voice with an emotion. Nothing is computed but a mixture of rows.

        style: (1, e), the emotion; extra: `voice`, `speaker` (a row's name), `emotion` (a name, or None where the style
        is a mixture of several).
        """
        _refuse_clips(request)
        voice, _, speaker = self.named(request.voice or self.voices[0]).partition(":")
        parts, weights = self.parts(voice), asked_for(request.emotion, request.emotion_strength)
        style = vector(parts.acoustic.emo_tokenizer.weight, weights)
        name = next(iter(weights)) if len(weights) == 1 else None
        extra: dict[str, Any] = {"voice": voice, "speaker": speaker or parts.speakers[0], "emotion": name}
        mixed = " + ".join(f"{100 * share:g}% {emotion}" for emotion, share in weights.items())
        extra["notes"] = (f"emotion: {mixed}, a mixture that the model was never taught.",) * (name is None)
        return Prompt(f"{voice}:{speaker}" if speaker else voice, style, extra)

    def notes(self, recipe: Recipe) -> tuple[str, ...]:
        """What a receipt must say of this system: random weights, and levers that it does not have."""
        default, found = Recipe(), [RANDOM_NOTE] * any(parts.random for parts in self._loaded.values())
        moved = [f"{k} {getattr(recipe, k)}" for k in SILENT_LEVERS if getattr(recipe, k) != getattr(default, k)]
        if moved:
            verb = "changes" if len(moved) == 1 else "change"
            found.append(
                f"{', '.join(moved)} {verb} nothing: sambert writes its mel in one pass, without diffusion, guidance, "
                "draws or a search, and its caches are as long as a band."
            )
        if recipe.vocoder == "small":
            found.append(f"vocoder small changes nothing: {LACKS['vocoder small']}.")
        if recipe.offload == "voice":
            found.append("offload voice changes nothing: sambert has no part that only a reference clip needs.")
        if recipe.offload in ("layers", "disk"):
            found.append(
                f"offload {recipe.offload} works as offload stage: sambert's stages are too small to come in layers."
            )
        return tuple(found)

    # --- the speech ---

    def split(self, request: Request, recipe: Recipe) -> Iterator[Chunk]:
        """Sentences, or parts of long ones, each with the silence that follows it."""
        for index, (text, pause) in enumerate(split_with_pauses(request.text, recipe.max_chars)):
            yield Chunk(text, index, request.seed + index, request.speed, pause=pause)

    def semantic(self, chunk: Chunk, prompt: Prompt, recipe: Recipe) -> Semantic:
        """Units with pitch, energy and duration.

        codes: `syllable` (1, n), -1 for breaks; `pitch`, `energy` (1, n), on the voice's own scale; what the decoder
        needs: `text`, `speaker`, `emotion` (1, n, their widths), `band` (1, 1). All in the computer's memory.
        """
        voice = prompt.extra["voice"]
        said, mixed = _read(chunk.text, prompt.extra["emotion"])
        units = said.units(prompt.extra["speaker"], self.parts(voice).speakers)
        with self._use(voice, "sambert", recipe) as model:
            prosody = model.prosody(self._units(units, prompt, mixed, model))
            plan = paced(Plan.of(prosody, model.config.outputs_per_step), chunk.speed, model.config.outputs_per_step)
        syllables = tuple(syllable for word in said.words for syllable in word.pinyin)
        return as_semantic(chunk, tuple(unit.sy for unit in units), plan, prosody, said.unknown, syllables)

    def _units(self, units: tuple[LingUnit, ...], prompt: Prompt, mixed: str | None, model: nn.Module) -> Units:
        parts = self.parts(prompt.extra["voice"])
        ids = encode(units, parts.speakers)
        given = Units.of(ids.linguistic, ids.emotion, ids.speaker, self.device)
        if mixed is not None:
            rows = torch.tensor(ids.emotion)
            vectors = parts.acoustic.emo_tokenizer.weight[rows]
            vectors[rows == emotion_row(mixed)] = prompt.style[0]
            given = replace(given, emotion=_like(vectors[None].to(self.device), model))
        if parts.embedding is not None:
            given = replace(given, speaker=_like(parts.embedding[None].expand(1, len(ids), -1).to(self.device), model))
        return given

    def acoustic(self, tokens: Semantic, prompt: Prompt, recipe: Recipe) -> Mel:
        """The decoder in blocks. The mel is on the voice's own scale, each band levelled by itself.

        extra: `voice`; for a vocoder with pitch, `pitch` (1, 2, t): F0 in Hz, and whether the frame is voiced.
        """
        voice, codes = prompt.extra["voice"], tokens.codes
        parts = self.parts(voice)
        config = parts.acoustic.config
        extra: dict[str, Any] = {"voice": voice}
        with self._use(voice, "sambert", recipe) as model:
            text, row, emotion = (_like(codes[k].to(self.device), model) for k in ("text", "speaker", "emotion"))
            values = self._write(model, Plan(text, row, emotion, (tokens.durations,), (int(codes["band"]),)))
        if config.NSF:
            extra["pitch"] = denormalised(values, config, parts.statistics)[:, -2:]
        hop = parts.vocoder.config.hop_length
        values = values[:, : config.sound_bands].float()
        return Mel(values, self.sample_rate, hop, 1, tokens, decibels=None, extra=extra)

    def _write(self, model: Any, plan: Plan) -> Tensor:
        mel: Tensor = model.mel(plan)
        return mel

    def vocoder(self, mel: Mel, recipe: Recipe) -> Wave:
        """The sound, and the silence after it."""
        chunk = mel.semantic.chunk
        with self._use(mel.extra["voice"], "hifigan", recipe) as vocoder:
            values = mel.values.to(self.device)
            if "pitch" in mel.extra:
                values = vocoder.excited(torch.cat((values, mel.extra["pitch"].to(self.device)), 1), chunk.seed)
            values = _like(values, vocoder)
            samples = tiled(vocoder, values, recipe.tile) if recipe.tile else vocoder(values)
        silence = round(chunk.pause * self.sample_rate)
        return Wave(F.pad(samples.float(), (0, silence)), self.sample_rate, mel)

    @contextmanager
    def _use(self, voice: str, part: str, recipe: Recipe) -> Iterator[Any]:
        """A network, where and as the recipe wants it."""
        module, offload = self.parts(voice).modules()[part], OFFLOAD.get(recipe.offload, recipe.offload)
        with self.home.use(module, recipe.precision, offload, recipe.quantisation) as network:
            set_attention_kernel(network, recipe.attention)
            yield network


def _like(x: Tensor, module: nn.Module) -> Tensor:
    """In the number format of the module's weights."""
    return x.to(next(module.parameters()).dtype)


def _read(text: str, emotion: str | None) -> tuple[SpokenText, str | None]:
    """A piece, analysed. emotion: a name; None: a mixture, for which another name stands that the text does not use."""
    if emotion is not None:
        return analyse(text, emotion), None
    stands = marker(text)
    return analyse(text, stands), stands


def as_semantic(chunk: Chunk, units: tuple[str, ...], plan: Plan, prosody: Prosody, unknown: tuple[str, ...] = (),
                syllables: tuple[str, ...] = ()) -> Semantic:  # fmt: skip
    """What the stage `semantic` hands on, in the computer's memory; see there."""
    kept = {"text": plan.text, "speaker": plan.speaker, "emotion": plan.emotion,
            "pitch": prosody.pitch, "energy": prosody.energy}  # fmt: skip
    codes = {name: x.cpu() for name, x in kept.items()}
    codes["band"] = torch.tensor([[plan.bands[0]]])
    codes["syllable"] = torch.tensor([syllable_numbers(units)])
    return Semantic(chunk, units, plan.durations[0], plan.frames[0], codes, unknown, syllables)


def syllable_numbers(units: tuple[str, ...]) -> list[int]:
    """For each unit the number of its syllable, -1 for a break. Every syllable has two phones."""
    spoken = [not unit.startswith("#") for unit in units]
    return [(count - 1) // 2 if said else -1 for said, count in zip(spoken, accumulate(spoken), strict=True)]


def paced(plan: Plan, speed: float, r: int) -> Plan:
    """A plan at another speaking rate: the whole is right to a frame. r: frames of a decoder step."""
    if speed == 1:
        return plan
    ends = [max(round(end / speed), i == len(plan.durations[0]) - 1)
            for i, end in enumerate(accumulate(plan.durations[0]))]  # fmt: skip
    row = tuple(b - a for a, b in pairwise([0, *ends]))
    return replace(plan, durations=(row,), bands=(int(max(row) / r + 0.5),))


def _refuse_clips(request: Request) -> None:
    """Raises VoiceError for what the released voices cannot do."""
    if request.reference is not None:
        raise VoiceError(
            "Sambert's voices have no input for a reference clip: a voice is a row that was taught. Leave --reference "
            f"out and choose one with --voice, or imitate a clip with --system indextts2. Speakers: {SPEAKERS[0]}, ... "
            "as in --voice zhibei:F7."
        )
    given = (request.emotion_reference, request.emotion_weights, request.emotion_text)
    if given != (None, None, None):
        raise VoiceError(
            "Sambert takes an emotion by its name, or a mixture of two such as '30% happy + 70% neutral'; not from a "
            "clip, weights or a text."
        )
