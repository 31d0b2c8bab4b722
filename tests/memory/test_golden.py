"""Golden figures: memory that was found by other means, and that a trace must give to the byte or within 0.1 %.

From published sizes (weights), from counting the tensors that must be alive by hand, and from an earlier, independent
tracer over the same public models.
"""

from __future__ import annotations

import time

import pytest
import torch
import torch.nn.functional as F
from networks import INDEXTTS2, MIB, decoding, dit_inputs
from torch import Tensor, nn

from tts_lab.memory.events import EventLog
from tts_lab.memory.tracer import Tracer, trace
from tts_lab.nn.attention import set_attention_kernel
from tts_lab.nn.dit import DiT
from tts_lab.nn.flow import guided, guided_batched, schedule, solve
from tts_lab.nn.hifigan import HiFiGAN, ResidualBlock
from tts_lab.nn.transformer import Decoder

T = 860  # mel frames: 10 s at 22,050 Hz and a hop of 256
FREQUENCIES = 2 * 128 * 4  # bytes of the frequencies of the DiT's two time embeddings


def sampling(dtype: torch.dtype, mode: str, t: int = T, kernel: str = "auto", steps: int = 2) -> EventLog:
    """IndexTTS-2's DiT of 13 layers in a solver with guidance, as its acoustic stage runs it."""
    with torch.device("meta"):
        model = DiT(INDEXTTS2).to(dtype)
        set_attention_kernel(model, kernel)
        x, _, *rest = dit_inputs(INDEXTTS2, t, 1, dtype)
        x = x.float()

    def sample(x: Tensor, *given: Tensor) -> Tensor:
        def one(x: Tensor, time: Tensor) -> Tensor:
            return model(x.to(dtype), time, *given).float()

        if mode == "batched":
            twice = [torch.cat((y, torch.zeros_like(y))) for y in given]
            velocity = guided_batched(lambda x, time: model(x.to(dtype), time, *twice).float(), 0.7)
        else:
            velocity = guided(one, one, 0.7) if mode == "sequential" else one
        return solve(velocity, x, schedule(steps))

    return trace(sample, x, *rest)


def activations(log: EventLog) -> int:
    return log.peak_bytes() - log.bytes_of("weight")


# The diffusion transformer


def test_dit_weights_are_the_released_estimators() -> None:
    log = sampling(torch.float32, "none")
    assert log.bytes_of("weight") == 93_922_384 * 4 + FREQUENCIES


def test_dit_with_guidance_peaks_where_the_count_by_hand_says() -> None:
    """In the feed-forward of the middle block: three wide tensors, six kept for skips, and what callers hold."""
    b, d, inner = 2, 512, 1536
    wide, one = b * T * inner * 4, b * T * d * 4
    x = T * 80 * 4
    content, style, prompt = T * 512 * 4, 192 * 4, T * 80 * 4
    given = x + content + style + prompt  # one of each
    twice = 2 * (content + style + prompt)
    folded = b * T * 80 * 4  # the noisy mel, twice: held until the long skip
    middle = 6 * one + one + one  # skips 0 to 5, the block's own input, its normalised input
    merged = one + one  # the projected content, and the merged input
    by_hand = given + twice + folded + middle + merged + 3 * wide
    assert activations(sampling(torch.float32, "batched", steps=1)) == pytest.approx(by_hand, rel=1e-3)


def test_steps_do_not_raise_the_peak_beyond_the_second() -> None:
    peaks = [sampling(torch.float32, "batched", steps=n).peak_bytes() for n in (1, 2, 4)]
    assert peaks[1] == peaks[2]
    assert peaks[0] <= peaks[1] <= 1.01 * peaks[0]


def test_guidance_in_a_batch_doubles_activations_and_one_after_the_other_does_not() -> None:
    batched, sequential, none = (activations(sampling(torch.float16, m)) for m in ("batched", "sequential", "none"))
    assert 1.9 < batched / none < 2.1
    assert 1.0 < sequential / none < 1.1


def test_without_its_fused_kernel_a_minute_of_speech_costs_ten_times_as_much() -> None:
    fused, math = (activations(sampling(torch.float32, "batched", 5160, k, steps=1)) for k in ("auto", "math"))
    scores = 2 * 8 * 5160**2 * 4
    assert math > 2 * scores  # the scores and their softmax
    assert math / fused > 7


# The vocoder


class Named(HiFiGAN):
    """The same network as it is commonly written: a name keeps the first convolution's output alive in the second."""

    class Block(ResidualBlock):
        def forward(self, x: Tensor) -> Tensor:
            for first, second in zip(self.convs1, self.convs2, strict=True):
                y = first(F.leaky_relu(x, 0.1))
                y = second(F.leaky_relu(y, 0.1))
                x = x + y
            return x

    def __init__(self) -> None:
        super().__init__()
        for block in self.resblocks:
            block.__class__ = Named.Block


@pytest.mark.parametrize(("kind", "tensors"), [(HiFiGAN, 5), (Named, 6)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_hifigan_v1_holds_so_many_of_its_widest_tensors(kind: type[HiFiGAN], tensors: int, dtype: torch.dtype) -> None:
    with torch.device("meta"):
        model, mel = kind().to(dtype), torch.zeros(1, 80, T, dtype=dtype)
    log = trace(model, mel)
    weights, widest = 13_926_017 * dtype.itemsize, 128 * T * 64 * dtype.itemsize
    assert log.bytes_of("weight") == weights
    assert log.peak_bytes() == weights + tensors * widest + mel.nbytes


def test_hifigan_with_autograd_left_on_holds_every_step() -> None:
    with torch.device("meta"):
        model, mel = Named(), torch.zeros(1, 80, 5160)
    peaks = []
    for grad in (False, True):
        with Tracer(grad=grad) as tracer:
            tracer.place(model)
            model(mel)
        peaks.append(tracer.log.peak_bytes() / MIB)
    assert peaks[0] == pytest.approx(1022.2, abs=0.1)
    assert peaks[1] > 18 * peaks[0]


# The language model


@pytest.mark.parametrize("kind", ["static", "growing"])
def test_gpt_of_24_layers_peaks_at_its_weights_and_its_cache(kind: str) -> None:
    with torch.device("meta"):
        model, x = Decoder(1280, 20, 24, 3413).half(), torch.zeros(1, 512, 1280, dtype=torch.float16)
    log = trace(decoding(model, kind, 24), x)
    weights = sum(p.numel() for p in model.parameters()) * 2
    cache = model.cache_bytes(1, 536, torch.float16)
    assert log.bytes_of("weight") == weights
    assert cache == 24 * 2 * 536 * 1280 * 2
    # Of the prefix the growing cache keeps the turned keys and, as its values are a view of it, the whole projection of
    # queries, keys and values: four units for two, until the next position makes new ones.
    held = cache if kind == "static" else 24 * 4 * 512 * 1280 * 2
    assert weights + held < log.peak_bytes() < weights + 1.3 * held


# Public models as they are


def transformers() -> object:
    from tts_lab.audio.backend import torchaudio

    torchaudio()  # transformers loads it
    return pytest.importorskip("transformers")


def public(build: type[nn.Module], config: object) -> nn.Module:
    with torch.device("meta"):
        return build(config).half().eval()


def test_wav2vec2_bert_of_17_layers_on_15_seconds() -> None:
    library = transformers()
    config = library.Wav2Vec2BertConfig(num_hidden_layers=17)  # type: ignore[attr-defined]
    model = public(library.Wav2Vec2BertModel, config)  # type: ignore[attr-defined]
    log = trace(model, torch.zeros(1, 750, 160, dtype=torch.float16, device="meta"))
    assert log.bytes_of("weight") / MIB == pytest.approx(784.4, rel=1e-3)
    assert log.peak_bytes() / MIB == pytest.approx(902.4, rel=1e-3)


def test_qwen3_of_600_million_reads_64_tokens() -> None:
    library = transformers()
    config = library.Qwen3Config(  # type: ignore[attr-defined]
        hidden_size=1024, num_hidden_layers=28, num_attention_heads=16, num_key_value_heads=8, head_dim=128,
        intermediate_size=3072, vocab_size=151936, tie_word_embeddings=True,
    )  # fmt: skip
    model = public(library.Qwen3ForCausalLM, config)  # type: ignore[attr-defined]
    log = trace(model, torch.zeros(1, 64, dtype=torch.long, device="meta"))
    assert log.bytes_of("weight") / MIB == pytest.approx(1136.9, rel=1e-3)
    assert log.peak_bytes() / MIB == pytest.approx(1162.6, rel=1e-3)


def test_operators_are_traced_in_well_under_a_millisecond() -> None:
    start = time.process_time()
    log = sampling(torch.float16, "sequential")
    assert log.meta["operators"] > 5000
    assert (time.process_time() - start) / log.meta["operators"] < 1e-3
