from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import soundfile
import torch
from typer.testing import CliRunner

from tts_lab import cli
from tts_lab.errors import LabError
from tts_lab.recipe import Recipe

HERE = Path(__file__).resolve().parent
TEXT = "今天天气真好，我们一起去公园吧！"
KEYS = {
    "system", "voice", "recipe", "seed", "audio_seconds", "wall_seconds", "real_time_factor", "evaluations",
    "peak_process_bytes", "stages",
}  # fmt: skip

# The command in a process of its own, with the fake system in the place of the bundled one.
LAUNCH = """
import sys
sys.path[:0] = [{here!r}, {root!r}]
from tts_lab.systems import SYSTEMS
SYSTEMS["mini"] = SYSTEMS["fake"] = "fake_system"
import fake_system
{extra}
from tts_lab.cli import main
main()
"""


@pytest.fixture
def run(fake, tmp_path, monkeypatch):
    """Run `tts-lab speak` in an empty folder, with the fake system."""
    monkeypatch.chdir(tmp_path)

    def call(*args, stdin=None):
        return CliRunner().invoke(cli.app, [*map(str, args)], input=stdin)

    return call


def speak(run, *args, **kwargs):
    return run("speak", "--system", "fake", *args, **kwargs)


def launch(args, extra="", **kwargs):
    # A test run that was started in the background ignores interrupts, and would hand that on.
    extra = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n{extra}"
    code = LAUNCH.format(here=str(HERE), root=str(HERE.parent), extra=extra)
    return subprocess.Popen(
        [sys.executable, "-c", code, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kwargs
    )


def refused(result, *parts):
    """Exit code 2, one sentence on stderr, nothing on stdout, and no file in the folder."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert len(result.stderr.strip().splitlines()) == 1
    for part in parts:
        assert part in result.stderr
    assert "Traceback" not in result.output


def test_speaks_into_the_default_file_and_prints_the_receipt(run, tmp_path):
    result = speak(run, TEXT)
    assert result.exit_code == 0
    assert soundfile.info(tmp_path / "speech.wav").frames > 20_000
    for part in ("Receipt", "vocoder", "real-time factor", "Wrote speech.wav"):
        assert part in result.stdout


def test_json_is_the_last_line_and_has_the_promised_keys(run):
    result = speak(run, TEXT + "☃", "--json", "--seed", 4, "--steps", 2, "--guidance", 0, "--solver", "heun")
    data = json.loads(result.stdout.splitlines()[-1])
    assert data.keys() >= KEYS
    assert (data["system"], data["voice"], data["seed"], data["evaluations"]) == ("fake", "low", 4, 4)
    assert data["recipe"]["solver"] == "heun"
    assert data["unknown"] == ["☃"]
    assert data["out"] == "speech.wav"
    assert list(data["stages"]) == ["speaker", "semantic", "acoustic", "vocoder"]


def test_same_seed_same_bytes(run, tmp_path):
    for name, seed in (("a.wav", 1), ("b.wav", 1), ("c.wav", 2)):
        assert speak(run, TEXT, "-o", name, "--seed", seed, "-q").exit_code == 0
    a, b, c = ((tmp_path / name).read_bytes() for name in ("a.wav", "b.wav", "c.wav"))
    assert a == b
    assert a != c


def test_quiet_prints_nothing_but_what_was_not_spoken(run):
    assert speak(run, TEXT, "--quiet").output == ""
    result = speak(run, TEXT + "☃", "--quiet")
    assert (result.stdout, result.stderr.strip()) == ("", "Not spoken: ☃")


def test_unknown_characters_stand_in_the_receipt(run):
    result = speak(run, "你好☃")
    assert "not spoken" in result.stdout
    assert "☃" in result.stdout


@pytest.mark.parametrize("source", ["file", "bom", "stdin"])
def test_text_from_a_file_or_stdin(run, tmp_path, source):
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8-sig" if source == "bom" else "utf-8")
    name = "-" if source == "stdin" else path
    result = speak(run, "--text-file", name, "--json", stdin=path.read_bytes() if source == "stdin" else None)
    data = json.loads(result.stdout)
    assert data["unknown"] == []  # a byte order mark is not text
    assert data["audio_seconds"] == pytest.approx(14 * 12 * 256 / 22_050, abs=1e-3)


def test_long_text_is_spoken(run, tmp_path):
    (tmp_path / "long.txt").write_text("我们去公园，" * 500, encoding="utf-8")
    result = speak(run, "--text-file", "long.txt", "--json", "--speed", 2)
    assert json.loads(result.stdout)["chunks"] == 50


@pytest.mark.parametrize(
    ("args", "part"),
    [
        ([""], "no text to speak"),
        (["  \n"], "no text to speak"),
        (["😀😀"], "can be spoken"),
        ([], "either the text itself or --text-file"),
        ([TEXT, "--text-file", "x"], "either the text itself or --text-file"),
        (["--text-file", "none.txt"], "none.txt cannot be read"),
        ([TEXT, "--steps", "0"], "steps must be from 1 to 1000, but is 0"),
        ([TEXT, "--steps", "-1"], "but is -1"),
        ([TEXT, "--steps", "10000"], "but is 10000"),
        ([TEXT, "--guidance", "nan"], "guidance must be a finite number"),
        ([TEXT, "--guidance", "inf"], "guidance must be a finite number"),
        ([TEXT, "--solver", "rk4"], "one of euler, midpoint, heun"),
        ([TEXT, "--speed", "nan"], "speed must be"),
        ([TEXT, "--speed", "3"], "speed must be"),
        ([TEXT, "--seed", "-1"], "seed must be"),
        ([TEXT, "--voice", "lwo"], "did you mean 'low'"),
        ([TEXT, "--recipe", "fast"], "No recipe is called 'fast'"),
        ([TEXT, "--recipe", "none.yaml"], "none.yaml"),
        ([TEXT, "--system", "minni"], "did you mean 'mini'"),
        ([TEXT, "--device", "gpu"], "no device 'gpu'"),
        ([TEXT, "--device", "cuda:99"], "cuda:99 is not available"),
        ([TEXT, "--out", "none/a.wav"], "no folder none"),
        ([TEXT, "--out", "a.txt"], "a.txt"),
        ([TEXT, "--out", "a"], ".wav"),
        ([TEXT, "--out", "."], ".wav"),
        ([TEXT, "--mel", "a.jpg"], ".png"),
        ([TEXT, "--mel", "none/a.png"], "no folder none"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(run, tmp_path, args, part):
    refused(speak(run, *args), part)
    assert list(tmp_path.iterdir()) == []


def test_unknown_key_of_a_recipe_file(run, tmp_path):
    (tmp_path / "r.yaml").write_text("stepps: 4")
    refused(speak(run, TEXT, "--recipe", "r.yaml"), "r.yaml", "'stepps'", "did you mean 'steps'", "guidance_mode")
    assert [p.name for p in tmp_path.iterdir()] == ["r.yaml"]


def test_text_file_in_another_encoding(run, tmp_path):
    (tmp_path / "gbk.txt").write_bytes(TEXT.encode("gbk"))
    refused(speak(run, "--text-file", "gbk.txt"), "gbk.txt is not text in UTF-8")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_folder_without_permission(run, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    refused(speak(run, TEXT, "--out", "locked/a.wav"), "locked")


def test_unwritable_output_is_found_before_the_system_is_loaded(run, monkeypatch):
    monkeypatch.setattr("tts_lab.commands.speak.load", lambda *_: pytest.fail("the system was loaded"))
    refused(speak(run, TEXT, "--out", "none/a.wav"))
    refused(speak(run, TEXT, "--steps", "0"))


def test_wrong_type_of_an_option_is_exit_code_2(run):
    result = speak(run, TEXT, "--steps", "many")
    assert result.exit_code == 2
    assert "--steps" in result.stderr


def test_article_yaml_runs_and_its_idle_levers_are_noted(run, tmp_path):
    (tmp_path / "article.yaml").write_text(
        "inference:\n  diffusion_steps: 30\n  use_fp16: true\n  enable_gradient_checkpointing: true\n"
        "  cpu_offload: true\n  max_text_length_per_chunk: 60\n"
    )
    data = json.loads(speak(run, TEXT, "--recipe", "article.yaml", "--json", "--steps", 3).stdout)
    assert data["recipe"]["precision"] == "fp16"
    assert data["evaluations"] == 6
    assert len(data["notes"]) == 3


def test_mel_is_drawn_only_when_asked(run, tmp_path):
    speak(run, TEXT, "-q")
    assert [p.name for p in tmp_path.iterdir()] == ["speech.wav"]
    result = speak(run, TEXT, "--mel", "mel.png")
    assert (tmp_path / "mel.png").read_bytes().startswith(b"\x89PNG")
    assert "mel.png" in result.stdout
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mel.png", "speech.wav"]


def test_the_picture_of_a_fitted_speech_is_as_long_as_its_sound(run, monkeypatch):
    """Pieces overlap as the first recipe says, also those that a later one speaks."""
    from fake_system import ToneSystem
    from tts_lab.experiments import fitting
    from tts_lab.show import plots

    drawn = []
    recipes = tuple(Recipe(max_chars=10, crossfade_ms=overlap) for overlap in (200, 100))
    monkeypatch.setattr(fitting, "fit", lambda *_: fitting.Fitted(recipes, "two recipes"))
    monkeypatch.setattr(ToneSystem, "vocoder", memory_runs_out_once(ToneSystem.vocoder))
    monkeypatch.setattr(plots, "save", lambda figure, path: drawn.append(figure))
    receipt = json.loads(speak(run, "今天天气真好我们一起去公园吧", "--fit", "--mel", "mel.png", "--json").stdout)
    assert [part["recipe"]["crossfade_ms"] for part in receipt["spoken"]] == [100]
    _, end = drawn[0].axes[0].get_xlim()
    assert end == pytest.approx(receipt["audio_seconds"], abs=1e-5)


def memory_runs_out_once(stage):
    left = [torch.OutOfMemoryError("CUDA out of memory.")]

    def run(*arguments):
        if left:
            raise left.pop()
        return stage(*arguments)

    return run


def test_other_errors_are_not_swallowed(run, monkeypatch):
    monkeypatch.setattr("tts_lab.commands.speak.load", lambda *_: 1 / 0)
    assert isinstance(speak(run, TEXT).exception, ZeroDivisionError)


def test_set_moves_any_lever(run):
    receipt = json.loads(speak(run, TEXT, "--set", "crossfade_ms=40", "--set", "solver=heun", "--json").stdout)
    assert (receipt["recipe"]["crossfade_ms"], receipt["recipe"]["solver"]) == (40, "heun")


@pytest.mark.parametrize(("given", "words"), [("crossfade_ms", "wants lever=value"), ("stepz=3", "did you mean")])
def test_set_says_what_it_wants(run, given, words):
    assert words in speak(run, TEXT, "--set", given).stderr


def test_emotions_are_listed_where_there_are_several(run):
    assert "emotions: neutral, happy" in run("voices").stdout
    assert "emotions" not in run("voices", "--system", "fake").stdout


def test_voices(run):
    assert run("voices", "--system", "fake").stdout == "low   a sine tone\nhigh  a sine tone\n"
    named = json.loads(run("voices", "--system", "fake", "--json").stdout)
    assert named == {"low": "a sine tone", "high": "a sine tone"}


def test_doctor_reports_in_words_and_as_json(run, monkeypatch):
    from tts_lab import doctor

    monkeypatch.setattr(doctor, "warm", lambda: 1.5)  # compiles for up to a minute the first time
    assert "torchaudio" in run("doctor").stdout
    data = json.loads(run("doctor", "--json").stdout)
    assert data["warm_seconds"] == 1.5
    assert isinstance(data["problems"], list)


def test_recipes_lists_every_preset_and_lever(run):
    result = run("recipes")
    assert result.exit_code == 0
    for word in ("default", "article-recommended", "crossfade_ms", "sway"):
        assert word in result.stdout


def test_device_names(monkeypatch):
    import torch

    from tts_lab.systems import resolve_device

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("auto") == "cuda"
    assert resolve_device("cuda:1") == "cuda:1"
    with pytest.raises(LabError, match="sees 2 CUDA cards"):
        resolve_device("cuda:2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == "cpu"
    with pytest.raises(LabError, match="sees no CUDA card"):
        resolve_device("cuda")


def test_help_is_quick_because_it_loads_nothing_heavy():
    code = (
        "import sys; sys.argv = ['tts-lab', '--help']\n"
        "from tts_lab.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'numpy', 'matplotlib', 'yaml', 'jieba', 'IPython'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=HERE.parent)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "speak" in done.stdout


def test_whole_process(tmp_path):
    process = launch(["speak", TEXT, "--json"], cwd=tmp_path)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    data = json.loads(out.splitlines()[-1])
    assert data.keys() >= KEYS
    assert data["process_seconds"] > data["wall_seconds"]
    assert err == ""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_in_the_middle_leaves_no_file(tmp_path, number, code):
    slow = (
        "import time\nquick = fake_system.ToneSystem.vocoder\n"
        "fake_system.ToneSystem.vocoder = lambda *a: (time.sleep(0.2), quick(*a))[1]"
    )
    process = launch(["speak", "我们去公园" * 5000, "--quiet"], extra=slow, cwd=tmp_path)
    deadline = time.monotonic() + 120
    while not any(p.suffix == ".part" and p.stat().st_size > 10_000 for p in tmp_path.iterdir()):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == code
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []
