"""The four stages of IndexTTS-2.

Axes: b batch (1), n text tokens, c semantic codes (50 a second), p frames of the reference's mel, t mel frames,
d width of the GPT, s samples.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tts_lab.audio.mel import MEL_22K_FULL
from tts_lab.errors import TextError, VoiceError
from tts_lab.levers.residency import Residency
from tts_lab.nn.attention import set_attention_kernel
from tts_lab.nn.tiling import tiled
from tts_lab.noise import noise
from tts_lab.recipe import Recipe
from tts_lab.systems.indextts2 import LACKS, cfm
from tts_lab.systems.indextts2.characters import Characters
from tts_lab.systems.indextts2.config import EMOTIONS
from tts_lab.systems.indextts2.emotion import blend, by_weights, emotion_rows, tempered
from tts_lab.systems.indextts2.hearing import Heard, digest, hear
from tts_lab.systems.indextts2.length_regulator import frames_of
from tts_lab.systems.indextts2.parts import Parts
from tts_lab.systems.indextts2.sampling import Sampling
from tts_lab.systems.indextts2.voice_model import without_marks
from tts_lab.systems.indextts2.writing import MOST_CODES, write_codes
from tts_lab.types import Chunk, Mel, Prompt, Request, Semantic, Wave

TEMPERATURE = 0.8  # of the draws, where the recipe leaves it to the system: the public program's
MOST_TOKENS = 120  # of one piece of text, as released
CODES_PER_TOKEN = 40  # 0.8 s: more than any speaker takes; bounds the cache that is reserved
MADE_UP_CODES = 5  # for each token, where weights are random and never say that speech is over
CONDITIONER_TILE = 64  # positions that a conditioner subsamples at once, where the recipe tiles
MOST_EMOTION = 1.5  # sum of the eight weights that a user may give, as in the public program's page
SEMANTIC_SALT = 0x5EED
KEPT_VOICES = 8
FULL_PRECISION = ("codec", "campplus")  # near ties decide a token; stored variances may leave the range of fp16
VOICE_ONLY = ("features", "codec", "campplus", "conditioner")  # what is done when the voice is known
FEW_EVALUATIONS = 25
FEW_NOTE = (
    "{} evaluations were chosen for mini; IndexTTS-2 was released with 50 (--recipe as-released), and how it sounds "
    "with fewer has not been judged here."
)
RANDOM_NOTE = "The weights are random: memory and time are those of the real system, the sound means nothing."


class IndexTTS2:
    """reference clip -> voice; text -> semantic codes and latents -> mel -> BigVGAN. Implements `tts_lab.types.System`.

    stored: names of reference clips that come with the lab -> (file, label).
    """

    name = "indextts2"
    sample_rate = MEL_22K_FULL.sample_rate
    emotions = EMOTIONS

    def __init__(self, parts: Parts, device: str = "cpu", stored: dict[str, tuple[Any, str]] | None = None) -> None:
        self.parts, self.device, self.stored = parts, device, stored or {}
        self.home = Residency(device)
        self.tokens = parts.tokens or Characters(parts.gpt.config.number_text_tokens)
        self._modules = parts.modules()
        self._known: OrderedDict[tuple[Any, ...], Prompt] = OrderedDict()

    @property
    def voices(self) -> tuple[str, ...]:
        return tuple(self.stored)

    def about_voices(self) -> dict[str, str]:
        return {name: label for name, (_, label) in self.stored.items()}

    def notes(self, recipe: Recipe) -> tuple[str, ...]:
        """What a receipt must say of this system."""
        found: tuple[str, ...] = (RANDOM_NOTE,) if self.parts.random else ()
        if recipe.evaluations_per_chunk < FEW_EVALUATIONS:
            found += (FEW_NOTE.format(recipe.evaluations_per_chunk),)
        if recipe.vocoder == "small":
            found += (f"vocoder small changes nothing: {LACKS['vocoder small']}.",)
        return found

    def split(self, request: Request, recipe: Recipe) -> Iterator[Chunk]:
        """Pieces of at most 120 tokens, or the recipe's max_chars if that is less, cut by the released rules."""
        limit = min(MOST_TOKENS, recipe.max_chars)
        for index, part in enumerate(self.tokens.segments(request.text, limit)):
            yield Chunk(part.text, index, request.seed + index, request.speed, part.pieces)

    # --- the voice ---

    def speaker(self, request: Request, recipe: Recipe) -> Prompt:
        """The voice of the reference clip, or of a stored one, with the emotion that is asked for.

        style: (1, 192) of the speaker encoder; extra: `conditioning` (1, 34, d) for the GPT, `content` (1, p, 512) and
        `mel` (1, 80, p) for the acoustic stage, `notes`. All in the computer's memory, without a graph; known voices
        are kept by the content of their clips.
        """
        _check_emotion(request)
        path = request.reference or self._stored(request.voice)
        key = (digest(path), digest(request.emotion_reference), request.emotion, request.emotion_weights,
               request.emotion_text, request.emotion_strength, recipe.precision)  # fmt: skip
        if key not in self._known:
            self._known[key] = self._listen(request, path, recipe)
            if len(self._known) > KEPT_VOICES:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return self._known[key]

    def _stored(self, voice: str | None) -> Any:
        if not self.stored:
            raise VoiceError("indextts2 speaks with the voice of a reference clip; give one with --reference.")
        return self.stored[voice or self.voices[0]][0]

    def _listen(self, request: Request, path: Any, recipe: Recipe) -> Prompt:
        heard = self._hear(path)
        features = self._features(heard, recipe)
        with self._use("codec", recipe) as codec:
            _, embedded = codec(features.float())
        with self._use("campplus", recipe) as campplus:
            style = campplus(heard.bank.to(self.device)).cpu()
        with self._use("regulator", recipe) as regulator:
            content = regulator(_like(embedded, regulator), heard.mel.shape[2]).cpu()
        del embedded
        with self._use("conditioner", recipe) as conditioner:
            conditioner.tile(CONDITIONER_TILE if recipe.tile else 0)
            latents, own = conditioner.speaker(features).cpu(), conditioner.emotion(features).cpu()
        del features
        emotion = self._emotion(request, recipe, own, style)
        conditioning = self.parts.conditioner.conditioning(latents.float(), emotion.float())
        extra = {"conditioning": conditioning, "content": content, "mel": heard.mel, "notes": heard.notes}
        name = request.voice if request.reference is None else Path(path).stem
        return Prompt(str(name), style, extra)

    def _hear(self, path: Any) -> Heard:
        return hear(path)

    def _features(self, heard: Heard, recipe: Recipe) -> Tensor:
        with self._use("features", recipe) as network:
            features: Tensor = network(heard.filters.to(self.device))
        return features

    def _emotion(self, request: Request, recipe: Recipe, own: Tensor, style: Tensor) -> Tensor:
        """Emotion vector (1, d): the voice's own, moved towards what is asked for."""
        if request.emotion_reference is not None:
            features = self._features(self._hear(request.emotion_reference), recipe)
            with self._use("conditioner", recipe) as conditioner:
                conditioner.tile(CONDITIONER_TILE if recipe.tile else 0)
                return blend(own, conditioner.emotion(features).cpu(), request.emotion_strength)
        weights = self._weights(request, recipe)
        if weights is None:
            return own
        rows = emotion_rows(style, self.parts.speakers, self.parts.emotions, self.parts.groups)
        return by_weights(own, rows.to(own.dtype), tempered(weights, alpha=request.emotion_strength))

    def _weights(self, request: Request, recipe: Recipe) -> tuple[float, ...] | None:
        if request.emotion_weights is not None:
            return request.emotion_weights
        if request.emotion is not None:
            return tuple(float(name == request.emotion) for name in EMOTIONS)
        if request.emotion_text is None:
            return None
        if self.parts.emotion_text is None:
            raise VoiceError(
                "The model that reads an emotion from a text is not among the weights; give weights instead."
            )
        model = self.parts.emotion_text.to(self.device)
        weights: tuple[float, ...] = model.weights(request.emotion_text)
        if recipe.offload != "none":
            model.unload()
        return weights

    # --- the speech ---

    def semantic(self, chunk: Chunk, prompt: Prompt, recipe: Recipe) -> Semantic:
        """Codes and their latents. codes: `codes` (1, c) int64, `latent` (1, c, d), in the computer's memory.

        Raises TextError where the model says nothing at all.
        """
        ids = self.tokens.ids(chunk.units)
        with self._use("gpt", recipe) as gpt:
            conditioning = _like(prompt.extra["conditioning"].to(self.device), gpt)
            codes = self._write(gpt, conditioning, ids, chunk, recipe)
            if not codes.shape[1]:
                raise TextError(f"The model had nothing to say for {chunk.text!r}; try another seed or wording.")
            latents = gpt(conditioning, torch.tensor([ids], device=self.device), codes)
        frames = max(1, round(frames_of(codes.shape[1]) / chunk.speed))
        kept = {"codes": codes.cpu(), "latent": latents.cpu()}
        return Semantic(chunk, chunk.units, (), frames, kept, self.tokens.unknown(chunk.text))

    def _write(self, gpt: Any, conditioning: Tensor, ids: list[int], chunk: Chunk, recipe: Recipe) -> Tensor:
        text = torch.tensor([without_marks(ids, gpt.config)], dtype=torch.long, device=self.device)
        temperature = TEMPERATURE if recipe.temperature is None else recipe.temperature
        longest = min(MOST_CODES, gpt.config.max_mel_tokens)
        return write_codes(
            gpt, conditioning, text, Sampling(temperature=temperature, beams=recipe.beams),
            torch.Generator().manual_seed(chunk.seed ^ SEMANTIC_SALT), cache=recipe.cache,
            most=min(longest, CODES_PER_TOKEN * (2 + len(ids))), exactly=self._length(chunk, len(ids), longest),
        )  # fmt: skip

    def _length(self, chunk: Chunk, tokens: int, longest: int) -> int | None:
        """How many codes to write; None: as many as the model likes."""
        return min(longest, MADE_UP_CODES * tokens) if self.parts.random else None

    def acoustic(self, tokens: Semantic, prompt: Prompt, recipe: Recipe) -> Mel:
        """Flow matching on the codes' content, with the reference's mel as its beginning."""
        embedded = self.parts.codec.embed(tokens.codes["codes"])
        with self._use("latent", recipe) as layer:
            read = _like(embedded.to(self.device), layer) + layer(_like(tokens.codes["latent"].to(self.device), layer))
        with self._use("regulator", recipe) as regulator:
            content = regulator(_like(read, regulator), tokens.frames)
        del read
        with self._use("dit", recipe) as dit:
            given = (
                prompt.extra["content"].to(content),
                prompt.style.to(self.device),
                prompt.extra["mel"].to(self.device),
            )
            whole = torch.cat((given[0], content), 1)
            start = noise((1, given[2].shape[1], whole.shape[1]), tokens.chunk.seed, self.device)
            mel, calls = cfm.generate(
                dit, start, whole, given[1], given[2], steps=recipe.steps, solver=recipe.solver, kind=recipe.schedule,
                guidance=recipe.guidance, mode=recipe.guidance_mode,
            )  # fmt: skip
        return Mel(mel, self.sample_rate, MEL_22K_FULL.hop_length, calls, tokens)

    def vocoder(self, mel: Mel, recipe: Recipe) -> Wave:
        with self._use("vocoder", recipe) as vocoder:
            values = _like(mel.values.to(self.device), vocoder)
            samples = tiled(vocoder, values, recipe.tile) if recipe.tile else vocoder(values)
        return Wave(samples.float(), self.sample_rate, mel)

    @contextmanager
    def _use(self, part: str, recipe: Recipe) -> Iterator[Any]:
        """A network, where and as the recipe wants it."""
        module, precision, offload = self._modules[part], recipe.precision, recipe.offload
        quantisation = recipe.quantisation
        if part in FULL_PRECISION:
            precision, quantisation = "fp32", "none"
        if offload == "voice":
            offload = "after" if part in VOICE_ONLY else "none"
        with self.home.use(module, precision, offload, quantisation) as network:
            set_attention_kernel(network, recipe.attention)
            yield network


def _like(x: Tensor, module: nn.Module) -> Tensor:
    """In the number format of the module's weights."""
    return x.to(next(module.parameters()).dtype)


def _check_emotion(request: Request) -> None:
    """Raises VoiceError for a name that is unknown, or more than one way to say the emotion."""
    ways = [request.emotion, request.emotion_reference, request.emotion_weights, request.emotion_text]
    if sum(way is not None for way in ways) > 1:
        raise VoiceError("The emotion is given in several ways; give one: a name, a clip, eight weights or a text.")
    if request.emotion not in (None, *EMOTIONS):
        raise VoiceError(f"indextts2 has no emotion {request.emotion!r}; it knows {', '.join(EMOTIONS)}.")
    if request.emotion_weights is not None:
        tempered(request.emotion_weights, alpha=request.emotion_strength)
        if sum(request.emotion_weights) > MOST_EMOTION:
            raise VoiceError(
                f"The eight weights of an emotion add up to {sum(request.emotion_weights):g}; "
                f"{MOST_EMOTION:g} is the most that makes sense, and the model takes 0.8 of it."
            )
