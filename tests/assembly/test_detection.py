"""Connections are called present at the rate asked for, even if errors are too small."""

import numpy as np
import pytest

from ngpipe.assembly import calls as earlier
from ngpipe.assembly.detection import detected, noise_width, null_width

N = 60_000


def mixture(share: float, width: float, seed: int = 0):
    """z of a network with that share of connections, errors too small by a factor; and who is."""
    rng = np.random.default_rng(seed)
    present = rng.random(N) < share
    weights = np.where(present, 30 * rng.standard_cauchy(N), 0.0)
    return weights + width * rng.normal(size=N), present


@pytest.mark.quick(3)
@pytest.mark.parametrize("share", [0.05, 0.3, 0.7])
@pytest.mark.parametrize("width", [1.0, 1.4, 2.5])
def test_false_calls_stay_at_their_rate(share, width):
    z, present = mixture(share, width)
    found, said = detected(z, 0.05)
    assert said == pytest.approx(width, rel=0.15)
    assert (found & ~present).sum() / found.sum() < 0.06
    assert found[present].mean() > 0.8


def test_plain_errors_would_call_too_many():
    """What the width is for: without it, more than half of the calls are false."""
    z, present = mixture(0.05, 1.4)
    found, _ = detected(z / 1.0, 0.05)
    naive = np.abs(z) > 1.96
    assert (naive & ~present).sum() > 3 * (found & ~present).sum()


def test_without_absent_connections_errors_are_taken_at_their_word():
    rng = np.random.default_rng(1)
    assert null_width(1e3 * rng.standard_cauchy(N)) == 1.0
    found, _ = detected(1e3 * rng.standard_cauchy(N), 0.05)
    assert found.mean() > 0.99


def test_errors_that_are_too_large_are_not_made_smaller():
    z, _ = mixture(0.05, 0.5)
    assert null_width(z) == 1.0


def test_few_weights_tell_no_width():
    assert null_width(np.array([0.1, -2.0, 30.0])) == 1.0


def dense(size: float) -> tuple[np.ndarray, np.ndarray]:
    """z of a network in which every connection is present, and the true W over its error."""
    rng = np.random.default_rng(3)
    true = size * rng.normal(size=N)
    return true + rng.normal(size=N), true


def test_weights_that_are_all_there_are_called_where_halves_say_that_errors_are_right():
    z, true = dense(3.0)
    found, width = detected(z, 0.05, noise=1.0)
    assert width == 1.0
    assert found.mean() > 0.4
    assert (z * true < 0)[found].mean() < 0.01
    # Without halves, errors may as well be three times too small, and nothing be there.
    assert detected(z, 0.05)[0].mean() < 0.001


@pytest.mark.parametrize("noise", [1.0, 2.5])
@pytest.mark.parametrize("share", [0.05, 0.5])
def test_a_peak_that_weights_stand_out_of_is_no_weights(share, noise):
    """Whether errors are too small by noise, or by misfit that both halves have."""
    z, present = mixture(share, 2.5)
    found, width = detected(z, 0.05, noise)
    assert width == pytest.approx(2.5, rel=0.15)
    assert (found & ~present).sum() / found.sum() < 0.06


def test_noise_that_halves_show_is_not_called():
    """Errors are too small by noise alone, and nothing is there: few weights, which tell little."""
    rng = np.random.default_rng(4)
    calls = [detected(2.5 * rng.normal(size=400), 0.05, noise=2.5)[0].sum() for _ in range(20)]
    assert np.mean(np.array(calls) > 0) < 0.2


def test_halves_tell_the_noise():
    rng = np.random.default_rng(5)
    weights, error = 4 * rng.normal(size=N), rng.uniform(0.5, 2, N)
    halves = [weights + 1.7 * 2**0.5 * error * rng.normal(size=N) for _ in range(2)]
    halves[0][:100] = np.nan
    assert noise_width(*halves, error) == pytest.approx(1.7, rel=0.03)
    assert noise_width(halves[0][:100], halves[1][:100], error[:100]) is None


def test_scripts_still_have_the_earlier_name():
    assert earlier.called is detected
    assert earlier.null_width is null_width
