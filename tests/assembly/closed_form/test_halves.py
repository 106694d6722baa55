"""W of the halves of a recording: alike where it is determined, unlike where it is not."""

import numpy as np
import pytest
import torch
from systems import numbers

from ngpipe.assembly.closed_form.halves import halves
from ngpipe.assembly.gradient import build
from ngpipe.assembly.recording import Recording
from ngpipe.assembly.sessions import Sessions
from ngpipe.config.assembly.training import Training
from ngpipe.errors import DivergenceError

N, DT = 8, 0.1
OFF = ~np.eye(N, dtype=bool)
CFG = Training(network={"hidden": 8})


def recording(n: int, noise: float) -> tuple[Recording, torch.Tensor]:
    """Random activity whose differences are those of W and the psi with which a model starts."""
    x = numbers(1, n, N).float()
    made = Recording(x, None, DT, held_out=0.1)
    model = build(made, CFG, torch.Generator().manual_seed(0), made.scales())
    weights = numbers(2, N, N).float().fill_diagonal_(0)
    sent = model.sent(x)[..., 0].detach()
    rate = sent @ weights.T - x + noise * numbers(3, n, N).float()
    return Recording(x, rate, DT, held_out=0.1), weights


SEEN = torch.ones(4, N, dtype=torch.bool)
SEEN[0, [0, 2]] = SEEN[1, [1, 3]] = SEEN[2, [0, 4]] = SEEN[3, [1, 2]] = False
"""Neurons of four sessions; none sees neurons 0 and 1 together."""


def in_sessions(whole: Recording) -> Recording:
    """A recording cut into four sessions that lack some neurons, with every value of a rate."""
    of_frame = torch.arange(whole.n_frames) * len(SEEN) // whole.n_frames
    hidden, length = ~SEEN[of_frame], whole.n_frames // len(SEEN)
    return Recording(
        whole.activity.masked_fill(hidden, torch.nan),
        whole.rate.masked_fill(hidden, torch.nan),
        DT,
        held_out=0.1,
        stretches=tuple(range(k * length, (k + 1) * length) for k in range(len(SEEN))),
        sessions=Sessions(of_frame, SEEN),
    )


def correlation(pair: torch.Tensor) -> float:
    first, second = pair.cpu().numpy()
    return float(np.corrcoef(first[OFF], second[OFF])[0, 1])


@pytest.mark.parametrize(("noise", "low", "high"), [(0.01, 0.999, 1.0), (60.0, -0.5, 0.5)])
def test_halves_agree_as_far_as_noise_lets_them(noise, low, high):
    made, weights = recording(1200, noise)
    model = build(made, CFG, torch.Generator().manual_seed(0), made.scales())
    found = halves(model, made)
    assert low < correlation(found) < high
    if noise < 1:
        for half in found:
            np.testing.assert_allclose(half.numpy()[OFF], weights.numpy()[OFF], atol=0.05)
    assert not found.diagonal(dim1=1, dim2=2).any()


def test_each_half_sees_its_own_frames_alone():
    """Another W in the second half is found there, and not in the first."""
    made, weights = recording(1200, 0.01)
    model = build(made, CFG, torch.Generator().manual_seed(0), made.scales())
    sent = model.sent(made.activity)[..., 0].detach()
    middle = len(made.training_frames) // 2
    rate = made.rate.clone()
    rate[middle:] += sent[middle:] @ weights.T
    first, second = halves(model, Recording(made.activity, rate, DT, held_out=0.1))
    np.testing.assert_allclose(first.numpy()[OFF], weights.numpy()[OFF], atol=0.05)
    np.testing.assert_allclose(second.numpy()[OFF], 2 * weights.numpy()[OFF], atol=0.05)


@pytest.mark.quick(1)
@pytest.mark.parametrize(("noise", "low", "high"), [(0.1, 0.98, 1.0), (60.0, -0.5, 0.5)])
def test_halves_of_sessions_agree_as_far_as_noise_lets_them(noise, low, high):
    whole, weights = recording(12_000, noise)
    model = build(whole, CFG, torch.Generator().manual_seed(0), whole.scales())
    found = halves(model, in_sessions(whole))
    never = torch.zeros(N, N, dtype=torch.bool)
    never[0, 1] = never[1, 0] = True
    assert torch.equal(found.isnan(), never.expand(2, -1, -1))
    known = OFF & ~never.numpy()
    first, second = found.numpy()[:, known]
    assert low < np.corrcoef(first, second)[0, 1] < high
    if noise < 1:
        for half in (first, second):
            assert np.corrcoef(half, weights.numpy()[known])[0, 1] > 0.97


def test_each_half_of_a_session_sees_its_own_frames_alone():
    """Another W in the second halves of all sessions is found there, and not in the first."""
    whole, weights = recording(12_000, 0.1)
    model = build(whole, CFG, torch.Generator().manual_seed(0), whole.scales())
    sent = model.sent(whole.activity)[..., 0].detach()
    made = in_sessions(whole)
    session, rate = made.sessions.of_frame[made.training_frames], whole.rate.clone()
    for k in range(len(SEEN)):
        mine = made.training_frames[session == k]
        late = slice(int(mine[len(mine) // 2]), int(mine[-1]) + 1)
        rate[late] += sent[late] @ weights.T
    first, second = halves(model, in_sessions(Recording(whole.activity, rate, DT, held_out=0.1)))
    known = OFF & ~first.isnan().numpy()
    truth = weights.numpy()[known]
    # Sessions that contradict one another are shrunk, but both halves alike.
    early, late = (np.polyfit(truth, w.numpy()[known], 1)[0] for w in (first, second))
    assert late / early == pytest.approx(2, abs=0.1)
    assert early > 0.75


def test_a_neuron_that_sessions_hardly_see_has_no_halves():
    whole, _ = recording(100, 0.1)
    model = build(whole, CFG, torch.Generator().manual_seed(0), whole.scales())
    with pytest.raises(DivergenceError, match=r"half of the .* training frames are too few"):
        halves(model, in_sessions(whole))


def test_too_few_frames_for_halves_say_so():
    made, _ = recording(60, 0.1)
    model = build(made, CFG, torch.Generator().manual_seed(0), made.scales())
    with pytest.raises(DivergenceError, match=r"half of the 54 training frames are too few"):
        halves(model, made)
