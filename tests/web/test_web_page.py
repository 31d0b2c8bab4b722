"""The page's calls from `gradio_client`: what they give, what they refuse, and what is left when they are stopped."""

from __future__ import annotations

import gc
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import matplotlib.image
import numpy as np
import pytest
import soundfile
import torch
import yaml
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from tts_lab.errors import LabError
from tts_lab.experiments.planner import plan
from tts_lab.experiments.vram import vram
from tts_lab.recipe import Recipe
from tts_lab.web.limits import Limits
from tts_lab.web.serve import Address, Server, free_port
from tts_lab.web.shelf import Shelf

TEXT = "今天天气真好，我们一起去公园吧！"
PATIENCE = 120  # seconds: on a busy machine an answer takes long
ALL = "/speak", "/predict_memory", "/plan", "/systems", "/voices"


@pytest.fixture(scope="module")
def client(server, tmp_path_factory):
    return connect(server, tmp_path_factory.mktemp("downloads"))


def connect(server, downloads=None, **options):
    where = str(downloads) if downloads else False
    return Client(server.url, verbose=False, download_files=where, httpx_kwargs={"timeout": PATIENCE}, **options)


def speak(client, text=TEXT, **options):
    return client.predict(text, **{"system": "fake", **options}, api_name="/speak")


def jobs(server):
    """Folders of jobs: what a job has written and nobody has yet."""
    return list(server.folder.glob("job-*"))


def refused(client, *parts, api="/speak", **options):
    with pytest.raises(AppError) as caught:
        client.predict(**{"text": "你好", "system": "fake", **options}, api_name=api)
    for part in parts:
        assert part in str(caught.value)
    assert "Traceback" not in str(caught.value)


# --- what the calls are ---


def test_calls_are_named_and_their_parameters_documented(client):
    found = client.view_api(return_format="dict")["named_endpoints"]
    assert set(found) == set(ALL)
    parameters = {p["parameter_name"]: p for p in found["/speak"]["parameters"]}
    assert [name for name, p in parameters.items() if not p["parameter_has_default"]] == ["text"]
    assert all(p["label"] for p in parameters.values())
    assert {"steps", "precision", "seed", "speed", "reference", "card", "recipe"} <= set(parameters)
    information = httpx.get(f"{client.src}gradio_api/info", timeout=PATIENCE).json()["named_endpoints"]
    for call in ALL:
        assert len(information[call]["description"]) > 20, call


def test_speaks(client, server):
    status, sound, picture, receipt, verdict, bar, facts = speak(client)
    assert "s of speech" in status
    samples, rate = soundfile.read(sound)
    assert rate == 22_050
    assert len(samples) / rate == pytest.approx(facts["receipt"]["audio_seconds"])
    assert np.abs(samples).max() > 0.1
    for path in (picture, bar):
        assert matplotlib.image.imread(path).shape[1] > 500
    assert receipt.startswith("<table>")
    assert "real-time factor" in receipt
    assert verdict.startswith("Fits: ")
    assert facts["receipt"]["system"] == facts["receipt"]["recipe_name"].replace("default", "fake")
    assert facts["memory"]["peak_reserved_bytes"] == vram("fake", "rtx3070", "default", 4.0).peak_reserved
    assert jobs(server) == []


def test_what_is_asked_for_is_done(client):
    plain, moved = speak(client), speak(client, voice="high", steps=2, guidance=1, seed=3, speed=2.0, card="24gb")
    receipt = moved[-1]["receipt"]
    assert (receipt["voice"], receipt["evaluations"], receipt["seed"]) == ("high", 4, 3)
    assert receipt["audio_seconds"] == pytest.approx(plain[-1]["receipt"]["audio_seconds"] / 2)
    assert moved[-1]["memory"]["card"] == "a card of 24gb"
    again = speak(client)
    assert Path(again[1]).read_bytes() == Path(plain[1]).read_bytes()


def test_a_clip_is_imitated(client, tmp_path):
    clip = voice(tmp_path / "me.wav", 2)
    status, *_, facts = speak(client, reference=handle_file(clip))
    assert facts["receipt"]["voice"] == "like me.wav"
    assert facts["receipt"]["notes"] == ["The clip was shortened."]
    assert status.endswith("The clip was shortened.")


def test_memory_is_predicted_without_speaking(client):
    options = {"system": "fake", "recipe": "fits-2gb", "precision": "fp32", "card": "350mb"}
    verdict, bar, facts = client.predict(TEXT, **options, api_name="/predict_memory")
    report = vram("fake", "350mb", Recipe.named("fits-2gb").replace(precision="fp32"), 4.0)
    assert facts["memory"]["peak_reserved_bytes"] == report.peak_reserved
    assert (facts["memory"]["verdict"], report.verdict) == ("out_of_memory", "out_of_memory")
    assert verdict.startswith("Out of memory: fake with ")
    assert matplotlib.image.imread(bar).ndim == 3


def test_a_recipe_is_planned_and_spoken_with(client, fast_plans):
    sentence, options, text = client.predict("你好", system="fake", card="4gb", api_name="/plan")
    assert sentence.startswith("For 1 s of speech with fake on a card of 4gb take ")
    assert "<table>" in options
    assert "<li>precision fp16 instead of fp32" in options
    assert Recipe.from_dict(yaml.safe_load(text)) in {found.recipe for found in fast_plans}
    status, *_, facts = speak(client, "你好", recipe="fit", card="4gb")
    assert "of speech with fake on a card of 4gb take " in status
    assert facts["receipt"]["recipe"] == fast_plans[-1].recipe.to_dict()


@pytest.fixture
def fast_plans(monkeypatch):
    """Plans that move one lever only; the list of those that were made."""
    made = []

    def quick(*args, **options):
        made.append(plan(*args, **options, levers=("precision",)))
        return made[-1]

    monkeypatch.setattr("tts_lab.web.memory.plan", quick)
    monkeypatch.setattr("tts_lab.experiments.fitting.plan", quick)
    return made


def test_systems_and_voices(client, tmp_path, monkeypatch):
    monkeypatch.setenv("TTS_LAB_WEIGHTS", str(tmp_path))
    systems = client.predict(api_name="/systems")
    assert systems["fake"] == systems["mini"] == ""
    assert "does not exist" in systems["indextts2"]
    found = client.predict("fake", api_name="/voices")
    assert found == {"voices": {"low": "a sine tone", "high": "a sine tone"}, "emotions": ["neutral"]}


# --- what is refused ---


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"text": ""}, ["There is no text to speak"]),
        ({"text": "  "}, ["There is no text to speak"]),
        ({"text": "hello"}, ["no character that can be spoken"]),
        ({"text": "好" * 201}, ["201 characters", "takes 200"]),
        ({"voice": "hgih"}, ["no voice 'hgih'", "did you mean 'high'"]),
        ({"card": "rtx9"}, ["There is no card 'rtx9'"]),
        ({"steps": 2.5}, ["steps must be a whole number"]),
        ({"steps": 0}, ["steps must be", "from 1 to 1000"]),
        ({"seed": -1}, ["seed must be a whole number"]),
        ({"speed": 9}, ["greater than maximum value 2"]),
        ({"recipe": "none"}, ["none is not in the list"]),
        ({"system": "none"}, ["none is not in the list"]),
        ({"recipe": "fit", "steps": 3}, ["leave steps as the recipe says"]),
    ],
)
def test_refused_with_a_sentence(client, server, options, parts):
    refused(client, *parts, **options)
    assert jobs(server) == []


def test_weights_that_are_not_here(client, tmp_path, monkeypatch):
    monkeypatch.setenv("TTS_LAB_WEIGHTS", str(tmp_path))
    refused(client, "tts-lab fetch indextts2", system="indextts2")
    assert client.predict("你好", system="sambert", api_name="/predict_memory")[2]["memory"]["verdict"] == "fits"


def test_clips_that_cannot_be_used(client, server, tmp_path):
    (tmp_path / "text.wav").write_text("no sound")
    refused(client, "text.wav is not sound", reference=handle_file(tmp_path / "text.wav"))
    refused(client, "long.wav is 6 s long", reference=handle_file(voice(tmp_path / "long.wav", 6)))
    assert jobs(server) == []


def test_an_upload_that_is_too_large_ends_before_it_is_stored(client, server):
    before = set(server.folder.rglob("*"))
    answer = httpx.post(
        f"{server.url}gradio_api/upload", files={"files": ("big.wav", b"0" * 600_000)}, timeout=PATIENCE
    )
    assert answer.status_code == 413
    assert "maximum allowed size" in answer.text
    assert set(server.folder.rglob("*")) == before


@pytest.mark.parametrize("path", ["/etc/hostname", "http://127.0.0.1:9/clip.wav"])
def test_only_what_was_uploaded_is_a_clip(client, server, path):
    """Neither a file of the server nor one that it would have to fetch."""
    clip = {"path": path, "meta": {"_type": "gradio.FileData"}}
    start = httpx.post(
        f"{server.url}gradio_api/call/v2/speak",
        json={"text": "你好", "system": "fake", "reference": clip},
        timeout=PATIENCE,
    )
    said = httpx.get(f"{server.url}gradio_api/call/speak/{start.json()['event_id']}", timeout=PATIENCE).text
    assert "event: error" in said
    assert "event: complete" not in said
    if path.startswith("http"):
        assert "not from an address" in json.loads(said.rpartition("data: ")[2])["error"]


def test_an_error_of_the_lab_is_not_told_as_the_visitors(client, server, monkeypatch, capfd):
    monkeypatch.setattr("fake_system.ToneSystem.vocoder", lambda *_: 1 / 0)
    refused(client, "an error of its own")
    assert "ZeroDivisionError" in capfd.readouterr().err
    assert jobs(server) == []


def test_a_card_that_runs_out_of_memory(client, monkeypatch):
    def vocoder(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("fake_system.ToneSystem.vocoder", vocoder)
    refused(client, "ran out of memory with the recipe default", "a plan for the card")


def test_speech_stays_where_its_memory_cannot_be_predicted(client, monkeypatch):
    def vram(*_):
        raise LabError("no trace today")

    monkeypatch.setattr("tts_lab.web.memory.vram", vram)
    _, sound, _, _, verdict, bar, facts = speak(client)
    assert soundfile.info(sound).frames
    assert (verdict, bar, "memory" in facts) == ("no trace today", None, False)


# --- many visitors ---


def test_one_copy_for_all(serve, slow):
    """Four visitors at once: each gets its own speech, one copy of the system is in memory, one job runs at a time."""
    server = serve()
    import slow_system

    texts = ["你" * length for length in (2, 4, 6, 8)]
    clients = [connect(server) for _ in texts]
    waiting = [c.submit(text, system="slow", api_name="/speak") for c, text in zip(clients, texts, strict=True)]
    with ThreadPoolExecutor() as pool:
        pool.submit(lambda: [each.begun.wait(PATIENCE) and each.enough.set() for each in wait_for(slow_system.LOADED)])
        facts = [job.result(timeout=PATIENCE)[-1] for job in waiting]
    assert len(slow) == 1
    seconds = [each["receipt"]["audio_seconds"] for each in facts]
    assert [round(each / seconds[0], 2) for each in seconds] == [1, 2, 3, 4]


def wait_for(loaded):
    while not loaded:
        time.sleep(0.01)
    return loaded


def test_a_full_queue_is_told(serve, slow, soon):
    server = serve(Limits(waiting=1))
    first, second, third = (connect(server) for _ in range(3))
    running = first.submit("你好", system="slow", api_name="/speak")
    soon(lambda: slow and slow[0].begun.is_set())
    queued = second.submit("你好", system="fake", api_name="/speak")
    soon(lambda: queued.status().rank == 0)
    with pytest.raises(Exception, match="(?i)queue is full"):
        speak(third, "你好")
    slow[0].enough.set()
    assert running.result(timeout=PATIENCE)
    assert queued.result(timeout=PATIENCE)


# --- stopping ---


def ended(server, system):
    """The job has ended: its network is not called any more, its tensors are gone, and so is its folder."""
    gc.collect()
    return not server.events.running and system.activation() is None and not jobs(server)


def test_a_stopped_job_ends_at_the_next_call_of_the_network(serve, slow, soon):
    server = serve()
    client = connect(server)
    job = client.submit("你好", system="slow", api_name="/speak")
    system = soon(lambda: slow and slow[0].begun.is_set() and slow[0])
    soon(lambda: server.events.running)
    assert job.cancel()
    soon(lambda: ended(server, system))
    calls = system.calls
    assert speak(connect(server), "你好")  # the next one has its turn
    assert system.calls == calls


def test_one_who_leaves_takes_the_job_along(serve, slow, soon):
    server = serve()
    call = f"{server.url}gradio_api/call"
    event = httpx.post(f"{call}/v2/speak", json={"text": "你好", "system": "slow"}, timeout=PATIENCE).json()["event_id"]
    with httpx.stream("GET", f"{call}/speak/{event}", timeout=PATIENCE) as answer:
        lines = answer.iter_lines()
        next(lines)
        system = soon(lambda: slow and slow[0].begun.is_set() and slow[0])
    soon(lambda: ended(server, system))


def test_a_stopped_plan_ends(server, soon):
    job = connect(server).submit("你好世界", system="mini", card="rtx2060", api_name="/plan")
    running = soon(lambda: server.events.running and next(iter(server.events.running)))
    soon(lambda: running.said.startswith("Planning"))
    assert job.cancel()
    soon(lambda: running.done and not server.events.running, 10)


def test_a_server_that_ends_leaves_nothing(registered, slow, soon):
    before = os.environ.get("GRADIO_TEMP_DIR")
    with Server(Shelf("cpu"), Limits(), Address(port=0), "fake") as server:
        connect(server).submit("你好", system="slow", api_name="/speak")
        system = soon(lambda: slow and slow[0].begun.is_set() and slow[0])
        port = int(server.url.rpartition(":")[2].strip("/"))
    assert not server.folder.exists()
    assert os.environ.get("GRADIO_TEMP_DIR") == before
    gc.collect()
    assert system.activation() is None
    assert free_port(Address(port=port)) == port


# --- who may come ---


def test_login(serve):
    server = serve(login=("ann", "secret"))
    speech = httpx.post(f"{server.url}gradio_api/call/v2/speak", json={"text": "你好"}, timeout=PATIENCE)
    upload = httpx.post(f"{server.url}gradio_api/upload", files={"files": ("a.wav", b"0")}, timeout=PATIENCE)
    assert (speech.status_code, upload.status_code) == (401, 401)
    with pytest.raises(Exception, match="(?i)credentials|login|auth"):
        connect(server, auth=("ann", "wrong"))
    assert "s of speech" in speak(connect(server, auth=("ann", "secret")), "你好")[0]
    assert "secret" not in repr(server.address)


def test_listens_on_this_machine_alone(server):
    assert server.url.startswith("http://127.0.0.1:")
    assert Address().private
    assert not Address("0.0.0.0").private


def test_a_port_in_use(server, registered):
    port = int(server.url.rpartition(":")[2].strip("/"))
    with pytest.raises(LabError, match=f"Port {port} is in use"):
        Server(Shelf("cpu"), Limits(), Address(port=port), "fake")


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        (Address(port=99_999), "no port 99999"),
        (Address("198.51.100.1"), "is no address of this machine"),
        (Address("no such name"), "is no address of this machine"),
    ],
)
def test_addresses_that_cannot_be(address, sentence):
    with pytest.raises(LabError, match=sentence):
        free_port(address)


def voice(path, seconds, rate=8000):
    soundfile.write(path, 0.3 * np.sin(np.arange(int(seconds * rate)) / 7), rate)
    return path
