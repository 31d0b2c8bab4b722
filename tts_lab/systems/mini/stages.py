"""The four stages of the bundled system.

Axes: b batch (1), n phones, t mel frames, m mel bands, s samples, v voices, d style width.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tts_lab.audio.mel import MEL_22K, band_centres, log_mel
from tts_lab.audio.reference import load_reference
from tts_lab.levers.residency import Residency
from tts_lab.nn.attention import set_attention_kernel
from tts_lab.nn.hifigan import HiFiGAN
from tts_lab.nn.source_filter import SourceFilter
from tts_lab.nn.tiling import tiled
from tts_lab.noise import noise
from tts_lab.recipe import Recipe
from tts_lab.systems.mini.checkpoint import MiniModel, Voice
from tts_lab.systems.mini.codes import DURATIONS
from tts_lab.systems.mini.likeness import Likeness
from tts_lab.systems.mini.prosody import EMOTIONS, NEUTRAL, Habits, Prosody, asked, heard, imitated, voiced_in
from tts_lab.systems.mini.speaker import clip_mel
from tts_lab.text.front_end import Utterance, analyse, speakable
from tts_lab.text.phones import SYMBOLS
from tts_lab.text.split import split_text
from tts_lab.types import Chunk, Mel, Prompt, Request, Semantic, Wave

M = TypeVar("M", bound=nn.Module)
PROSODY = "Emotion as prosody, not acted"
TAUGHT_CHARS = 24  # about the longest utterance that the models were taught with
VOCODER_GAIN = 0.7  # nats: the vocoder was taught louder speech than ours and is given it (docs/LOG.md)
TEMPERATURE = 0.4  # of the semantic model's draws, where the recipe leaves it to the system (docs/LOG.md)
SEMANTIC_SALT = 0x5EED  # keeps the draws of prosody apart from the diffusion noise of the same chunk
VOCODER_SALT = 0xB2EA  # and the vocoder's noise


class Mini:
    """The bundled system: phones -> prosody codes -> mel -> samples. Implements `tts_lab.types.System`.

    small: the vocoder that was taught here; universal: HiFi-GAN V1, for the lever `vocoder`.
    """

    name = "mini"
    sample_rate = MEL_22K.sample_rate
    emotions = tuple(EMOTIONS)

    def __init__(
        self, model: MiniModel, small: SourceFilter, universal: HiFiGAN, voices: tuple[Voice, ...],
        device: str = "cpu",
    ) -> None:  # fmt: skip
        self.model, self.labels, self.device = model, {v.name: v for v in voices}, device
        self.small, self.hifigan, self.home = small, universal, Residency(device)

    @property
    def voices(self) -> tuple[str, ...]:
        return tuple(self.labels)

    def about_voices(self) -> dict[str, str]:
        return {name: f"{voice.sex}; synthetic, distilled" for name, voice in self.labels.items()}

    def notes(self, recipe: Recipe) -> tuple[str, ...]:
        """Levers that mini does not have."""
        if recipe.beams > 1:
            return (f"beams {recipe.beams} changes nothing: mini writes one code after the other, without a search.",)
        return ()

    def split(self, request: Request, recipe: Recipe) -> Iterator[Chunk]:
        """Pieces of the text that hold something to say. Raises TextError if none does.

        What cannot be spoken (a line of emoji) stays with its neighbour, whose analysis reports it.
        """
        texts = _with_something_to_say(split_text(request.text, min(recipe.max_chars, TAUGHT_CHARS)))
        index = -1
        for index, text in enumerate(texts):
            yield Chunk(text, index, request.seed + index, request.speed)
        if index < 0:
            analyse(request.text)  # raises, naming what is wrong with it

    def speaker(self, request: Request, recipe: Recipe) -> Prompt:
        """A stored voice, or what a reference clip is like: one of them, or a blend; and how it speaks.

        style: (1, d) of the acoustic model; extra: `semantic_style` (1, d), `weights` (v,), `prosody`, `notes`, and for
        a clip `clip`, how near it is to each voice (`Likeness.to_dict`). Raises VoiceError where the emotion is unknown
        or given in more than one way.
        """
        prosody = asked(request)
        plain = self._voice(request, recipe)
        if prosody == NEUTRAL:
            return plain
        prosody, notes = self._heard_in(request) if prosody is None else (prosody, (f"{PROSODY}: {prosody}.",))
        extra = {**plain.extra, "prosody": prosody, "notes": (*plain.extra["notes"], *notes)}
        style = plain.style if recipe.vocoder == "small" else plain.style + prosody.manner @ self.model.manner
        return Prompt(plain.voice, style, extra)

    def _voice(self, request: Request, recipe: Recipe) -> Prompt:
        if request.reference is not None:
            return self._imitate(request, recipe)
        weights = torch.zeros(len(self.voices))
        weights[self.voices.index(request.voice or self.voices[0])] = 1
        return self._prompt(request.voice or self.voices[0], weights, _length_note(request, recipe))

    def _imitate(self, request: Request, recipe: Recipe) -> Prompt:
        clip = load_reference(str(request.reference), self.sample_rate)
        found = self.likeness(clip.samples)
        notes = (*clip.notes, *found.notes(), *_length_note(request, recipe))
        prompt = self._prompt(found.speaks(), found.weights(), notes)
        return replace(prompt, extra={**prompt.extra, "clip": found.to_dict()})

    @torch.inference_mode()
    def likeness(self, samples: Tensor) -> Likeness:
        """How near a clip (s,) at the system's rate, of a second or more, is to each voice."""
        encoder = self.model.speaker
        known, unlike = encoder.limits.tolist()
        distances = tuple(encoder.distances(clip_mel(samples)[None])[0].tolist())
        return Likeness(self.voices, distances, known, unlike, len(samples) / self.sample_rate)

    def _prompt(self, name: str, weights: Tensor, notes: tuple[str, ...]) -> Prompt:
        style = weights[None] @ self.model.acoustic_styles
        extra = {
            "semantic_style": weights[None] @ self.model.semantic_styles, "weights": weights, "prosody": NEUTRAL,
            "notes": notes,
        }  # fmt: skip
        return Prompt(name, style, extra)

    def _heard_in(self, request: Request) -> tuple[Prosody, tuple[str, ...]]:
        """The prosody of the clip of an emotion, beside that of the voice it sounds most like; and what to know."""
        clip = load_reference(str(request.emotion_reference), self.sample_rate)
        own = Habits(*(self.likeness(clip.samples).weights() @ self.model.habits).tolist())
        prosody = imitated(heard(clip.samples), own, request.emotion_strength)
        return prosody, (*clip.notes, f"{PROSODY}, of the clip: {prosody}.")

    def semantic(self, chunk: Chunk, prompt: Prompt, recipe: Recipe) -> Semantic:
        """Duration and pitch codes, written phone by phone. codes (1, n): symbol, tone, place, pitch, syllable."""
        said = _analysed(chunk.text)
        codes = _codes(said)
        durations, pitch = self._write(codes, chunk, prompt, recipe)
        prosody: Prosody = prompt.extra["prosody"]
        frames = paced(durations[0].cpu(), chunk.speed * min(1.0, prosody.tempo))
        codes["pitch"] = pitch.cpu() if recipe.vocoder == "small" else prosody.of_codes(pitch.cpu())
        units = tuple(p.symbol for p in said.phones)
        return Semantic(chunk, units, tuple(frames.tolist()), int(frames.sum()), codes, said.unknown)

    def _write(self, codes: dict[str, Tensor], chunk: Chunk, prompt: Prompt, recipe: Recipe) -> tuple[Tensor, Tensor]:
        """Durations (frames) and pitch codes for the phones of `codes`, each (1, n), on the device."""
        generator = torch.Generator().manual_seed(chunk.seed ^ SEMANTIC_SALT)
        with self._use(self.model.semantic, recipe) as model:
            symbol, tone, place = (codes[k].to(self.device) for k in ("symbol", "tone", "place"))
            style = prompt.extra["semantic_style"].to(self.device)
            temperature = TEMPERATURE if recipe.temperature is None else recipe.temperature
            return model.write(
                symbol, tone, place, style, temperature=temperature, generator=generator, cache=recipe.cache
            )

    def acoustic(self, tokens: Semantic, prompt: Prompt, recipe: Recipe) -> Mel:
        """Average mel and flow matching on its residual. Frames are padded to whole patches and cut again.

        A quick emotion is written at the voice's own pace and pressed together: it is understood better (docs/LOG.md).
        """
        with self._use(self.model.acoustic, recipe) as model:
            frames = -(-tokens.frames // model.dit.sizes.patch) * model.dit.sizes.patch
            symbol, tone, place, pitch = (tokens.codes[k].to(self.device) for k in ("symbol", "tone", "place", "pitch"))
            durations = torch.tensor([tokens.durations], device=self.device)
            content = model.content(symbol, tone, place, durations, pitch, prompt.style.to(self.device), frames)
            start = noise((1, len(model.mean), frames), tokens.chunk.seed, self.device)
            values, calls = model.sample(
                content, start, steps=recipe.steps, solver=recipe.solver, kind=recipe.schedule,
                guidance=recipe.guidance, mode=recipe.guidance_mode,
            )  # fmt: skip
        values = values[:, :, : tokens.frames].float()
        prosody: Prosody = prompt.extra["prosody"]
        if prosody.tempo > 1:
            spoken = paced(torch.tensor(tokens.durations), prosody.tempo)
            tokens = replace(tokens, durations=tuple(spoken.tolist()), frames=int(spoken.sum()))
            values = F.interpolate(values, tokens.frames, mode="linear")
        if prosody.energy and recipe.vocoder == "small":
            values = values + prosody.of_spectrum(band_centres(MEL_22K))[:, None].to(values.device)
        elif prosody.energy:
            values = values + prosody.gain
        return Mel(values, self.sample_rate, MEL_22K.hop_length, calls, tokens, extra={"prosody": prosody})

    def vocoder(self, mel: Mel, recipe: Recipe) -> Wave:
        """Pulses and noise through filters, or HiFi-GAN. Where the former moves the voice, it keeps the mel's level,
        and the mel that is shown is the sound's own."""
        if recipe.vocoder != "small":
            return Wave(self._universal(mel, recipe), self.sample_rate, mel)
        samples = self._small(mel, recipe).float()
        if mel.extra.get("prosody", NEUTRAL).moves_the_voice:
            samples = samples * level_of(mel.values, samples)
            mel = replace(mel, values=log_mel(samples.cpu(), MEL_22K))
        return Wave(samples, self.sample_rate, mel)

    def _universal(self, mel: Mel, recipe: Recipe) -> Tensor:
        with self._use(self.hifigan, recipe) as model:
            values = (mel.values + VOCODER_GAIN).to(self.device, next(model.parameters()).dtype)
            samples = tiled(model, values, recipe.tile) if recipe.tile else model(values)
        return samples.float() / math.exp(VOCODER_GAIN)

    def _small(self, mel: Mel, recipe: Recipe) -> Tensor:
        shape = (1, MEL_22K.hop_length, mel.values.shape[2])
        hiss = noise(shape, mel.semantic.chunk.seed ^ VOCODER_SALT, self.device)
        prosody: Prosody = mel.extra.get("prosody", NEUTRAL)
        with self._use(self.small, recipe) as model:
            values = mel.values.to(self.device)
            f0 = model.read(values)
            voice = f0
            if prosody.moves_the_voice:
                voice = prosody.of_pitch(f0, voiced_in(mel.values.cpu(), band_centres(MEL_22K)))
            source = model.source(values, hiss, f0, voice, prosody.breath)
            return tiled(model, source, recipe.tile) if recipe.tile else model(source)

    @contextmanager
    def _use(self, module: M, recipe: Recipe) -> Iterator[M]:
        """A network, where and as the recipe wants it."""
        offload = "none" if recipe.offload == "voice" else recipe.offload  # nothing here serves the voice alone
        with self.home.use(module, recipe.precision, offload, recipe.quantisation) as model:
            set_attention_kernel(model, recipe.attention)
            yield model


def _with_something_to_say(pieces: Iterable[str]) -> Iterator[str]:
    waiting, ready = "", False
    for piece in pieces:
        says = speakable(piece)
        if says and ready:
            yield waiting
            waiting = ""
        waiting += piece
        ready = ready or says
    if ready:
        yield waiting


def _length_note(request: Request, recipe: Recipe) -> tuple[str, ...]:
    if min(recipe.max_chars, len(request.text)) <= TAUGHT_CHARS:
        return ()
    limit = f"mini speaks pieces of up to {TAUGHT_CHARS} characters, the length that it was taught"
    return (f"max_chars {recipe.max_chars} is not reached: {limit}.",)


def paced(durations: Tensor, speed: float) -> Tensor:
    """Durations (n,) in frames at another speaking rate: the whole is right, and each keeps a frame."""
    ends = (durations.cumsum(0) / speed).round().long()
    return torch.diff(ends, prepend=ends.new_zeros(1)).clamp(1, DURATIONS - 1)


def level_of(mel: Tensor, samples: Tensor) -> float:
    """Factor that brings samples (1, s) to the level of a natural-log mel (1, m, t)."""
    wanted, found = (float(x.cpu().exp().square().mean()) for x in (mel, log_mel(samples.cpu(), MEL_22K)))
    return math.sqrt(wanted / found)


@lru_cache(maxsize=8)
def _analysed(text: str) -> Utterance:
    return analyse(text)


def _codes(said: Utterance) -> dict[str, Tensor]:
    columns = {
        "symbol": [SYMBOLS.index(p.symbol) for p in said.phones],
        "tone": [p.tone for p in said.phones],
        "place": [p.place for p in said.phones],
        "syllable": [p.syllable for p in said.phones],
    }
    return {name: torch.tensor([values]) for name, values in columns.items()}
