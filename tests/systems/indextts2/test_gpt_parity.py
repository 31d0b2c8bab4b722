"""The language model against what the public modules made of the same weights and inputs; errors show with `-s`."""

from __future__ import annotations

import json

import pytest
import torch
from gpt_recorded import FOLDER, inputs, models, outputs, relative

from tts_lab.nn.attention import set_attention_kernel
from tts_lab.systems.indextts2.config import SMALL
from tts_lab.systems.indextts2.emotion import blend
from tts_lab.systems.indextts2.sampling import Marks, Sampling, penalised
from tts_lab.systems.indextts2.voice_model import without_marks
from tts_lab.systems.indextts2.writing import write_codes

LIMIT = 1e-4
DRAWS = json.loads((FOLDER / "draws.json").read_text())


def prepared():
    conditioner, model = models()
    found, given = outputs(), inputs()
    return model, conditioner.conditioning(found["speaker"], found["blend"]), given, found


@pytest.mark.parametrize("kernel", ["sdpa", "math"])
def test_conditioner(kernel: str) -> None:
    conditioner, _ = models()
    set_attention_kernel(conditioner, kernel)
    given, expected = inputs(), outputs()
    speaker, emotion, batch, lengths = (given[k] for k in ("speaker", "emotion", "batch", "lengths"))
    real = torch.arange(21)[None] < lengths[:, None]
    with torch.inference_mode():
        found = {
            "encoded": conditioner.conditioning_encoder(speaker)[0],
            "encoded_batch": conditioner.conditioning_encoder(batch, real)[0],
            "speaker": conditioner.speaker(speaker),
            "speaker_batch": conditioner.speaker(batch, lengths),
            "emotion_latent": conditioner.emotion_latent(emotion),
            "emotion_batch": conditioner.emotion(batch, lengths),
            "emotion": conditioner.emotion(emotion),
            "blend": blend(conditioner.emotion(speaker), conditioner.emotion(emotion), 0.6),
        }
        whole = conditioner(speaker, emotion, 0.6)
        torch.testing.assert_close(whole, conditioner.conditioning(found["speaker"], found["blend"]))
    assert max(relative(y, expected[name], name) for name, y in found.items()) <= LIMIT


@pytest.mark.parametrize("kernel", ["sdpa", "math"])
def test_latents(kernel: str) -> None:
    model, conditioning, given, expected = prepared()
    set_attention_kernel(model, kernel)
    batch = models()[0].conditioning(expected["speaker_batch"], expected["emotion_batch"])
    with torch.inference_mode():
        one = model(conditioning, given["text"], given["codes"])
        two = model(batch, given["texts"], given["code_batch"], given["text_lengths"], given["code_lengths"])
    assert relative(one, expected["latent"], "latent") <= LIMIT
    assert relative(two, expected["latent_batch"], "latent_batch") <= LIMIT


@pytest.mark.parametrize("cache", ["static", "growing"])
@pytest.mark.parametrize(("name", "penalty"), [("greedy", 1.0), ("penalised", 10.0)])
def test_scores_of_cached_decoding(name: str, penalty: float, cache: str) -> None:
    model, conditioning, given, expected = prepared()
    codes, marks = expected[f"{name}_codes"], Marks(SMALL.start_mel_token, SMALL.stop_mel_token)
    kept, scores = model.gpt.cache(cache, 1, 60), []
    with torch.inference_mode():
        x = model.prefix(conditioning, given["text"])
        for i in range(12):
            row = model.logits(model.gpt(x, kept)[:, -1])
            scores.append(penalised(row, [[*marks.prompt, *codes[0, :i].tolist()]], penalty))
            x = model.step(codes[:, i], i)
    assert relative(torch.stack(scores, 1), expected[f"{name}_scores"], name) <= LIMIT
    written = write_codes(
        model, conditioning, given["text"], Sampling(0, beams=1, repetition_penalty=penalty), torch.Generator(),
        cache=cache, most=12,
    )  # fmt: skip
    assert torch.equal(written, codes)


def test_decoding_skips_position_one() -> None:
    model, *_, expected = prepared()
    rows = model.mel_pos_embedding.emb.weight
    found = [model.step(torch.tensor([0]), i) - model.mel_embedding.weight[0] for i in range(3)]
    for i, row in enumerate(expected["greedy_rows"][1:4].tolist()):
        torch.testing.assert_close(found[i][0, 0], rows[row])
    assert expected["greedy_rows"].tolist() == [0, *range(2, 13)]


@pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="torch draws otherwise without MKL")
@pytest.mark.parametrize("cache", ["static", "growing"])
def test_every_setting_of_draws_and_beams_writes_the_same_codes(cache: str) -> None:
    model, conditioning, given, _ = prepared()
    bias = model.mel_head.bias.clone()
    names = ("temperature", "top_k", "top_p", "repetition_penalty", "beams", "length_penalty")
    for s, codes in zip(DRAWS["settings"], DRAWS["codes"], strict=True):
        model.mel_head.bias.copy_(bias)
        model.mel_head.bias[SMALL.stop_mel_token] += s["stop_bias"]
        written = write_codes(
            model, conditioning, given["text"], Sampling(*(s[name] for name in names)),
            torch.Generator().manual_seed(s["seed"]), cache=cache, most=DRAWS["most"],
        )  # fmt: skip
        assert written.tolist() == [codes], s


def test_the_recordings_try_what_they_should() -> None:
    assert len(DRAWS["codes"]) == 60
    assert {s["beams"] for s in DRAWS["settings"]} == {1, 2, 3, 4}
    assert sum(0 < len(c) < DRAWS["most"] for c in DRAWS["codes"]) > 30


def test_marks_inside_a_text_are_read_by_the_second_pass_only() -> None:
    assert without_marks([17, 0, 33, 1, 8], SMALL) == [17, 33, 8]
    model, conditioning, *_ = prepared()
    with torch.inference_mode():
        assert model.prefix(conditioning, torch.tensor([[17, 33, 8]])).shape == (1, 34 + 3 + 3, 48)
        assert model(conditioning, torch.tensor([[17, 0, 33, 1, 8]]), torch.tensor([[3, 4]])).shape == (1, 2, 48)
