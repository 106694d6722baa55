"""What is expected of W is never more than residuals and held-out frames support."""

import math
from dataclasses import asdict

import numpy as np
import pytest
import torch
from systems import numbers, r2, silent, solved, training

from ngpipe.assembly.closed_form.diagnosis import (
    Diagnosis,
    Evidence,
    coherence,
    diagnosis,
    widened,
)
from ngpipe.assembly.closed_form.rows import Spectrum
from ngpipe.assembly.closed_form.solve import ClosedForm
from ngpipe.assembly.informative_frames import informative_sample
from ngpipe.assembly.recording import Recording
from ngpipe.config.assembly.simulation import Simulation
from ngpipe.config.assembly.training import Training
from ngpipe.dynamics import assembly
from ngpipe.dynamics.integrate import blocks, euler_maruyama
from ngpipe.wiring.ensembles import weights

SPECTRUM = Spectrum(torch.tensor([[1e-6, 1e-6, 1.0, 1.0]]).double(), 1e-12)


def told(**seen: object) -> Diagnosis:
    """Of weights of variance 1 and a residual of 1e-4 that hardly matters as noise."""
    evidence = Evidence(**{"exact": True, **seen})
    return diagnosis(SPECTRUM, 1e-12, 1.0, 1000, residual=1e-4, level=1.0, evidence=evidence)


def test_misfit_does_not_average_out():
    """Independent, it leaves all directions known; common to neighbours, only the large ones."""
    assert told().expected_r2 == pytest.approx(1, abs=1e-3)
    assert told().directions == pytest.approx(4, abs=0.01)
    common = told(coherent=1.0)
    assert common.expected_r2 == 0
    assert common.directions == pytest.approx(2, abs=0.05)
    assert "intervals of single weights are not valid" in common.sentence
    assert "exact rate" not in common.sentence
    assert "use the exact rate" in told(coherent=1.0, exact=False).sentence


def test_two_rounds_must_agree_where_misfit_matters():
    """A poorer first round says nothing where the last one cannot be wrong, nor where noise is."""
    poor = told(coherent=2e-3)
    assert 0.89 < poor.at_most < 0.99
    assert poor.agreed(0.2).expected_r2 == 0.2
    assert poor.agreed(0.98).expected_r2 == poor.expected_r2
    assert told(coherent=1e-6).agreed(0.2).expected_r2 > 0.99
    assert told(held_out=0.5).agreed(0.2).expected_r2 == pytest.approx(0.5, abs=0.01)
    rests = told(coherent=2e-3, motion=1e-9).agreed(0.2)
    assert math.isnan(rests.expected_r2)
    assert rests.at_most == 0.2


def test_held_out_frames_bound_what_is_expected():
    """An error of 0.3 of the rate leaves at most 0.7 of W; one of 40 nothing."""
    assert told(held_out=0.3).expected_r2 == pytest.approx(0.7, abs=1e-3)
    assert told(held_out=40.0).expected_r2 == 0
    assert told(held_out=1.2e-4).expected_r2 == pytest.approx(1, abs=1e-3)


def test_a_tail_at_rest_confirms_nothing():
    """No score is given, whatever the error there, and the words say why."""
    rests = told(motion=1e-9, held_out=40.0, blocks=False)
    assert math.isnan(rests.expected_r2)
    assert rests.at_most == pytest.approx(1, abs=1e-3)
    assert "is unknown" in rests.sentence
    assert "held_out_as: blocks" in rests.sentence
    assert "held_out_as" not in told(motion=1e-9).sentence
    assert Diagnosis(**asdict(rests)).sentence == rests.sentence


def test_noise_is_not_coherent_and_misfit_is():
    """A few frames with large residuals decide nothing."""
    noise, other = numbers(1, 300, 16), numbers(2, 300, 16)
    assert coherence(noise, other) == 0
    assert coherence(noise, noise + 0.1 * other) > 0.9
    outlier = noise.clone()
    outlier[0] = 1e6
    assert coherence(outlier, noise + 0.1 * other) > 0.9


def test_errors_grow_where_misfit_may_change_the_weights():
    """Not where it cannot, not those of the diagonal, and not beyond the weights."""
    w, error = numbers(3, 4, 4).fill_diagonal_(0), torch.full((4, 4), 1e-3).double()
    error.fill_diagonal_(0)
    torch.testing.assert_close(widened(error, w, told(), 1.0), error)
    wide = widened(error, w, told(coherent=1.0), 1.0)
    off = ~torch.eye(4, dtype=torch.bool)
    assert (wide[off] > 10 * error[off]).all()
    assert (wide.diagonal() == 0).all()
    bound = w.square().mean(1, keepdim=True).sqrt().expand(4, 4)
    wider = widened(1e3 * error, w, told(coherent=1.0), 1.0)
    torch.testing.assert_close(wider[off], (1 + bound.square()).sqrt()[off])


def quiet(gain: float, n: int = 30, n_frames: int = 3000) -> tuple[Recording, torch.Tensor]:
    """dx/dt = -x + g W tanh x without noise: at a low gain it comes to rest."""
    types = [{"leak": 1, "self_excitation": 0, "gain": gain}]
    cfg = Simulation(n_neurons=n, types=types, connectivity={"kind": "gaussian", "seed": 3})
    coupling = torch.from_numpy(gain * weights(cfg.connectivity, n))
    drift = assembly.assembly_drift(
        coupling, assembly.constants_of(cfg.types, assembly.type_of_neuron(cfg))
    )
    x0 = 5 * torch.randn(n, generator=torch.Generator().manual_seed(1))
    frames = euler_maruyama(drift, x0, dt=0.01)
    _, x, rate = next(blocks(frames, n_frames, length=n_frames))
    return Recording(x, rate, 0.01, 0.05, in_blocks=False), coupling.double()


@pytest.mark.slow
@pytest.mark.parametrize("gain", [1.0, 2.0])
def test_activity_that_dies_down_is_no_success(gain):
    """Never much more expected than reached; a tail at rest is told apart."""
    recording, w = quiet(gain)
    found = ClosedForm(recording, training("activity"), silent).solve()
    reached = r2(found.weights, w)
    assert found.diagnosis.at_most < reached + 0.1
    rests = found.diagnosis.motion < 1e-4
    assert math.isnan(found.diagnosis.expected_r2) == rests


def orbit(seed: int, n: int = 12, n_frames: int = 2000) -> tuple[Recording, torch.Tensor]:
    """A dozen sparse neurons whose activity nearly repeats, with two gaps, without its rate."""
    rng = np.random.default_rng(seed)
    w = 4 * rng.normal(0, 0.6, (n, n)) * (rng.random((n, n)) < 0.4)
    np.fill_diagonal(w, 0)
    x = rng.normal(0, 1, n)
    frames = []
    for _ in range(n_frames):
        frames.append(x)
        x = x + 0.01 * (-x + 1.5 * np.tanh(x) + w @ np.tanh(x))
    pieces = (range(0, 1000), range(1003, 1500), range(1501, n_frames))
    activity = torch.tensor(np.array(frames), dtype=torch.float32)
    return Recording(activity, None, 0.01, 0.1, stretches=pieces), torch.from_numpy(w)


@pytest.mark.slow
def test_what_the_functions_of_a_row_explain_tells_nothing_of_its_weights():
    """Activity of few directions is a function of each neuron's own: W is free, and wrong."""
    recording, w = orbit(0)
    cfg = Training(solver="closed_form", target="finite_difference", held_out=0.1)
    found = ClosedForm(recording, cfg, silent).solve()
    off = ~torch.eye(len(w), dtype=torch.bool)
    away = (found.weights * found.scale / math.tanh(found.transfers[0].spline.reach / 2) - w)[off]
    assert away.square().mean() > w[off].square().mean()
    assert found.diagnosis.at_most < 0.6
    assert "do not identify W" in found.diagnosis.sentence or math.isnan(
        found.diagnosis.expected_r2
    )
    held = (away.abs() < 2 * (found.error * found.scale.abs())[off]).double().mean()
    assert held > 0.8


@pytest.mark.slow
def test_activity_that_goes_on_is_believed():
    found = solved("activity")
    assert found.diagnosis.expected_r2 > 0.999
    assert found.diagnosis.exact == 1


def test_frames_are_taken_where_activity_moves():
    """A transient of 200 of 4000 frames, then rest: all of the transient, few of the rest."""
    t = torch.arange(4000.0)[:, None]
    x = torch.exp(-t / 50) * numbers(4, 1, 5).float()
    recording = Recording(x, -x / 0.5, 0.01, 0.1)
    sample = informative_sample(recording, 400)
    assert len(sample) == pytest.approx(400, abs=20)
    assert (sample.diff() > 0).all()
    assert int((sample < 100).sum()) > 95
    assert int((sample < 200).sum()) > 5 * int((recording.training_sample(400) < 200).sum())
    assert int(sample.max()) > 3000
    steady = Recording(x, numbers(5, 4000, 5).float(), 0.01, 0.1)
    assert torch.equal(informative_sample(steady, 400), steady.training_sample(400))
