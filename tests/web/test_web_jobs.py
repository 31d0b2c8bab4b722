"""Jobs: told about, stopped at the next call of a network, and let go of what they held."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest
import torch
from torch import nn

from tts_lab.errors import TextError
from tts_lab.web.jobs import Job, JobMeter, StoppedError


def done(job):
    job.start()
    job.join()
    return job


def test_gives_what_its_work_gave():
    assert done(Job(lambda job: 7)).result() == 7


def test_tells_how_far_it_is():
    job = done(Job(lambda job: job.tell("half", 0.5)))
    assert (job.said, job.share) == ("half", 0.5)


def test_raises_what_its_work_raised_without_a_trace_that_holds_tensors(capsys):
    held = []

    def work(job):
        tensor = torch.zeros(10)
        held.append(weakref.ref(tensor))
        raise TextError("no text")

    job = done(Job(work))
    gc.collect()
    assert held[0]() is None
    with pytest.raises(TextError, match="no text"):
        job.result()
    assert capsys.readouterr().err == ""


def test_an_error_of_the_lab_is_printed_for_whoever_runs_the_server(capsys):
    job = done(Job(lambda job: 1 / 0))
    with pytest.raises(ZeroDivisionError):
        job.result()
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_stops_at_the_next_call_of_a_network():
    network, begun = nn.Sequential(nn.Identity()), threading.Event()

    def work(job):
        while True:
            network(torch.zeros(1))
            begun.set()

    job = Job(work)
    job.start()
    assert begun.wait(120)
    network(torch.zeros(1))  # another thread's calls are not the job's
    job.stop()
    job.join()
    assert job.done
    with pytest.raises(StoppedError):
        job.result()


def test_stops_between_stages_that_call_no_network():
    job = Job(lambda job: None)
    job.stop()
    with pytest.raises(StoppedError), JobMeter(job).stage("vocoder"):
        pytest.fail("the stage began")


def test_a_stage_is_timed_and_named():
    meter = JobMeter(Job(lambda job: None))
    with meter.stage("semantic"):
        assert meter.running == "semantic"
    assert list(meter.stages) == ["semantic"]


def test_no_hook_stays_behind():
    from torch.nn.modules import module

    before = len(module._global_forward_pre_hooks)
    done(Job(lambda job: nn.Identity()(torch.zeros(1))))
    assert len(module._global_forward_pre_hooks) == before
