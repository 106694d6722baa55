"""The integrator against what is known of its equations, and the errors of a bad step."""

from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ngpipe.dynamics.integrate import blocks, euler_maruyama, trajectory
from ngpipe.errors import DivergenceError


def decay(_t, x):
    return -x


def frames(drift, x0, n, **options):
    """The first n frames and rates, stacked."""
    pairs = list(islice(euler_maruyama(drift, x0, **options), n))
    return torch.stack([x for x, _ in pairs]), torch.stack([rate for _, rate in pairs])


class TestWithoutNoise:
    def test_a_linear_network_converges_to_the_matrix_exponential_with_order_one(self, generator):
        """For dx/dt = A x the solution is expm(A t) x0; Euler's error must fall as dt^1."""
        matrix = 0.5 * torch.randn(6, 6, generator=generator, dtype=torch.float64)
        x0 = torch.randn(6, generator=generator, dtype=torch.float64)
        exact = torch.linalg.matrix_exp(2.0 * matrix) @ x0
        steps = [2**k for k in range(7, 12)]
        errors = []
        for n in steps:
            x = trajectory(lambda _t, x: x @ matrix.T, x0, dt=2.0 / n, n_frames=n + 1)
            errors.append(float((x[-1] - exact).norm()))
        order = -np.polyfit(np.log(steps), np.log(errors), 1)[0]
        assert order == pytest.approx(1.0, abs=0.05)
        assert errors[-1] < 0.01 * float(exact.norm())

    def test_time_starts_at_zero_and_grows_by_dt(self):
        """For dx/dt = 2 t, Euler gives x_n = n (n - 1) dt^2 exactly."""
        x = trajectory(lambda t, x: torch.full_like(x, 2 * t), torch.zeros(1), dt=0.5, n_frames=5)
        assert x[:, 0].tolist() == [0.0, 0.0, 0.5, 1.5, 3.0]

    def test_a_burn_in_runs_at_negative_times(self):
        """For dx/dt = t from frame -4 on, with dt = 0.5: steps of -1, -0.75, ... 0."""

        def drift(t, x):
            return torch.full_like(x, t)

        x = trajectory(drift, torch.zeros(1), dt=0.5, n_frames=6, first=-4)
        assert x[:, 0].tolist() == [0.0, -1.0, -1.75, -2.25, -2.5, -2.5]

    def test_frame_zero_is_the_start_and_each_step_is_dt_times_the_rate(self, generator):
        x0 = torch.randn(4, generator=generator)
        x, rate = frames(lambda t, x: torch.sin(x) + t, x0, 50, dt=0.1)
        assert torch.equal(x[0], x0)
        torch.testing.assert_close(x[1:], x[:-1] + 0.1 * rate[:-1], rtol=0, atol=0)
        t = 0.1 * torch.arange(50)[:, None]
        torch.testing.assert_close(rate, torch.sin(x) + t)

    def test_a_batch_is_solved_as_each_of_it(self, generator):
        matrix = torch.randn(3, 3, generator=generator)
        x0 = torch.randn(5, 3, generator=generator)

        def drift(_t, x):
            return torch.tanh(x) @ matrix.T - x

        together = trajectory(drift, x0, dt=0.1, n_frames=20)
        assert together.shape == (20, 5, 3)
        for k in range(5):
            torch.testing.assert_close(
                together[:, k], trajectory(drift, x0[k], dt=0.1, n_frames=20)
            )


class TestNoise:
    @pytest.mark.parametrize("dt", [0.5, 0.1])
    def test_ornstein_uhlenbeck_reaches_its_stationary_variance(self, generator, dt):
        """For dx = -x dt + sigma dB with step dt: sigma^2 / (2 - dt)."""
        sigma, start = 0.7, torch.zeros(80, 50)
        x, _ = frames(decay, start, 400, dt=dt, noise=sigma, generator=generator)
        settled = x[200::5]
        assert float(settled.var()) == pytest.approx(sigma**2 / (2 - dt), rel=0.015)
        assert abs(float(settled.mean())) < 0.02

    @pytest.mark.slow
    def test_noise_is_white_and_independent_between_neurons(self, generator):
        x, _ = frames(
            lambda _t, x: torch.zeros_like(x),
            torch.zeros(3),
            20_001,
            dt=0.25,
            noise=2.0,
            generator=generator,
        )
        steps = x.diff(dim=0).T
        assert steps.std(dim=1).numpy() == pytest.approx([1.0] * 3, rel=0.03)
        correlation = torch.corrcoef(torch.cat([steps[:, 1:], steps[:, :-1]]))
        assert float((correlation - torch.eye(6)).abs().max()) < 0.04

    def test_noise_is_never_in_the_rate(self, generator):
        """The rate is f at the frame itself, whatever noise follows: the paper's target."""
        x, rate = frames(decay, torch.ones(6), 30, dt=0.1, noise=5.0, generator=generator)
        assert torch.equal(rate, -x)
        assert not torch.allclose(x[1:], x[:-1] + 0.1 * rate[:-1], atol=0.1)

    def test_the_generator_alone_decides_the_noise(self):
        def run(seed):
            generator = torch.Generator().manual_seed(seed)
            return frames(decay, torch.ones(4), 20, dt=0.1, noise=1.0, generator=generator)[0]

        assert torch.equal(run(1), run(1))
        assert not torch.equal(run(1)[1:], run(2)[1:])

    def test_noise_without_a_generator_is_refused(self):
        with pytest.raises(TypeError, match="noise needs a generator"):
            next(euler_maruyama(decay, torch.ones(2), dt=0.1, noise=1.0))


class TestBlocks:
    @given(n=st.integers(1, 40), length=st.integers(1, 50), first=st.integers(-40, 40))
    def test_are_the_frames_in_pieces(self, n, length, first):
        x0 = torch.arange(3.0)
        pieces = list(blocks(euler_maruyama(decay, x0, dt=0.1), n, length=length, first=first))
        assert [start for start, _, _ in pieces] == list(range(first, first + n, length))
        assert all(len(x) == len(rate) <= length for _, x, rate in pieces)
        x, rate = frames(decay, x0, n, dt=0.1)
        assert torch.equal(torch.cat([x for _, x, _ in pieces]), x)
        assert torch.equal(torch.cat([rate for _, _, rate in pieces]), rate)

    def test_take_up_where_the_last_ones_ended(self):
        """Burn-in and recording share one stream of frames; none is lost or seen twice."""
        stream = euler_maruyama(decay, torch.ones(2), dt=0.1)
        burnt = [x for _, x, _ in blocks(stream, 7, length=3, first=-7)]
        kept = [x for _, x, _ in blocks(stream, 13, length=4)]
        assert torch.equal(torch.cat(burnt + kept), frames(decay, torch.ones(2), 20, dt=0.1)[0])


class TestDivergence:
    GROWTH = 7.0
    DT = 0.5

    def grow(self, _t, x):
        """Neuron 2 grows by a factor of 4.5 each frame, the others rest."""
        return torch.tensor([0.0, 0.0, self.GROWTH, 0.0]) * x

    @pytest.mark.parametrize("length", [1, 4, 100])
    @pytest.mark.parametrize("first", [0, -50])
    def test_names_neuron_and_frame(self, length, first):
        """Frame k holds 4.5^k: beyond 1000 first at k = 5. Burn-in counts from below zero."""
        stream = euler_maruyama(self.grow, torch.ones(4), dt=self.DT)
        with pytest.raises(DivergenceError) as caught:
            list(blocks(stream, 100, length=length, first=first, limit=1000.0))
        assert 4.5**4 < 1000 < 4.5**5
        assert f"activity of neuron 2 is 1845.28 at frame {first + 5}, beyond 1000" in str(
            caught.value
        )
        assert "lower simulation.dt" in str(caught.value)

    def test_is_found_in_later_blocks_and_not_before(self):
        stream = euler_maruyama(self.grow, torch.full((4,), 1e-3), dt=self.DT)
        good = list(islice(blocks(stream, 100, length=5, limit=1000.0), 2))
        assert [start for start, _, _ in good] == [0, 5]
        stream = euler_maruyama(self.grow, torch.full((4,), 1e-3), dt=self.DT)
        with pytest.raises(DivergenceError, match="at frame 10,"):
            list(blocks(stream, 100, length=5, limit=1000.0))

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
    def test_is_any_number_that_is_not_finite(self, value):
        stream = euler_maruyama(decay, torch.tensor([1.0, value]), dt=0.1)
        with pytest.raises(DivergenceError, match=rf"neuron 1 is {value} at frame 0"):
            next(blocks(stream, 3, length=3))

    def test_negative_activity_counts_as_well(self):
        stream = euler_maruyama(decay, torch.tensor([1.0, -11.0]), dt=0.1)
        with pytest.raises(DivergenceError, match="neuron 1 is -11 at frame 0, beyond 10"):
            next(blocks(stream, 3, length=3, limit=10.0))

    def test_at_the_limit_all_is_well(self):
        stream = euler_maruyama(decay, torch.tensor([10.0, -10.0]), dt=0.1)
        assert len(list(blocks(stream, 3, length=3, limit=10.0))) == 1
