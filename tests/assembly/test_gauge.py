"""What the data leave open is fixed without the truth, and fixing it changes no rate."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ngpipe.assembly import gauge
from ngpipe.errors import DivergenceError

N = 12


@pytest.fixture
def system(generator):
    x = 6 * torch.randn(400, N, generator=generator)
    weights = torch.randn(N, N, generator=generator)
    weights.fill_diagonal_(0)
    leak = 1 + torch.rand(N, generator=generator)
    return x, weights, leak


def fixed_form(x, weights, leak, scale, offset):
    """Learn psi = scale tanh + offset; return what the gauge makes of it, and the rate after."""

    def psi(v):
        return scale * torch.tanh(v) + offset

    phi = -leak[:, None] * x.T - offset * (weights / scale).sum(1)[:, None]
    low, high = gauge.visited_ends(x)
    fixed = gauge.of_shared_psi(psi(low), psi(high), psi(torch.zeros(())))
    return (
        fixed.connectivity(weights / scale),
        fixed.psi(psi(x)),
        fixed.phi(phi, weights / scale),
    )


@given(
    scale=st.floats(0.05, 20).flatmap(lambda s: st.sampled_from([s, -s])),
    offset=st.floats(-3, 3),
)
def test_any_scale_sign_and_offset_lead_to_the_same_form(scale, offset):
    generator = torch.Generator().manual_seed(3)
    x = 6 * torch.randn(400, N, generator=generator)
    weights = torch.randn(N, N, generator=generator)
    weights.fill_diagonal_(0)
    leak = 1 + torch.rand(N, generator=generator)
    w, psi, phi = fixed_form(x, weights, leak, scale, offset)
    torch.testing.assert_close(w, weights, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(psi, torch.tanh(x), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(phi, -leak[:, None] * x.T, rtol=1e-3, atol=5e-3)


def test_the_rate_is_the_same_before_and_after(system):
    x, weights, leak = system
    w, psi, phi = fixed_form(x, weights, leak, scale=0.3, offset=0.8)
    before = -leak * x + torch.tanh(x) @ weights.T
    torch.testing.assert_close(phi.T + psi @ w.T, before, rtol=1e-4, atol=1e-4)


def test_psi_is_zero_at_rest_and_one_at_the_ends(system):
    x, *_ = system
    low, high = gauge.visited_ends(x)
    fixed = gauge.of_shared_psi(
        2 + 5 * torch.tanh(low), 2 + 5 * torch.tanh(high), torch.tensor(2.0)
    )
    assert fixed.psi(torch.tensor(2.0)) == 0
    assert float(fixed.psi(2 + 5 * torch.tanh(high)).mean()) == pytest.approx(1, abs=1e-3)
    assert float(fixed.psi(2 + 5 * torch.tanh(low)).mean()) == pytest.approx(-1, abs=1e-3)


def test_a_psi_that_transmits_nothing_is_named():
    flat = torch.ones(5)
    with pytest.raises(DivergenceError, match="transmits nothing"):
        gauge.of_shared_psi(flat, flat, flat[0])


def test_the_ends_leave_out_the_outermost_half_percent(generator):
    x = torch.randn(1000, 10, generator=generator)
    low, high = gauge.visited_ends(x)
    assert float((x > high.max()).float().mean()) == pytest.approx(0.005, abs=2e-4)
    assert float((x < low.min()).float().mean()) == pytest.approx(0.005, abs=2e-4)
