"""The bundled voice behind the page: what it says is what the command line would write, and it can be stopped."""

from __future__ import annotations

import pytest
import soundfile
import torch
from gradio_client import Client, handle_file

from tts_lab import Recipe, Request, load_system, say
from tts_lab.paths import data_dir
from tts_lab.web.limits import Limits
from tts_lab.web.serve import Address, Server
from tts_lab.web.shelf import Shelf

pytestmark = pytest.mark.slow
TEXT = "今天天气真好。"


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with Server(Shelf("cpu"), Limits(), Address(port=0)) as server:
        found = Client(
            server.url,
            verbose=False,
            download_files=str(tmp_path_factory.mktemp("downloads")),
            httpx_kwargs={"timeout": 120},
        )
        found.events = server.events
        yield found


def test_the_same_sound_as_without_a_page(client):
    _, sound, *_, facts = client.predict(TEXT, voice="yunxi", steps="2", seed=4, api_name="/speak")
    speech = say(load_system("mini", "cpu"), Request(TEXT, voice="yunxi", seed=4), Recipe(steps=2))
    samples = torch.from_numpy(soundfile.read(sound, dtype="float32")[0])
    assert torch.allclose(samples, speech.samples.clamp(-1, 1), atol=2**-14)  # 16 bits
    assert facts["receipt"]["evaluations"] == speech.receipt.evaluations


def test_a_clip_of_a_known_voice_is_that_voice_and_the_page_says_how_near(client):
    clip = handle_file(data_dir() / "references" / "yunxi.flac")
    sentence, *_, facts = client.predict(TEXT, reference=clip, api_name="/speak")
    assert "voice yunxi." in sentence
    assert "The clip is yunxi (distance 0." in sentence
    assert facts["receipt"]["clip"]["verdict"] == "known"


def test_a_long_text_is_stopped_within_a_piece(client, soon):
    job = client.submit(TEXT * 200, steps="100", api_name="/speak")
    running = soon(lambda: client.events.running and next(iter(client.events.running)))
    soon(lambda: running.said.startswith("Speaking"))
    assert job.cancel()
    soon(lambda: running.done and not client.events.running, 30)
    assert "of speech" in client.predict(TEXT, steps="1", api_name="/speak")[0]
