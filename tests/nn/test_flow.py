"""Solvers against the exact solution, schedules, guidance and its count."""

import math

import pytest
import torch

from tts_lab.nn.flow import (
    LEAP_FROM,
    SCHEDULES,
    SOLVERS,
    Step,
    evaluations,
    guided,
    guided_alternate,
    guided_batched,
    path,
    preconditioned,
    schedule,
    solve,
)


def decay(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """dx/dt = -2 t x, solved by x(1) = x(0) / e."""
    return -2 * t.view(-1, 1) * x


def error(solver: str, steps: int) -> float:
    x = solve(decay, torch.ones(1, 1, dtype=torch.float64), schedule(steps, "uniform"), solver)
    return abs(float(x) - math.exp(-1))


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("midpoint", 2), ("heun", 2), ("adams", 2)])
def test_solvers_converge_at_their_order(solver: str, order: int) -> None:
    measured = math.log2(error(solver, 20) / error(solver, 40))
    assert measured == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("kind", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 7, 32])
def test_schedules_run_from_noise_to_data(kind: str, steps: int) -> None:
    times = schedule(steps, kind)
    assert len(times) == steps + 1
    assert float(times[0]) == 0
    assert float(times[-1]) == pytest.approx(1, abs=1e-12)
    assert bool((torch.diff(times) > 0).all())


def test_sway_takes_small_steps_first() -> None:
    sizes = torch.diff(schedule(8, "sway"))
    assert bool((torch.diff(sizes) > 0).all())


def of_noise(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """The true velocity where the data are unit noise themselves."""
    return preconditioned(x, t, torch.zeros_like(x))


def test_a_leap_ends_at_the_mean_of_what_is_likely_from_there() -> None:
    """E[data | x_t] = t/q x_t for unit noise (Gaussian conditioning), not another draw of it."""
    seen: list[Step] = []
    start = torch.ones(1, 1, dtype=torch.float64)
    end = solve(of_noise, start, schedule(8, "leap"), callback=seen.append)
    q = LEAP_FROM**2 + (1 - LEAP_FROM) ** 2
    assert seen[-2].t == pytest.approx(LEAP_FROM)
    assert float(end) == pytest.approx(LEAP_FROM / q * float(seen[-2].x))
    drawn = solve(of_noise, start, schedule(64, "sway"))
    assert float(end) < 0.6 < 0.9 < float(drawn)


def test_adams_does_not_extrapolate_over_a_leap() -> None:
    seen: list[Step] = []
    solve(decay, torch.ones(1, 1, dtype=torch.float64), schedule(6, "leap"), "adams", seen.append)
    before, last = seen[-2:]
    assert float(last.velocity) == pytest.approx(-2 * before.t * float(before.x), rel=1e-6)
    moved = float(last.x) - (1 - before.t) * float(last.velocity)
    assert moved == pytest.approx(float(before.x), rel=2e-3)  # which the corrector has mended a little


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("guidance", [0.0, 1.5])
def test_evaluations_are_what_is_called(solver: str, guidance: float) -> None:
    calls = 0

    def count(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return x

    velocity = guided(count, count, guidance) if guidance else count
    solve(velocity, torch.ones(1, 1), schedule(3), solver)
    assert calls == evaluations(3, solver, guidance)


def test_batched_and_sequential_guidance_agree() -> None:
    def both(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        half = len(x) // 2
        return torch.cat((x[:half] * 2 + t[0], x[half:] * 3))

    def conditional(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return x * 2 + t[0]

    x = torch.randn(2, 5, generator=torch.Generator().manual_seed(0))
    t = torch.full((2,), 0.3)
    sequential = guided(conditional, lambda x, t: x * 3, 1.5)(x, t)
    torch.testing.assert_close(guided_batched(both, 1.5)(x, t), sequential)
    torch.testing.assert_close(sequential, conditional(x, t) * 2.5 - 1.5 * x * 3)


def test_adams_is_exact_where_the_velocity_is_a_line() -> None:
    """Its first step is Euler's; from the second on the corrector mends what that one missed."""
    line = lambda x, t: 1 + 4 * t.view(-1, 1).double().expand_as(x)  # noqa: E731 - x(t) = t + 2 t^2
    for times in (schedule(3, "uniform"), schedule(5, "sway")):
        assert float(solve(line, torch.zeros(1, 1, dtype=torch.float64), times, "adams")) == pytest.approx(3, abs=1e-6)
    once = solve(line, torch.zeros(1, 1), schedule(1), "adams")
    assert torch.equal(once, solve(line, torch.zeros(1, 1), schedule(1), "euler"))


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_alternating_guidance_halves_the_unconditional_calls(solver: str, steps: int) -> None:
    calls = 0

    def conditional(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += len(x)
        return x * 2

    velocity = guided_alternate(conditional, conditional, 1.5)
    solve(velocity, torch.ones(1, 1), schedule(steps), solver)
    assert calls == evaluations(steps, solver, 1.5, "alternate")


def test_alternating_guidance_is_exact_where_the_difference_stays() -> None:
    shift = torch.tensor([[0.0], [3.0]])  # of the unconditional half
    both = lambda x, t: x * 2 - shift[: len(x)]  # noqa: E731
    conditional = lambda x, t: x * 2  # noqa: E731
    x = torch.randn(1, 5, generator=torch.Generator().manual_seed(0))
    spared = solve(guided_alternate(conditional, both, 0.7), x, schedule(4))
    torch.testing.assert_close(spared, solve(guided_batched(both, 0.7), x, schedule(4)))


def test_callback_sees_each_step_and_the_solver_keeps_none() -> None:
    seen: list[Step] = []
    x = solve(decay, torch.ones(1, 1), schedule(4), callback=seen.append)
    assert [s.index for s in seen] == [0, 1, 2, 3]
    assert seen[-1].t == pytest.approx(1)
    assert torch.equal(seen[-1].x, x)


def test_preconditioning_is_exact_for_independent_unit_gaussians() -> None:
    """With nothing to learn from the condition the best velocity is linear in x, so the network's share is nil."""
    g = torch.Generator().manual_seed(0)
    noise, data = torch.randn(2, 200_000, 1, generator=g)
    for value in (0.1, 0.5, 0.9):
        t = torch.full((len(noise),), value)
        x, target = path(noise, data, t)
        guess = preconditioned(x, t, torch.zeros_like(x))
        assert float(((target - guess) * x).mean()) == pytest.approx(0, abs=0.02)
        q = value**2 + (1 - value) ** 2
        assert float((target - guess).square().mean()) * q == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: schedule(0), "at least 1"),
        (lambda: schedule(2, "log"), "log"),
        (lambda: solve(decay, torch.ones(1, 1), schedule(1), "rk4"), "rk4"),
    ],
)
def test_bad_settings_are_named(call, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        call()
