"""A folder in the released layout goes into the networks, value for value; anything else is a sentence."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_checkpoint
import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import Tensor

from tts_lab.errors import WeightsError
from tts_lab.nn.antialias import low_pass
from tts_lab.systems.indextts2 import converted
from tts_lab.systems.indextts2.checkpoint import load_parts
from tts_lab.systems.indextts2.located import locate
from tts_lab.systems.indextts2.parts import SMALL, Parts
from tts_lab.systems.indextts2.released_files import FILES, REPOSITORIES, repository

State = dict[str, Tensor]
MODULES = ("features", "codec", "campplus", "conditioner", "gpt", "s2mel", "vocoder")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, State]]:
    folder = tmp_path_factory.mktemp("released") / "checkpoints"
    return folder, tiny_checkpoint.write(folder)


@pytest.fixture
def folder(written: tuple[Path, dict[str, State]], tmp_path: Path) -> Path:
    """A copy that a test may damage, without a cache."""
    copy = tmp_path / "weights"
    shutil.copytree(written[0], copy, ignore=shutil.ignore_patterns(".tts_lab"))
    return copy


@pytest.fixture(autouse=True)
def _cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(converted.VARIABLE, raising=False)


def same(parts: Parts, expected: dict[str, State], dtype: torch.dtype = torch.float32) -> None:
    for name in MODULES:
        kind = torch.float32 if name in ("codec", "campplus") else dtype
        state = getattr(parts, name).state_dict()
        assert set(state) == set(expected[name])
        for key, value in expected[name].items():
            wanted = value.to(kind) if value.is_floating_point() else value
            assert state[key].dtype is wanted.dtype
            assert torch.equal(state[key], wanted), f"{name}.{key}"


def test_values_are_those_that_were_written(written: tuple[Path, dict[str, State]]) -> None:
    folder, expected = written
    parts = load_parts(folder)
    same(parts, expected)
    assert torch.equal(parts.speakers, expected["stored"]["feat1"])
    assert torch.equal(parts.emotions, expected["stored"]["feat2"])
    assert parts.groups == (3, 17, 2, 8, 4, 5, 10, 24)
    assert not parts.random
    assert parts.tokens is not None
    assert parts.tokens.segments("你好，世界。")[0].text == "你好,世界."
    assert parts.emotion_text is not None
    assert not parts.emotion_text.loaded


def test_sizes_are_those_of_the_files(written: tuple[Path, dict[str, State]]) -> None:
    parts = load_parts(written[0])
    assert parts.gpt.config == SMALL.gpt
    mel = SMALL.mel_side
    assert (parts.s2mel.sizes, parts.codec.sizes, parts.campplus.sizes, parts.vocoder.sizes) == (
        mel.s2mel, mel.codec, mel.campplus, mel.bigvgan,
    )  # fmt: skip
    assert parts.features.sizes == SMALL.features


def test_the_networks_run_and_nothing_is_left_on_meta(written: tuple[Path, dict[str, State]]) -> None:
    parts = load_parts(written[0])
    with torch.inference_mode():
        features = parts.features(torch.randn(1, 20, 160))
        assert parts.conditioner(features).shape == (1, 34, 48)
        assert parts.vocoder(torch.randn(1, 80, 5)).shape == (1, 5 * 256)
        assert parts.codec(features)[0].shape == (1, 20)
        assert parts.campplus(torch.randn(1, 120, 80)).shape == (1, 24)
        assert parts.s2mel.dit.time(torch.tensor([0.3])).isfinite().all()
    assert torch.equal(parts.vocoder.taps, low_pass())
    built = Parts.build(SMALL)
    for name, module in parts.modules().items():
        assert not module.training
        for (key, buffer), other in zip(module.named_buffers(), built.modules()[name].buffers(), strict=True):
            assert buffer.dtype is other.dtype, key
        assert not any(p.requires_grad or p.is_meta for p in module.parameters())


@pytest.mark.parametrize(("precision", "dtype"), [("fp16", torch.float16), ("bf16", torch.bfloat16)])
def test_other_precisions_keep_what_decides_tokens_and_voices_in_fp32(written, precision: str, dtype: Any) -> None:
    folder, expected = written
    parts = load_parts(folder, precision)
    same(parts, expected, dtype)
    assert parts.vocoder.taps.dtype is dtype
    assert parts.speakers.dtype is torch.float32


def test_a_precision_that_does_not_exist(written: tuple[Path, dict[str, State]]) -> None:
    with pytest.raises(WeightsError, match="fp32, fp16, bf16; not as 'int8'"):
        load_parts(written[0], "int8")


# --- layouts ---


def test_everything_in_one_folder(folder: Path, written: tuple[Path, dict[str, State]]) -> None:
    for path in (folder / "hf_cache").iterdir():
        shutil.move(path, folder / path.name)
    (folder / "hf_cache").rmdir()
    shutil.move(folder / "bigvgan" / "bigvgan_generator.pt", folder / "bigvgan_generator.pt")
    shutil.move(folder / "bigvgan" / "config.json", folder / "config.json")
    (folder / "config.yaml").rename(folder / "config_v2.yaml")
    same(load_parts(folder), written[1])


def test_the_repository_with_its_checkpoints(folder: Path, written: tuple[Path, dict[str, State]]) -> None:
    folder.rename(folder.with_name("checkpoints"))
    same(load_parts(folder.parent), written[1])


def hub(folder: Path, to: Path, revision: str | None = None) -> None:
    """Move files from the flat cache of the public program to the hub's own layout under `to`."""
    for file in FILES:
        if file.place.startswith("hf_cache/") and (folder / file.place).exists():
            source = repository(file)
            name = f"models--{source.name.replace('/', '--')}"
            target = to / name / "snapshots" / (revision or source.revision) / file.remote
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(folder / file.place, target)


@pytest.mark.parametrize("revision", [None, "0123abcd"])
def test_a_cache_of_the_hub(folder: Path, written: tuple[Path, dict[str, State]], revision: str | None) -> None:
    hub(folder, folder / "hf_cache", revision)
    same(load_parts(folder), written[1])


def test_a_snapshot_in_the_cache_of_the_hub(folder: Path, written: tuple[Path, dict[str, State]]) -> None:
    cache = folder.parent / "hub"
    hub(folder, cache)
    shutil.rmtree(folder / "hf_cache")
    snapshot = cache / "models--IndexTeam--IndexTTS-2" / "snapshots" / REPOSITORIES["indextts2"].revision
    snapshot.parent.mkdir(parents=True)
    shutil.move(folder, snapshot)
    same(load_parts(snapshot), written[1])
    same(load_parts(cache), written[1])


def test_files_may_have_the_names_that_the_configuration_gives(folder: Path) -> None:
    config = tiny_checkpoint.config() | {"gpt_checkpoint": "mine/gpt_tuned.pth", "qwen_emo_path": "feelings"}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "mine").mkdir()
    (folder / "gpt.pth").rename(folder / "mine" / "gpt_tuned.pth")
    (folder / "qwen0.6bemo4-merge").rename(folder / "feelings")
    parts = load_parts(folder)
    assert parts.emotion_text is not None
    assert parts.emotion_text.folder.name == "feelings"


def test_the_emotion_model_is_optional(folder: Path) -> None:
    shutil.rmtree(folder / "qwen0.6bemo4-merge")
    assert load_parts(folder).emotion_text is None


# --- missing ---


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(
        WeightsError, match=r"none does not exist: .*'tts-lab fetch .*--weights FOLDER.*--weights random"
    ):
        load_parts(tmp_path / "none")
    (tmp_path / "file").write_text("x")
    with pytest.raises(WeightsError, match="file is a file, not a folder"):
        load_parts(tmp_path / "file")


def test_all_that_is_missing_is_told_at_once(folder: Path) -> None:
    for name in ("gpt.pth", "feat2.pt", "hf_cache/w2v-bert-2.0/model.safetensors"):
        (folder / name).unlink()
    with pytest.raises(WeightsError) as caught:
        load_parts(folder)
    said = str(caught.value)
    assert "lacks 3 of the 11 files" in said
    assert "gpt.pth (the language model, IndexTeam/IndexTTS-2: gpt.pth)" in said
    assert "model.safetensors (the speech features, facebook/w2v-bert-2.0: model.safetensors)" in said
    assert f"'tts-lab fetch indextts2 --to {folder}'" in said


def test_an_empty_folder_lacks_everything(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="lacks 11 of the 11 files"):
        load_parts(tmp_path)
    with pytest.raises(WeightsError, match="lacks 11 of the 11 files"):
        locate(tmp_path)


# --- damaged ---


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGE: list[tuple[Callable[[Path], None], str]] = [
    (cut, r"is cut short: it has [\d,]+ of [\d,]+ bytes, so its download ended early: download it again"),
    (lambda p: p.write_bytes(b""), "is empty: download it again"),
    (lambda p: p.write_bytes(b"<!DOCTYPE html><title>404</title>"), "is a web page, not weights"),
    (lambda p: p.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0"), "pointer of Git LFS"),
]
FILES_OF_TENSORS = (
    "gpt.pth", "s2mel.pth", "wav2vec2bert_stats.pt", "feat1.pt", "hf_cache/campplus_cn_common.bin",
    "hf_cache/bigvgan/bigvgan_generator.pt", "hf_cache/semantic_codec_model.safetensors",
    "hf_cache/w2v-bert-2.0/model.safetensors",
)  # fmt: skip


@pytest.mark.parametrize("name", FILES_OF_TENSORS)
@pytest.mark.parametrize(("damage", "says"), DAMAGE, ids=("cut", "empty", "page", "pointer"))
def test_a_damaged_file_is_named(folder: Path, name: str, damage: Callable[[Path], None], says: str) -> None:
    damage(folder / name)
    with pytest.raises(WeightsError, match=says) as caught:
        load_parts(folder)
    assert str(folder / name) in str(caught.value)


def test_a_file_as_long_as_the_released_one_is_damaged_rather_than_cut(folder: Path) -> None:
    (folder / "feat1.pt").write_bytes(b"PK\x03\x04" + bytes(60_000))
    with pytest.raises(WeightsError, match=r"feat1\.pt \(60,004 bytes\) is damaged or its download ended early"):
        load_parts(folder)


def test_no_code_in_a_pickle_is_run(folder: Path, tmp_path: Path) -> None:
    trap = tmp_path / "trap"

    class Code:
        def __reduce__(self):
            return os.system, (f"touch {trap}",)

    for name in ("gpt.pth", "s2mel.pth", "feat2.pt", "wav2vec2bert_stats.pt", "hf_cache/campplus_cn_common.bin"):
        whole = (folder / name).read_bytes()
        for zipped in (True, False):
            torch.save({"a": torch.ones(2), "code": Code()}, folder / name, _use_new_zipfile_serialization=zipped)
            with pytest.raises(
                WeightsError, match=rf"{name} holds more than tensors: it asks to run posix\.system, which"
            ):
                load_parts(folder)
        (folder / name).write_bytes(whole)
    assert not trap.exists()
    torch.load(saved(Code(), tmp_path), weights_only=False)
    assert trap.exists()  # the trap works where it is let


def saved(thing: Any, folder: Path) -> Path:
    torch.save(thing, folder / "x.pt")
    return folder / "x.pt"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("s2mel.pth", {"weights": torch.ones(2)}, "lacks the networks that s2mel.pth has under the name net"),
        ("s2mel.pth", {"net": {"cfm": torch.ones(2)}}, "lacks the networks"),
        ("wav2vec2bert_stats.pt", {"mean": torch.ones(1024)}, "lacks the tensors mean and var"),
        ("feat1.pt", {"x": torch.ones(2)}, "holds dict where one tensor is expected"),
        ("feat2.pt", torch.ones(73, 5), r"has the shape \(73, 5\) where \(73, 48\) is expected"),
        ("gpt.pth", torch.ones(3), "holds Tensor where named tensors are expected"),
        ("gpt.pth", {}, r"\d+ missing \("),
    ],
)
def test_a_file_with_something_else_in_it(folder: Path, name: str, content: Any, says: str) -> None:
    torch.save(content, folder / name)
    with pytest.raises(WeightsError, match=says):
        load_parts(folder)


# --- other releases, other sizes ---


def changed(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    config = tiny_checkpoint.config()
    change(config)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda c: c.update(version=2.5, codec="codec.pth"),
            r"belongs to IndexTTS-2\.5, and the lab loads IndexTTS-2: take",
        ),
        (lambda c: c.update(version=1.5, vqvae={}), r"belongs to IndexTTS-1\.5"),
        (lambda c: (c.pop("version"), c.update(bigvgan_checkpoint="x.pth")), r"belongs to IndexTTS-1\.x"),
        (lambda c: c["s2mel"]["DiT"].update(is_causal=True), "DiT.is_causal is True; the lab's networks are made for"),
        (lambda c: c["s2mel"]["wavenet"].pop("kernel_size"), "lacks wavenet.kernel_size"),
        (lambda c: c["s2mel"].pop("DiT"), "lacks DiT"),
        (lambda c: c["semantic_codec"].pop("vocos_dim"), "semantic_codec lacks vocos_dim"),
        (lambda c: c["s2mel"]["style_encoder"].update(dim=25), "gives 24 numbers for a voice, .* says 25"),
        (lambda c: c.update(emo_num=[1] * 8), "emo_num counts 8 stored voices, but there are 73"),
        (lambda c: c["gpt"].update(number_text_tokens=20), "text_embedding.weight 61x48 in place of 21x48"),
        (lambda c: c["gpt"].update(layers=2), r"\d+ unknown \(gpt\.h\.2\."),
        (lambda c: c["gpt"].update(layers=4), r"\d+ missing \(gpt\.h\.3\."),
    ],
)
def test_another_configuration(folder: Path, change: Callable[[dict[str, Any]], Any], says: str) -> None:
    changed(folder, change)
    with pytest.raises(WeightsError, match=says):
        load_parts(folder)


def resaved(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    content = load_file(path) if path.suffix == ".safetensors" else torch.load(path)
    change(content)
    save_file(content, path) if path.suffix == ".safetensors" else torch.save(content, path)


def test_the_language_model_of_another_release(folder: Path) -> None:
    resaved(folder / "gpt.pth", lambda state: state.update({"spk_emb_proj.weight": torch.ones(2, 2)}))
    with pytest.raises(WeightsError, match=r"gpt\.pth belongs to IndexTTS-2\.5"):
        load_parts(folder)
    resaved(folder / "gpt.pth", lambda state: [state.pop(n) for n in list(state) if n[:3] in ("spk", "emo")])
    with pytest.raises(WeightsError, match=r"gpt\.pth belongs to IndexTTS 1\.x"):
        load_parts(folder)


def test_what_training_wraps_around_a_state_is_taken_off(folder: Path, written: tuple[Path, dict[str, State]]) -> None:
    state = torch.load(folder / "gpt.pth")
    torch.save({"model": {f"module.{name}": x for name, x in state.items()}, "step": 5}, folder / "gpt.pth")
    same(load_parts(folder), written[1])


def test_differences_are_counted_and_shown(folder: Path) -> None:
    def change(state: dict[str, Any]) -> None:
        net = state["net"]["length_regulator"]
        for i in (0, 3, 6, 9):
            del net[f"model.{i}.bias"]
        net["new.weight"] = torch.ones(2)
        net["model.0.weight"] = torch.ones(2, 3)

    resaved(folder / "s2mel.pth", change)
    with pytest.raises(WeightsError) as caught:
        load_parts(folder)
    assert str(caught.value) == (
        f"The tensors of {folder / 's2mel.pth'} are not those of IndexTTS-2 at the size that its configuration says: "
        "4 missing (length_regulator.model.0.bias, length_regulator.model.3.bias, length_regulator.model.6.bias, ...); "
        "1 unknown (length_regulator.new.weight); 1 of another shape (length_regulator.model.0.weight 2x3 in place of "
        "48x48x3). Give the released files, all of the same release."
    )


@pytest.mark.parametrize(
    "name", ["hf_cache/semantic_codec_model.safetensors", "hf_cache/w2v-bert-2.0/model.safetensors"]
)
def test_safetensors_must_fit_too(folder: Path, name: str) -> None:
    resaved(folder / name, lambda state: state.update({"extra.weight": torch.ones(2)}))
    with pytest.raises(WeightsError, match=rf"{name} are not those .*1 unknown \(extra\.weight\)"):
        load_parts(folder)


def test_weight_norm_may_be_folded_already(folder: Path, written: tuple[Path, dict[str, State]]) -> None:
    def change(state: dict[str, Any]) -> None:
        generator = state["generator"]
        g, v = generator.pop("conv_pre.weight_g"), generator.pop("conv_pre.weight_v")
        generator["conv_pre.weight"] = g * v / v.flatten(1).norm(dim=1).view(-1, 1, 1)

    resaved(folder / "hf_cache/bigvgan/bigvgan_generator.pt", change)
    same(load_parts(folder), written[1])


def test_half_of_a_pair_is_missing(folder: Path) -> None:
    resaved(folder / "hf_cache/bigvgan/bigvgan_generator.pt", lambda s: s["generator"].pop("conv_pre.weight_g"))
    with pytest.raises(WeightsError, match=r"1 missing \(conv_pre\.weight\)"):
        load_parts(folder)


@pytest.mark.parametrize(
    ("text", "says"),
    [("{", "cannot be read as JSON"), ("[]", "must be a table"), ("{}", "lacks hidden_size")],
)
def test_a_bad_configuration_of_a_part(folder: Path, text: str, says: str) -> None:
    (folder / "hf_cache" / "w2v-bert-2.0" / "config.json").write_text(text)
    with pytest.raises(WeightsError, match=says):
        load_parts(folder)


def test_a_vocoder_of_another_kind(folder: Path) -> None:
    path = folder / "hf_cache" / "bigvgan" / "config.json"
    path.write_text(path.read_text().replace('"snakebeta"', '"snake"'))
    with pytest.raises(WeightsError, match="activation is 'snake'; the lab's networks are made for 'snakebeta' only"):
        load_parts(folder)


def test_a_tokenizer_with_more_pieces_than_the_model_knows(folder: Path) -> None:
    letters = [chr(0x4E00 + i) for i in range(80)]
    (folder / "bpe.model").write_bytes(tiny_checkpoint.tokenizer([" ".join(letters)] * 2, 90))
    with pytest.raises(WeightsError, match=r"has \d+ pieces, the language model knows 60"):
        load_parts(folder)


# --- the converted copy ---


def copies(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob(".tts_lab/*")}


ALL = {f"{name}.safetensors" for name in ("gpt", "s2mel", "campplus_cn_common", "bigvgan_generator")}


def test_pickles_are_converted_once(folder: Path, written: tuple[Path, dict[str, State]], monkeypatch) -> None:
    same(load_parts(folder), written[1])
    assert copies(folder) == ALL
    monkeypatch.setattr("tts_lab.systems.indextts2.checkpoint._s2mel_state", lambda _: pytest.fail("opened again"))
    same(load_parts(folder, "fp16"), written[1], torch.float16)
    same(load_parts(folder), written[1])


def test_a_copy_belongs_to_its_original(folder: Path) -> None:
    load_parts(folder)
    resaved(folder / "gpt.pth", lambda state: state["mel_head.bias"].fill_(3.0))
    assert load_parts(folder).gpt.mel_head.bias.eq(3).all()
    assert load_parts(folder).gpt.mel_head.bias.eq(3).all()


def test_a_damaged_copy_is_made_again(folder: Path, written: tuple[Path, dict[str, State]]) -> None:
    load_parts(folder)
    cut(folder / ".tts_lab" / "gpt.safetensors")
    same(load_parts(folder), written[1])


def test_no_copy_where_none_is_wanted(folder: Path, written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(converted.VARIABLE, "off")
    same(load_parts(folder), written[1])
    assert copies(folder) == set()


def test_copies_in_a_folder_of_their_own(folder: Path, written, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv(converted.VARIABLE, str(tmp_path / "cache"))
    same(load_parts(folder), written[1])
    same(load_parts(folder), written[1])
    assert copies(folder) == set()
    assert len(list((tmp_path / "cache").iterdir())) == 4


def test_a_copy_that_cannot_be_written_is_done_without(folder: Path, written, monkeypatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv(converted.VARIABLE, str(tmp_path / "file"))
    same(load_parts(folder), written[1])
    monkeypatch.delenv(converted.VARIABLE)
    monkeypatch.setattr(converted, "SPARE", 2**60)
    same(load_parts(folder), written[1])
    assert copies(folder) == set()


def test_a_conversion_that_is_stopped_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(tensors: Any, path: Path, *_: Any) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("safetensors.torch.save_file", stopped)
    with pytest.raises(KeyboardInterrupt):
        load_parts(folder)
    assert copies(folder) == set()
