"""Measurement noise of senders where sessions each see some: W is too small with it, else not."""

from dataclasses import replace
from functools import cache

import pytest
import torch
from systems import numbers
from torch import Tensor

from ngpipe.assembly.closed_form.chosen_frames import Frames, Transfer
from ngpipe.assembly.closed_form.rows import RowFit
from ngpipe.assembly.closed_form.session_noise import without_sender_noise
from ngpipe.assembly.closed_form.session_parts import Part, frames_of, session_parts
from ngpipe.assembly.closed_form.session_rows import Parts, solved
from ngpipe.assembly.closed_form.session_weights import _square
from ngpipe.assembly.closed_form.spline import Spline
from ngpipe.assembly.recording import Recording
from ngpipe.assembly.sessions import Sessions

N, HOLD, SIGMA = 10, 5, 0.45
AXIS = {"unit": 0.5, "reach": 9.0}
EVERYONE = torch.arange(N)
OFF = ~torch.eye(N, dtype=torch.bool)
LACKING = [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 0, 3], [1, 4, 7], [2, 5, 8]]


def true_psi() -> Transfer:
    psi = Spline(12, **AXIS)
    like = torch.zeros((), dtype=torch.float64)
    return Transfer(psi, psi.fit(torch.tanh, like=like)[None], torch.zeros_like(EVERYONE))


def measured(
    lacking: list[list[int]], length: int, *, sigma: float = SIGMA, stated: float | None = SIGMA
) -> tuple[Recording, Tensor]:
    """Sessions of noisy activity, which lasts for some frames, its exact rates, and the true W."""
    n = length * len(lacking)
    w = numbers(1, N, N).fill_diagonal_(0)
    shared = numbers(2, n // HOLD, 3) @ numbers(7, 3, N) + 0.7 * numbers(3, n // HOLD, N)
    x = shared.repeat_interleave(HOLD, 0) + numbers(8, N) + 0.2 * numbers(4, n, N)
    rate = true_psi().sent(x) @ w.T + 0.3 * numbers(5, n, N)
    seen = torch.ones(len(lacking), N, dtype=torch.bool)
    for k, absent in enumerate(lacking):
        seen[k, absent] = False
    session = torch.arange(n) // length
    hidden = ~seen[session]
    recording = Recording(
        (x + sigma * numbers(6, n, N)).masked_fill(hidden, torch.nan),
        rate.masked_fill(hidden, torch.nan),
        0.1,
        0.1,
        in_blocks=True,
        stretches=tuple(range(k * length, (k + 1) * length) for k in range(len(lacking))),
        sessions=Sessions(session, seen),
        reach=(0, 0),
        state_noise=None if stated is None else torch.full((N,), stated),
    )
    return recording, w


def parts_of(recording: Recording) -> Parts:
    chosen, phi = recording.training_frames, Spline(8, **AXIS)
    return Parts(session_parts(recording, chosen, phi, true_psi()), N, 1e-9)


def slope(found: Tensor, w: Tensor) -> float:
    """Least-squares slope of the found on the true weights."""
    e, t = found[OFF], w[OFF]
    return float(((e - e.mean()) * (t - t.mean())).sum() / (t - t.mean()).square().sum())


def spread(found: Tensor, w: Tensor) -> float:
    """Root mean square error of W over its own root mean square."""
    return float((found - w).norm() / w.norm())


@cache
def freed() -> tuple[Recording, Parts, Parts, Tensor]:
    """Sessions with their noise and without it, and the true W."""
    recording, w = measured([[], [0, 1]], 1000)
    plain = parts_of(recording)
    found, told = without_sender_noise(plain, recording)
    assert told.removed > 0.7
    return recording, plain, found, w


@pytest.mark.slow
def test_attenuation_is_removed():
    recording, w = measured(LACKING, 1500)
    plain = parts_of(recording)
    found, told = without_sender_noise(plain, recording)
    before, after = (solved(parts, EVERYONE)[0] for parts in (plain, found))
    assert slope(before, w) < 0.88
    assert slope(after, w) == pytest.approx(1, abs=0.08)
    assert spread(after, w) < 0.6 * spread(before, w)
    assert told.removed > 0.7
    assert 0.05 < told.size < 0.15


@pytest.mark.slow
def test_held_out_frames_refuse_noise_that_is_not_there():
    recording, _ = measured(LACKING, 1500, sigma=0.0)
    plain = parts_of(recording)
    found, told = without_sender_noise(plain, recording)
    assert found is plain
    assert told.removed == 0
    assert told.size > 0.05


@pytest.mark.parametrize("stated", [None, 0.0])
def test_without_known_noise_nothing_is_taken_out(stated):
    recording, _ = measured(LACKING[:2], 500, stated=stated)
    plain = parts_of(recording)
    found, told = without_sender_noise(plain, recording)
    assert found is plain
    assert (told.size, told.removed) == (0.0, 0.0)


def few_frames(n: int) -> Part:
    """A session of some frames, without neuron 2, with an input."""
    members = EVERYONE[EVERYONE != 2]
    frames = Frames(
        numbers(20, n, N - 1),
        numbers(21, n, N - 1),
        Spline(8, **AXIS),
        torch.arange(float(n)),
        inputs=1e3 * numbers(22, n, 1),
    )
    whole = true_psi()
    return Part(members, frames, replace(whole, group=whole.group[members]))


def test_noise_is_on_the_diagonal_of_senders_alone():
    part = few_frames(500)
    noise = torch.linspace(0.01, 0.05, N - 1, dtype=torch.float64)
    plain, found = part.seen(N), replace(part, noise=noise).seen(N)
    taken = plain.moment - found.moment
    assert taken[0].abs().max() == taken[-1].abs().max() == 0
    torch.testing.assert_close(taken[1:-1, 1:-1], torch.diag(noise))
    torch.testing.assert_close(torch.diag(found.noise), taken)
    assert plain.noise is None


@pytest.mark.parametrize(("n", "all_of_it"), [(5, False), (14, False), (2000, True)])
def test_moments_of_few_frames_stay_positive(n, all_of_it):
    """5 frames say nothing of 11 columns, 14 hardly anything."""
    part = replace(few_frames(n), noise=torch.full((N - 1,), 0.05, dtype=torch.float64))
    found = part.seen(N)
    size = found.moment.diagonal().sqrt()
    assert float(torch.linalg.eigvalsh(found.moment / size / size[:, None])[0]) > -1e-12
    if n < N:
        assert found.noise is None
    else:
        assert (float(found.noise.max()) == pytest.approx(0.05)) == all_of_it


def test_rows_are_those_that_accumulate_anew():
    _, plain, found, _ = freed()
    once, anew = next(plain.blocks(EVERYONE)).on(found), next(found.blocks(EVERYONE))
    for mine, other in zip(once.moments, anew.moments, strict=True):
        for name, value in vars(mine).items():
            torch.testing.assert_close(value, getattr(other, name))
    before = next(plain.blocks(EVERYONE)).moments[1]
    assert not torch.equal(once.moments[1].sent_own, before.sent_own)


def test_residuals_are_of_activity_as_it_was_measured():
    _, _, found, _ = freed()
    fit = next(found.blocks(EVERYONE)).solve()
    for k, part in enumerate(found.parts):
        here = torch.isin(EVERYONE, part.members)
        left = found.residual(k, part.equations.read(), fit.fit.some(here), part.members)
        torch.testing.assert_close(fit.square[part.members, k], left.square().mean(0))


def test_held_out_errors_by_which_sessions_are_weighed_are_free_of_it():
    """Of the true W where all are seen, what is left is the noise of the rate, 0.3."""
    recording, _, found, w = freed()
    fit = RowFit(w, w.new_zeros(N, 8), w.new_zeros(N))
    ((k, frames),) = frames_of(recording, found.parts, recording.selection_frames(10_000))
    assert k == 0
    free = _square(found, 0, frames, fit, EVERYONE)
    with_noise = found.residual(0, frames, fit, EVERYONE).square().mean(0)
    assert float(with_noise.mean()) > 0.4
    assert float(free.mean()) == pytest.approx(0.09, abs=0.12)


def noisy_part(seed: int, absent: int, sigma: float) -> Part:
    """Independent frames of a linear system, whose noise is to be taken out whole."""
    n, w = 1500, numbers(1, N, N).fill_diagonal_(0)
    members = EVERYONE[torch.arange(N) != absent]
    x = 0.3 * (numbers(seed, n, N) + numbers(seed + 1, n, 2) @ numbers(7, 2, N))
    rate, x = x @ w.T + 0.3 * numbers(seed + 2, n, N), x + sigma * numbers(seed + 3, n, N)
    psi, phi = Spline(12, **AXIS), Spline(8, **AXIS)
    line = psi.fit(lambda at: at, like=torch.zeros((), dtype=torch.float64))[None]
    frames = Frames(x[:, members], rate[:, members], phi, torch.arange(float(n)))
    noise = torch.full((len(members),), sigma**2, dtype=torch.float64)
    return Part(members, frames, Transfer(psi, line, torch.zeros_like(members)), noise)


def test_standard_errors_hold_with_noise_of_senders():
    w, z, without = numbers(1, N, N).fill_diagonal_(0), [], []
    for seed in (100, 200, 300):
        parts = Parts([noisy_part(seed + 10 * k, k, 0.3) for k in range(3)], N, 1e-9)
        found = next(parts.blocks(EVERYONE)).solve()
        for several, fit in ((z, found), (without, replace(found, sent_noise=None))):
            several.append(((fit.fit.weights - w) / fit.standard_errors(1.0))[OFF])
    assert float(torch.cat(z).square().mean().sqrt()) == pytest.approx(1, abs=0.2)
    assert float(torch.cat(without).square().mean().sqrt()) > 1.3
