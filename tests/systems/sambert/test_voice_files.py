"""Released voices from folders and archives: found wherever they lie, loaded strictly, refused in sentences."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_voice
import torch
import yaml

from tts_lab.errors import WeightsError
from tts_lab.systems import load_system
from tts_lab.systems.sambert.checkpoint import load_voice
from tts_lab.systems.sambert.located import find_voices
from tts_lab.systems.sambert.vocoder import vocoder_state
from tts_lab.systems.sambert.voice_parts import VoiceParts


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two released voices and one of somebody's own."""
    return tiny_voice.write(tmp_path_factory.mktemp("released") / "model", ("my_voice", "zhiyan_emo", "zhibei_emo"))


@pytest.fixture
def one(tmp_path: Path, model: Path) -> Path:
    """A copy of one voice, to be damaged."""
    shutil.copytree(model / "voices" / "zhibei_emo", tmp_path / "zhibei_emo")
    return tmp_path / "zhibei_emo"


def only(root: Path) -> VoiceParts:
    (files,) = find_voices(root).values()
    return load_voice(files)


def test_voices_are_found_wherever_they_lie(model: Path, tmp_path: Path) -> None:
    names = ["zhibei", "zhiyan", "my_voice"]
    assert list(find_voices(model)) == names
    assert list(find_voices(model / "voices")) == names
    assert list(find_voices(model / "voices" / "zhiyan_emo")) == ["zhiyan"]
    assert list(find_voices(model.parent)) == names
    assert list(find_voices(tiny_voice.pack(model / "voices", tmp_path / "voices.zip"))) == names
    shutil.copytree(model / "voices" / "my_voice", tmp_path / "a" / "speech_sambert-hifigan_tts_zhizhe_emo_zh-cn_16k")
    assert list(find_voices(tmp_path / "a")) == ["zhizhe"]
    (tmp_path / "packed").mkdir()
    (tmp_path / "voices.zip").rename(tmp_path / "packed" / "voices.zip")
    assert list(find_voices(tmp_path / "packed")) == names


def test_folder_and_archive_give_the_same_weights(model: Path, tmp_path: Path) -> None:
    folder = model / "voices" / "zhibei_emo"
    here, packed = only(folder), only(tiny_voice.pack(folder, tmp_path / "zhibei_emo.zip"))
    for name, module in here.modules().items():
        for key, value in module.state_dict().items():
            assert torch.equal(value, packed.modules()[name].state_dict()[key]), key


def test_the_last_checkpoint_is_loaded_into_its_place(model: Path) -> None:
    parts = only(model / "voices" / "zhibei_emo")
    saved = torch.load(model / "voices/zhibei_emo/am/ckpt/checkpoint_1000.pth", weights_only=True)["model"]
    for name, value in parts.acoustic.state_dict().items():
        assert torch.equal(value, saved[name]), name
    for name, value in vocoder_state(tiny_voice.generator_state(False)).items():
        assert torch.equal(parts.vocoder.state_dict()[name], value), name
    assert (parts.sample_rate, parts.random, parts.statistics) == (16_000, False, ())


def test_the_checkpoints_own_speakers_go_before_ours(tmp_path: Path) -> None:
    tiny_voice.write(tmp_path, speakers=("SSB0009", "F74"))
    parts = only(tmp_path)
    assert parts.speakers == ("SSB0009", "F74")
    assert parts.acoustic.config.speaker == 5


def test_tables_without_the_masks_row_and_without_computed_tables_load(tmp_path: Path) -> None:
    folder = tiny_voice.write(tmp_path, mask=False)
    path = folder / "voices/zhibei_emo/am/ckpt/checkpoint_1000.pth"
    held = torch.load(path, weights_only=True)
    computed = {k: held["model"].pop(k) for k in list(held["model"]) if "position_enc" in k or "inv_times" in k}
    torch.save(held, path)
    parts = only(folder)
    assert len(computed) == 2
    for name, value in computed.items():
        torch.testing.assert_close(parts.acoustic.state_dict()[name], value)


def test_pitch_needs_its_statistics_and_a_vector_its_file(tmp_path: Path) -> None:
    folder = tiny_voice.write(tmp_path, pitch=True, embedded=True) / "voices" / "zhibei_emo"
    parts = only(folder)
    assert parts.statistics == (200.0, 40.0)
    assert parts.embedding is not None
    assert parts.embedding.shape == (1, parts.acoustic.config.speaker_units)
    np.save(folder / "am" / "mvn.npy", np.zeros(3))
    with pytest.raises(WeightsError, match="holds 3 numbers where mean and deviation"):
        only(folder)
    (folder / "am" / "mvn.npy").unlink()
    with pytest.raises(WeightsError, match=r"zhibei lacks .*mvn.npy \(mean and deviation of its pitch\)"):
        only(folder)


def test_the_front_ends_resources_are_not_needed(tmp_path: Path) -> None:
    folder = tiny_voice.write(tmp_path)
    (folder / "resource.zip").unlink()
    assert load_system("sambert", "cpu", folder).voices == ("zhibei",)


def test_without_weights_it_names_three_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTS_LAB_WEIGHTS", str(tmp_path))
    with pytest.raises(WeightsError) as caught:
        load_system("sambert", "cpu")
    for way in ("sambert does not exist", "tts-lab fetch sambert", "--weights FOLDER", "--weights random"):
        assert way in str(caught.value)


def only_resources(folder: Path) -> None:
    (folder / "resource.zip").write_bytes(b"PK")


def tensorflow(folder: Path) -> None:
    (folder / "model.ckpt-1.index").write_bytes(b"x")


@pytest.mark.parametrize(
    ("fill", "words"),
    [
        (only_resources, "closed front end's, which the lab does not need; the voices are missing"),
        (tensorflow, "an earlier release"),
        (lambda folder: None, "There is no voice in"),
    ],
)
def test_a_folder_without_voices_says_what_lies_there(tmp_path: Path, fill: Callable[[Path], None], words: str) -> None:
    fill(tmp_path)
    with pytest.raises(WeightsError, match=words):
        find_voices(tmp_path)


def rewritten(path: Path, **changes: Any) -> None:
    """A config.yaml with some of its parts changed; dots go down."""
    data = yaml.safe_load(path.read_text())
    for name, value in changes.items():
        here = data
        *way, last = name.split("__")
        for key in way:
            here = here[key]
        here[last] = value
    path.write_text(yaml.safe_dump(data))


class Harmful:
    def __reduce__(self) -> Any:
        return print, ("this must not run",)


AM_LAST, VOC_LAST = "am/ckpt/checkpoint_1000.pth", "voc/ckpt/checkpoint_7.pth"


def without(path: Path, name: str) -> None:
    held = torch.load(path, weights_only=True)
    del held["model"][name]
    torch.save(held, path)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda v: shutil.rmtree(v / "am"), "zhibei lacks the acoustic model: there is no .*am"),
        (lambda v: shutil.rmtree(v / "voc"), "zhibei lacks the vocoder: there is no .*voc"),
        (lambda v: (v / "voc/config.yaml").unlink(), "lacks .*config.yaml, the sizes of the vocoder"),
        (lambda v: (v / VOC_LAST).unlink(), "lacks the vocoder's weights: there is no .*checkpoint_N.pth"),
        (lambda v: (v / AM_LAST).write_bytes((v / AM_LAST).read_bytes()[:5000]), "damaged or its download ended early"),
        (lambda v: (v / AM_LAST).write_bytes(b""), "is empty"),
        (lambda v: (v / AM_LAST).write_bytes(b"version https://git-lfs.github.com/spec/v1\n"), "pointer of Git LFS"),
        (lambda v: (v / AM_LAST).write_bytes(b"<!DOCTYPE html>"), "is a web page"),
        (lambda v: torch.save({"model": Harmful()}, v / AM_LAST), "more than tensors: it asks to run"),
        (lambda v: torch.save({"model": {}}, v / VOC_LAST), "lacks the tensors under model -> generator"),
        (lambda v: torch.save({"model": {}}, v / AM_LAST), "lack text_encoder.sy_emb.weight"),
        (lambda v: without(v / AM_LAST, "mel_postnet.fc.bias"), r"1 missing \(mel_postnet.fc.bias\)"),
        (lambda v: rewritten(v / "am/config.yaml", Model={"KanTtsTextsyBERT": {}}), "another kind of model"),
        (lambda v: rewritten(v / "am/config.yaml", Model__KanTtsSAMBERT__params__hyper=1), "unknown key 'hyper'"),
        (lambda v: rewritten(v / "am/config.yaml", Model__KanTtsSAMBERT__params__max_len=9), "of another shape"),
        (lambda v: rewritten(v / "am/config.yaml", linguistic_unit__language="Sichuan"), "reads Sichuan"),
        (lambda v: rewritten(v / "am/config.yaml", linguistic_unit__speaker_list="F7"), "9 symbols of speaker where 4"),
        (lambda v: rewritten(v / "voc/config.yaml", Model__Generator__params__in_channels=80), "do not fit"),
        (lambda v: (v / "am/config.yaml").write_text("a: !!python/object:os.system {}"), "no plain YAML"),
        (lambda v: (v / "am/config.yaml").write_text("- 1"), "holds no settings"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_a_sentence(
    one: Path, damage: Callable[[Path], None], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(one)
    with pytest.raises(WeightsError, match=words):
        load_system("sambert", "cpu", one)
    assert "must not run" not in capsys.readouterr().out


def test_a_truncated_archive_is_a_sentence(one: Path, tmp_path: Path) -> None:
    archive = tiny_voice.pack(one, tmp_path / "voices.zip")
    archive.write_bytes(archive.read_bytes()[:-2000])
    with pytest.raises(WeightsError, match="neither a folder nor a whole zip archive"):
        load_system("sambert", "cpu", archive)


def test_a_damaged_member_of_an_archive_is_a_sentence(one: Path, tmp_path: Path) -> None:
    (one / AM_LAST).write_bytes((one / AM_LAST).read_bytes()[:5000])
    with pytest.raises(WeightsError, match="is damaged"):
        load_system("sambert", "cpu", tiny_voice.pack(one, tmp_path / "zhibei.zip"))
    assert zipfile.is_zipfile(tmp_path / "zhibei.zip")
