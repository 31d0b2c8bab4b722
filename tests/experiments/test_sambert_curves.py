from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tts_lab.systems.sambert.config import SambertConfig, VocoderConfig

SMALL = SambertConfig(
    20, 7, 5, 5, 6, 3, embedding_dim=32, encoder_num_layers=2, encoder_num_heads=2, encoder_num_units=24,
    encoder_ffn_inner_dim=40, encoder_projection_units=8, predictor_num_memory_units=16, predictor_ffn_inner_dim=20,
    predictor_lstm_units=12, dur_pred_prenet_units=(14, 12), dur_pred_lstm_units=10, decoder_prenet_units=(20, 18),
    decoder_num_layers=2, decoder_num_heads=2, decoder_num_units=24, decoder_ffn_inner_dim=36,
    postnet_num_memory_units=22, postnet_ffn_inner_dim=26, postnet_lstm_units=12,
)  # fmt: skip


@pytest.fixture
def curves(monkeypatch, tmp_path):
    """The script, with narrow models and a result file of its own."""
    import sambert_curves

    monkeypatch.setattr(sambert_curves, "RELEASED", SMALL)
    monkeypatch.setattr(sambert_curves, "VocoderConfig", lambda: replace(VocoderConfig(), channels=16))
    monkeypatch.setattr(sambert_curves, "RESULT", tmp_path / "curves.json")
    return sambert_curves


def test_lengths_are_traced_and_timed_and_what_was_not_timed_is_said(curves, tmp_path, capsys) -> None:
    out = tmp_path / "trial.json"
    curves.main(["--seconds", "0.5,1,8", "--longest-naive", "1", "--repeats", "1", "--out", str(out)])
    assert not curves.RESULT.exists()
    result = json.loads(out.read_text("utf-8"))
    assert result["not_timed"] == [8.0]
    assert [(e["seconds"], e["frames"]) for e in result["lengths"]] == [(0.5, 40), (1.0, 80), (8.0, 640)]
    assert [sorted(e["took_seconds"]) for e in result["lengths"]] == [["naive", "ours"], ["naive", "ours"], ["ours"]]
    short, long = (result["lengths"][i]["peak_activation_bytes"] for i in (1, 2))
    assert long["naive"] > 20 * short["naive"]
    assert long["streamed"] < long["whole"]
    shown = capsys.readouterr().out.splitlines()
    assert shown[4].startswith("| 8 s")
    assert shown[4].split("|")[3].strip() == "-"


def test_other_settings_are_not_written_by_themselves(curves, capsys) -> None:
    curves.main(["--seconds", "0.3", "--repeats", "1"])
    assert not curves.RESULT.exists()
    assert "Not written" in capsys.readouterr().out


@pytest.mark.parametrize("seconds", ["", "a", "0", "4,-1", "601"])
def test_lengths_that_cannot_be(curves, seconds, capsys) -> None:
    with pytest.raises(SystemExit) as error:
        curves.main(["--seconds", seconds])
    assert error.value.code == 2
    assert "between 0 and 600" in capsys.readouterr().err


def test_a_request_lasts_as_long_as_asked(curves) -> None:
    units, (row,) = curves.request(2.0)
    assert sum(row) == 160
    assert row[0] == max(row) == 26
    assert units.ling.shape == (1, len(row), 4)
