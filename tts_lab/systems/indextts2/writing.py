"""Writing the semantic codes of a text, one after another, with a key-value cache.

Axes: b beams, m conditioning vectors, n text tokens, c codes, d width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tts_lab.loops import growing
from tts_lab.nn.beams import reorder, spread
from tts_lab.nn.cache import Cache
from tts_lab.nn.lengthen import lengthen
from tts_lab.systems.indextts2.beam_search import Beams
from tts_lab.systems.indextts2.sampling import Chooser, Marks, Sampling, Single
from tts_lab.systems.indextts2.voice_model import VoiceModel

MOST_CODES = 1500  # 30 s of speech: the public program's limit


@torch.no_grad()
def write_codes(
    model: VoiceModel, conditioning: Tensor, text: Tensor, sampling: Sampling, generator: torch.Generator, *,
    cache: str = "static", most: int = MOST_CODES, exactly: int | None = None,
) -> Tensor:  # fmt: skip
    """Semantic codes (1, c), 50 a second, without a stop mark.

    conditioning: (1, m, d); text: (1, n) ids without marks (see `without_marks`); generator: of the CPU; cache:
    "static" or "growing"; most: codes after which to give up. exactly: so many codes whatever the model would like,
    which makes the run the same for any weights: what a trace needs. A model may stop at once: c can be 0. Raises
    ValueError for several texts, for lengths that the model has no positions for, and on meta without `exactly`.
    """
    limit = _limit(model, conditioning, most, exactly)
    if len(conditioning) != 1 or len(text) != 1:
        raise ValueError(f"one text is written at a time, not {len(text)} for {len(conditioning)} voices")
    chooser = _chooser(model, sampling, generator, exactly is not None)
    kept, hidden = _begun(model, model.prefix(conditioning, text), sampling.beams, cache, limit)
    code = origin = torch.zeros(0)

    def skip(passes: int) -> None:
        lengthen(kept, passes)
        chooser.skip(passes)

    for i in growing(limit, skip):  # a memory trace skips the passes that tell it nothing new
        if i:
            hidden = _read(model, kept, code, origin, i - 1)
        choice = chooser.choose(model.logits(hidden).cpu())
        if choice.done:
            break
        code, origin = choice.codes.to(conditioning.device), choice.origin.to(conditioning.device)
    return torch.tensor([chooser.finished()], dtype=torch.long, device=conditioning.device)


def _begun(model: VoiceModel, prefix: Tensor, beams: int, kind: str, limit: int) -> tuple[Cache, Tensor]:
    """A cache that holds the prefix, with room for what will be read, and the state (1, d) behind it.

    The last code is written, but not read.
    """
    kept = model.gpt.cache(kind, beams, prefix.shape[1] + limit - 1)
    hidden = model.gpt(prefix, kept)[:, -1]
    spread(kept, beams)
    return kept, hidden


def _read(model: VoiceModel, kept: Cache, code: Tensor, origin: Tensor, index: int) -> Tensor:
    """States (b, d) after one more code each, code number `index`."""
    if len(code) > 1:
        reorder(kept, origin)
    return model.gpt(model.step(code, index), kept)[:, 0]


def _limit(model: VoiceModel, conditioning: Tensor, most: int, exactly: int | None) -> int:
    limit, longest = most if exactly is None else exactly, model.config.max_mel_tokens
    if not 1 <= limit <= longest:
        raise ValueError(f"{limit} codes were asked for; 1 to {longest} can be written")
    if conditioning.is_meta and exactly is None:
        raise ValueError("on the meta device no code tells when speech ends: say `exactly` how many to write")
    return limit


def _chooser(model: VoiceModel, sampling: Sampling, generator: torch.Generator, fixed: bool) -> Chooser:
    marks = Marks(model.config.start_mel_token, model.config.stop_mel_token)
    return (Single if sampling.beams == 1 else Beams)(sampling, marks, generator, fixed)
