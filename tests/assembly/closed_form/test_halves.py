"""W of the halves of a recording: alike where it is determined, unlike where it is not."""

import numpy as np
import pytest
import torch
from systems import numbers

from ngpipe.assembly.closed_form.halves import halves
from ngpipe.assembly.gradient import build
from ngpipe.assembly.recording import Recording
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


def test_too_few_frames_for_halves_say_so():
    made, _ = recording(60, 0.1)
    model = build(made, CFG, torch.Generator().manual_seed(0), made.scales())
    with pytest.raises(DivergenceError, match=r"half of the 54 training frames are too few"):
        halves(model, made)
