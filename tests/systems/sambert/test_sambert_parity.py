"""SAM-BERT against recordings of the public modules, in our way and in theirs."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from sambert_recorded import close, full_size, recorded, small
from torch import Tensor

from tts_lab.systems.sambert.acoustic import Sambert, Units
from tts_lab.systems.sambert.adaptor import Prosody
from tts_lab.systems.sambert.frames import Plan
from tts_lab.systems.sambert.naive import Maps, naive_decode, naive_mel, naive_speak

MODELS = {"acoustic_small": small, "acoustic_16k": full_size}


@pytest.fixture(params=MODELS, ids=str)
def case(request: pytest.FixtureRequest) -> tuple[Sambert, dict[str, Tensor]]:
    return MODELS[request.param](), recorded(request.param)[0]


def one(t: dict[str, Tensor]) -> Units:
    return Units(t["in.ling"], t["in.emo"], t["in.spk"])


def two(t: dict[str, Tensor]) -> Units:
    return Units(t["in.ling_b"], t["in.emo_b"], t["in.spk_b"], tuple(t["in.lens_b"].tolist()))


def test_the_recipe_of_the_weights_is_followed() -> None:
    t, made = recorded("acoustic_16k")[0], full_size().state_dict()
    for probe, value in (
        ("sy_emb_row3", made["text_encoder.sy_emb.weight"][3, :8]),
        ("decoder_ffn", made["mel_decoder.mel_dec.pnca.5.pos_ffn.w_1.weight"][7, :8, 0]),
        ("lstm_bias", made["mel_postnet.lstm.bias_hh_l0"][:8]),
    ):
        assert torch.equal(t[f"out.probe_{probe}"], value)


def test_prosody(case) -> None:
    model, t = case
    with torch.inference_mode():
        maps: list[Tensor] = []
        plain, kept = model.prosody(one(t)), model.prosody(one(t), maps=maps)
    for prosody in (plain, kept):
        for name in ("pitch", "energy", "log_durations"):
            close(name, getattr(prosody, name), t[f"out.{name}"])
    close("encoder map", maps[0], t["out.enc_attn_0"])
    assert len(maps) == model.config.encoder_num_layers


def test_durations_bands_and_memory(case) -> None:
    model, t = case
    with torch.inference_mode():
        plan = Plan.of(model.prosody(one(t)), 3)
        memory = model.frames(plan).memory(0, plan.steps(3)[0])
    assert plan.durations == tuple(map(tuple, t["out.durations"].tolist()))
    assert plan.frames == tuple(t["out.lengths"].tolist())
    assert [*plan.bands, *plan.bands] == t["out.band_width"].tolist()
    c = model.config
    text, speaker, emotion = memory.split((3 * c.encoder_projection_units, c.speaker_units, c.emotion_units), -1)
    close("text of the frames", text.reshape(t["out.LR_text_outputs"].shape), t["out.LR_text_outputs"])
    close("speaker of the steps", speaker, t["out.LR_spk_outputs"][:, ::3])
    close("emotion of the steps", emotion, t["out.LR_emo_outputs"][:, ::3])


@pytest.mark.parametrize("block", [1, 2, 3, 5, 64])
def test_units_to_mel_whatever_the_block(case, block: int) -> None:
    model, t = case
    valid = t["out.post_mel_valid"]
    with torch.inference_mode():
        plan = Plan.of(model.prosody(one(t)), 3)
        close("decoder", torch.cat(list(model.written(plan, block)), 1), t["out.dec_mel_full"][:, : valid.shape[1]])
        close("mel", model.mel(plan, block).transpose(1, 2), valid)
        if block == 64:
            close("mel in one call", model(one(t)).transpose(1, 2), valid)


def test_the_public_way_gives_the_same_and_its_maps(case) -> None:
    model, t = case
    with torch.inference_mode():
        mel, maps = naive_speak(model, one(t))
        close("ours against naive", model(one(t)), mel, 1e-5)
    close("naive mel", mel.transpose(1, 2), t["out.post_mel_valid"])
    close("own map", maps.own[0], t["out.pnca_x_attn_0"])
    close("text map", maps.text[0], t["out.pnca_h_attn_0"])
    close("encoder map", maps.encoder[0], t["out.enc_attn_0"])


def told(model: Sambert, t: dict[str, Tensor]) -> tuple[Prosody, Plan]:
    """The recorded batch, with pitch, energy and durations as given."""
    before = torch.nn.functional.pad(t["in.dur_b"], (1, 0))[:, :-1]
    prosody = model.prosody(two(t), pitch=t["in.pitch_b"], energy=t["in.energy_b"],
                            durations_before=before, maps=[])  # fmt: skip
    rows = [row[:n] for row, n in zip(t["in.dur_b"].tolist(), t["in.lens_b"].tolist(), strict=True)]
    return prosody, Plan.of(prosody, 3, rows, t["out.tf_band_width_b"].tolist())


def test_a_batch_that_is_told_what_to_say() -> None:
    model, (t, _) = small(), recorded("acoustic_small")
    with torch.inference_mode():
        prosody, plan = told(model, t)
        decoded = torch.cat(list(model.written(plan, teacher=t["in.mel_b"])), 1)
        memory = model.frames(plan).memory(0, 7)
        naive_decode(model, plan, maps := Maps(), teacher=t["in.mel_b"])
    for name in ("pitch", "energy", "log_durations"):
        close(name, getattr(prosody, name), t[f"out.tf_{name}_b"])
    for name, ours in (("x", maps.own[0]), ("h", maps.text[0])):
        theirs = t[f"out.tf_pnca_{name}_attn_0_b"].view(-1, 2, 7, 7)  # heads before batch
        for i, steps in enumerate(plan.steps(3)):
            close(f"map {name}", ours.view(-1, 2, 7, 7)[:, i, :steps, :steps], theirs[:, i, :steps, :steps])
    assert plan.frames == tuple(t["in.out_lens_b"].tolist())
    close("text of the frames", memory[..., :24].reshape(2, 21, 8), t["out.tf_LR_text_b"])
    close("decoder", decoded, t["out.tf_dec_mel_b"][:, : decoded.shape[1]])
    assert not t["out.tf_dec_mel_b"][:, decoded.shape[1] :].any()
    with torch.inference_mode():
        mask = torch.arange(21)[None] < t["in.out_lens_b"][:, None]
        finished = (model.mel_postnet(t["out.tf_dec_mel_b"], mask) + t["out.tf_dec_mel_b"]) * mask[..., None]
    close("postnet", finished, t["out.tf_post_mel_b"])


def test_a_batch_predicts_what_was_recorded() -> None:
    model, (t, _) = small(), recorded("acoustic_small")
    with torch.inference_mode():
        prosody = model.prosody(two(t), maps=[])
        plan = Plan.of(prosody, 3)
        mask = torch.arange(9)[None] < t["in.lens_b"][:, None]
        close("text", model.text_encoder(t["in.ling_b"], mask, maps=[]), t["out.text_hidden_b"])
        memory = model.frames(plan).memory(0, 8)[..., :24].reshape(2, 24, 8)
    for name in ("pitch", "energy", "log_durations"):
        close(name, getattr(prosody, name), t[f"out.free_{name}_b"])
    assert plan.frames == tuple(t["out.free_lengths_b"].tolist())
    for ours, theirs, n in zip(memory, t["out.free_LR_text_b"], plan.frames, strict=True):
        close("text of the frames", ours[:n], theirs[:n])


@pytest.mark.parametrize("way", ["ours", "naive"])
def test_a_batch_gives_what_its_sentences_give_alone(way: str) -> None:
    """Which the public code cannot do at all."""
    model, (t, _) = small(), recorded("acoustic_small")
    speak = model.mel if way == "ours" else lambda plan: naive_mel(model, plan)
    both = two(t)
    with torch.inference_mode():
        plan = Plan.of(model.prosody(both), 3)
        # Unequal bands too: the first sentence has a long phone.
        long = ((*plan.durations[0][:3], 9, *plan.durations[0][4:]), plan.durations[1])
        for each in (plan, Plan.of(model.prosody(both), 3, long)):
            together = speak(each)
            for i, n in enumerate(both.counts):
                single = Units(both.ling[i : i + 1, :n], both.emotion[i : i + 1, :n], both.speaker[i : i + 1, :n])
                given = (each.durations[i][:n],)
                alone = speak(Plan.of(model.prosody(single), 3, given, each.bands[i : i + 1]))
                close(f"sentence {i}", together[i : i + 1, :, : each.frames[i]], alone, 1e-5)
                assert not together[i, :, each.frames[i] :].any()


def test_given_durations_decide_length_and_band() -> None:
    model, (t, _) = small(), recorded("acoustic_small")
    rows = ((2, 0, 7, 1, 1, 13, 0, 2),)
    with torch.inference_mode():
        plan = Plan.of(model.prosody(one(t)), 3, rows)
        assert (plan.frames, plan.bands) == ((26,), (4,))
        ours = model.mel(plan, 5)
        close("ours against naive", ours, naive_mel(model, plan), 1e-5)
        index, inside, place = model.frames(plan).phones(0, 27)
    assert index[0, :12].tolist() == [0, 0, 2, 2, 2, 2, 2, 2, 2, 3, 4, 5]
    assert place[0, :12].tolist() == [1, 2, 1, 2, 3, 4, 5, 6, 7, 1, 1, 1]
    assert inside[0].tolist() == [True] * 26 + [False]


def test_units_from_ids() -> None:
    t, _ = recorded("acoustic_small")
    units = one(t)
    rows = tuple(map(tuple, t["in.ling"][0].tolist()))
    made = Units.of(rows, tuple(t["in.emo"][0].tolist()), tuple(t["in.spk"][0].tolist()))
    assert all(torch.equal(getattr(made, x), getattr(units, x)) for x in ("ling", "emotion", "speaker"))
    assert made.counts == units.counts == (8,)


def test_vectors_stand_for_rows_of_the_tables() -> None:
    model, (t, _) = small(), recorded("acoustic_small")
    units = one(t)
    as_vectors = replace(units, emotion=model.emo_tokenizer(units.emotion), speaker=model.spk_tokenizer(units.speaker))
    with torch.inference_mode():
        assert torch.equal(model(units), model(as_vectors))


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float16, 5e-3), (torch.bfloat16, 5e-2)], ids=str)
def test_half_precision_stays_close_and_keeps_its_places(dtype: torch.dtype, limit: float) -> None:
    t, _ = recorded("acoustic_16k")
    model = copy.deepcopy(full_size()).to(dtype)
    rows = tuple(map(tuple, t["out.durations"].tolist()))
    with torch.inference_mode():
        mel = model(one(t), rows)
    assert mel.dtype == dtype
    close("mel", mel.transpose(1, 2), t["out.post_mel_valid"], limit)
    places = model.variance_adaptor.dur_position_encoder.inv_timescales
    assert torch.equal(places, full_size().variance_adaptor.dur_position_encoder.inv_timescales)
    assert (
        copy.deepcopy(full_size()).double().variance_adaptor.dur_position_encoder.inv_timescales.dtype == torch.double
    )


def test_more_phones_than_the_stored_table_of_positions() -> None:
    model = small()
    n = model.config.max_len + 7
    ling = torch.ones(1, n, 4, dtype=torch.long)
    x = torch.zeros(1, n, model.config.embedding_dim)
    with torch.inference_mode():
        codes = model.text_encoder.ling_enc.position_enc(x)[0]
        assert model.text_encoder(ling).shape == (1, n, 8)
    half = model.config.embedding_dim // 2
    frequency = 10000 ** (-torch.arange(half, dtype=torch.float64) / (half - 1))
    angle = torch.arange(1, n + 1, dtype=torch.float64)[:, None] * frequency
    torch.testing.assert_close(codes.double(), torch.cat((angle.sin(), angle.cos()), 1), atol=1e-6, rtol=0)


def test_naive_maps_are_of_the_whole(case) -> None:
    model, t = case
    maps = Maps()
    with torch.inference_mode():
        plan = Plan.of(model.prosody(one(t)), 3)
        naive_decode(model, plan, maps)
    steps, heads = plan.steps(3)[0], model.config.decoder_num_heads
    assert [tuple(m.shape) for m in maps.own + maps.text] == [(heads, steps, steps)] * (
        2 * model.config.decoder_num_layers
    )
    for own in maps.own:
        assert not own.triu(1).any()
