from __future__ import annotations

import numpy as np
import pytest

from tts_lab import Recipe, load_system, say
from tts_lab.errors import LabError
from tts_lab.experiments.film import film
from tts_lab.types import NEPER

TEXT = "你好。"


@pytest.fixture(scope="module")
def mini():
    return load_system("mini", "cpu")


@pytest.fixture(scope="module")
def filmed(mini):
    return film(mini, TEXT, Recipe(steps=6, guidance=1.0))


def test_every_step_is_there_with_its_evaluations(filmed):
    assert [frame.step for frame in filmed.frames] == [1, 2, 3, 4, 5, 6]
    assert [frame.evaluations for frame in filmed.frames] == [2, 4, 6, 8, 10, 12]
    assert filmed.frames[-1].evaluations == filmed.speech.receipt.evaluations
    assert all(a.t < b.t for a, b in zip(filmed.frames, filmed.frames[1:], strict=False))
    assert filmed.frames[-1].t == pytest.approx(1)


def test_the_last_step_is_the_finished_mel(filmed):
    mel = filmed.speech.waves[0].mel.values[0].numpy()
    wanted = np.clip((mel - mel.max()) * NEPER, -70, 0)
    assert np.allclose(filmed.frames[-1].state, wanted, atol=1e-3)
    assert np.allclose(filmed.mel, wanted, atol=1e-3)
    assert filmed.left[-1] == pytest.approx(0, abs=1e-3)


def test_the_way_leads_there(filmed):
    assert filmed.left[0] > filmed.left[3] > filmed.left[-1]
    assert len(filmed.changes) == 5
    assert min(filmed.changes) > 0


def test_the_first_heading_is_the_mel_of_a_single_step(mini, filmed):
    """Going straight on after the first step is what one step does: the same velocity, from the same noise."""
    alone = say(mini, TEXT, Recipe(steps=1, guidance=1.0)).waves[0].mel.values[0].numpy()
    loudest = filmed.speech.waves[0].mel.values[0].max().item()
    assert np.allclose(filmed.frames[0].heading, np.clip((alone - loudest) * NEPER, -70, 0), atol=0.01)


def test_filming_changes_nothing(mini, filmed):
    assert np.array_equal(say(mini, TEXT, Recipe(steps=6, guidance=1.0)).samples, filmed.speech.samples)


def test_of_a_long_text_the_first_piece_is_filmed(mini):
    found = film(mini, "你好。" * 12, Recipe(steps=2))
    assert len(found.speech.waves) > 1
    assert [frame.step for frame in found.frames] == [1, 2]
    assert found.mel.shape[1] == found.speech.waves[0].mel.values.shape[2]


def test_a_system_without_a_solver_has_no_film(system):
    with pytest.raises(LabError, match="fake has no solver"):
        film(system, "你好")


def test_the_table(filmed):
    table = filmed.table()
    assert list(table.columns) == ["t", "evaluations", "change_db", "left_db"]
    assert table["left_db"].iloc[-1] == 0


def test_a_full_size_solver_shows_its_steps_too():
    import torch

    from tts_lab.nn.watching import watched
    from tts_lab.systems.indextts2.cfm import generate

    class Still(torch.nn.Module):
        """A velocity of one everywhere."""

        def __init__(self):
            super().__init__()
            self.merge = torch.nn.Linear(1, 1)

        def forward(self, x, *_, **__):
            return torch.ones_like(x)

    seen = []
    with watched(seen.append), torch.no_grad():
        mel, _ = generate(Still(), torch.zeros(1, 80, 10), torch.zeros(1, 10, 2), torch.zeros(1, 3),
                          torch.zeros(1, 80, 4), steps=4, guidance=0)  # fmt: skip
    assert [s.state.shape for s in seen] == [(1, 80, 6)] * 4
    assert torch.allclose(seen[1].state, torch.full((1, 80, 6), 0.5))
    assert torch.allclose(seen[0].heading, mel.float())
