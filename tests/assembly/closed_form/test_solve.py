"""From a recording to W, phi, psi and types, without an optimiser's step size."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score
from systems import (
    COARSE,
    exact,
    fitted,
    numbers,
    r2,
    rescaled,
    silent,
    simulated,
    solved,
    training,
)

from ngpipe.assembly.closed_form import accumulate, transfer
from ngpipe.assembly.closed_form import chosen_frames as frames_module
from ngpipe.assembly.closed_form.accumulate import gram_moment, moments
from ngpipe.assembly.closed_form.solution import Solution
from ngpipe.assembly.closed_form.solve import ClosedForm
from ngpipe.errors import DivergenceError

pytestmark = pytest.mark.slow

SEES = ["activity", "sender", "receiver"]
every_psi = pytest.mark.parametrize("sees", SEES)


def grids(sees: str) -> torch.Tensor:
    """Activities over the visited range of every neuron: ``(neuron, x)``."""
    low, high = simulated(sees).recording.visited(0.99).T
    return torch.lerp(low[:, None], high[:, None], torch.linspace(0, 1, 101))


def free_groups(sees: str) -> tuple[torch.Tensor, torch.Tensor]:
    """True groups of receivers and senders between which the scale of psi is free."""
    types = torch.from_numpy(simulated(sees).types)
    nobody = torch.zeros_like(types)
    return {
        "activity": (nobody, nobody),
        "sender": (nobody, types),
        "receiver": (types, nobody),
    }[sees]


def relative(found: torch.Tensor, true: torch.Tensor) -> float:
    return float(((found - true).square().mean() / true.square().mean()).sqrt())


@every_psi
def test_the_weights_come_back(sees):
    """Up to the scale of every psi, and with each psi from -1 to 1 without that reserve."""
    true, found = simulated(sees).weights, solved(sees)
    assert 1 - r2(rescaled(found.weights, true, *free_groups(sees)), true) < 1e-6
    assert found.weights.diagonal().abs().max() < 1e-10 * true.abs().max()
    scaled = found.scaled().double()
    assert 1 - r2(scaled, true) < 1e-3
    assert float((scaled * true).sum() / true.square().sum()) == pytest.approx(1, abs=0.02)


@every_psi
def test_the_types_come_back(sees):
    found = solved(sees)
    assert adjusted_rand_score(simulated(sees).types, found.types.numpy()) == 1
    groups = {"activity": (1, 1), "sender": (1, 2), "receiver": (2, 1)}[sees]
    assert (len(found.transfers), len(found.transfers[0].coefficients)) == groups


@every_psi
def test_the_functions_come_back(sees):
    """phi as it is, psi up to the scale of every pair of groups, psi(0) = 0."""
    system, found, x = simulated(sees), solved(sees), grids(sees)
    assert relative(found.phi_curves(x), system.phi(x.double())) < 1e-3
    post, pre = free_groups(sees)
    pairs = torch.cartesian_prod(torch.arange(system.n), torch.arange(system.n))
    receivers, senders = pairs[pairs[:, 0] != pairs[:, 1]].T
    curves = found.psi(receivers, senders, x[senders])
    true = system.psi(receivers, senders, x[senders]).double()
    for i in post.unique():
        for j in pre.unique():
            mine = (post[receivers] == i) & (pre[senders] == j)
            scale = (curves[mine] * true[mine]).sum() / curves[mine].square().sum()
            assert relative(scale * curves[mine], true[mine]) < 3e-3
    at_rest = found.psi(receivers, senders, torch.zeros(len(senders), 1))
    assert at_rest.abs().max() < 1e-12


@every_psi
def test_the_solution_predicts_the_rate(sees):
    """phi_i(x_i) + sum_j W_ij psi_ij(x_j), put together edge by edge at held-out frames."""
    system, found = simulated(sees), solved(sees)
    x, rate = system.recording.batch(system.recording.scoring_frames(20))
    n = system.n
    predicted = found.phi_curves(x.T).T.clone()
    for i in range(n):
        row = torch.full((n,), i)
        predicted[:, i] += found.weights[i] @ found.psi(row, torch.arange(n), x.T)
    error = (predicted - rate).square().mean() / rate.square().mean()
    assert float(error) < 1e-6
    assert found.held_out < 1e-6
    assert float(found.relative_error.max()) < 1e-6


def test_the_residual_is_the_noise_of_the_target():
    """Less what the unknowns of a row explain of it."""
    system, sigma = simulated("activity"), 0.5
    recording = system.recording
    noisy = recording.rate + sigma * numbers(1, *recording.rate.shape).float()
    cfg = training("activity", frames=16, ridges=(1e-4, 1e-6))
    found = ClosedForm(replace(recording, rate=noisy), cfg, silent).solve()
    n_frames = len(recording.training_sample(80 * system.n))
    unknowns = system.n - 1 + cfg.closed_form.fine_basis
    expected = sigma**2 * (1 - unknowns / n_frames)
    assert float(found.mean_square.mean()) == pytest.approx(expected, rel=0.02)
    level = recording.rate[recording.training_frames].square().mean(0)
    np.testing.assert_allclose(
        found.relative_error.numpy(), (found.mean_square / level).numpy(), rtol=0.2
    )
    assert found.held_out == pytest.approx(sigma**2 / float(level.mean()), rel=0.2)
    assert r2(found.weights, system.weights) > 0.98


def test_finite_differences_do():
    """The same from activity alone: the noise of the dynamics is then that of the target."""
    system = simulated("activity")
    found = ClosedForm(
        replace(system.recording, rate=None), training("activity", frames=20, **COARSE), silent
    ).solve()
    expected = (1.0 / system.recording.dt) ** 2  # of the noise of one step, over the step
    assert float(found.mean_square.mean()) == pytest.approx(expected, rel=0.1)


def same_fields(one: Solution, other: Solution) -> None:
    for name in ("weights", "phi_coefficients", "types", "mean_square", "receiver_group"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name
    for a, b in zip(one.transfers, other.transfers, strict=True):
        assert torch.equal(a.coefficients, b.coefficients)
    assert (one.held_out, one.ridge) == (other.held_out, other.ridge)


@every_psi
def test_the_same_seed_gives_the_same_bytes(sees):
    """Coarse settings: whether it is right plays no part."""
    coarse = {"rows": 4, "ridges": (1e-2, 1e-4), "iterations": 2, "first_groups": 3}
    coarse |= {"psi_basis": 12, "phi_basis": 12, "fine_basis": 16}
    recording, cfg = simulated(sees, 24, 1500).recording, training(sees, **coarse)
    same_fields(*(ClosedForm(recording, cfg, silent).solve() for _ in range(2)))


def test_another_seed_draws_other_rows_and_finds_the_same():
    recording, true = simulated("activity").recording, simulated("activity").weights
    solvers = [ClosedForm(recording, training("activity", seed), silent) for seed in (16, 17)]
    drawn = [solver.problem.draw() for solver in solvers]
    assert not torch.equal(*drawn)
    assert all(len(rows.unique()) == 16 for rows in drawn)
    assert 1 - r2(solvers[1].solve().weights, true) < 1e-6


def test_rows_are_drawn_from_those_allowed(generator):
    solver = ClosedForm(simulated("activity").recording, training("activity", rows=3), silent)
    allowed = torch.rand(50, generator=generator) > 0.8
    drawn = torch.stack([solver.problem.draw(allowed) for _ in range(60)])
    assert set(drawn.flatten().tolist()) == set(torch.nonzero(allowed)[:, 0].tolist())
    assert (drawn.diff(dim=1) > 0).all()


def test_frames_for_scoring_are_never_read():
    """Not a number anywhere in them changes nothing."""
    recording = simulated("activity").recording
    scoring = recording.scoring_frames(10**6)
    activity, rate = recording.activity.clone(), recording.rate.clone()
    activity[scoring] = rate[scoring] = float("nan")
    poisoned = replace(recording, activity=activity, rate=rate)
    found = ClosedForm(poisoned, training("activity"), silent).solve()
    same_fields(found, solved("activity"))


def small_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of a few rows, stretches and chunks of a few frames, none of them of equal size."""
    monkeypatch.setattr(accumulate, "BLOCK_BYTES", 7 * 3 * 8 * 50 * 48)
    monkeypatch.setattr(accumulate, "PANEL", 5)
    monkeypatch.setattr(frames_module, "STRETCH_BYTES", 8 * (50 + 7 * 48) * 501)
    monkeypatch.setattr(frames_module, "CHUNK_ELEMENTS", 50 * 4 * 137)
    monkeypatch.setattr(transfer, "CACHED", 50 * 32 * 13)


def test_memory_does_not_change_the_rows(monkeypatch):
    """One block and one stretch, or many."""
    system = exact(2, noise=0.5)
    rows = torch.tensor([3, 0, 15, 7, 8, 1, 12])
    whole = {
        "gram": gram_moment(system.frames, system.transfer),
        **vars(moments(system.frames, system.transfer, rows)),
        **fitted(system.frames, system.transfer, rows, 1e-8),
    }
    monkeypatch.setattr(accumulate, "BLOCK_BYTES", 3 * 3 * 8 * 16 * system.frames.phi.n)
    monkeypatch.setattr(frames_module, "STRETCH_BYTES", 8 * 500 * 16)
    monkeypatch.setattr(frames_module, "CHUNK_ELEMENTS", 4 * 16 * 11)
    stretches = list(system.frames.stretches(16))
    assert [len(part) for part in stretches] == [500, 500, 500]
    for name in ("x", "rate", "times"):
        parts = torch.cat([getattr(part, name) for part in stretches])
        assert torch.equal(parts, getattr(system.frames, name))
    pieces = {
        "gram": gram_moment(system.frames, system.transfer),
        **vars(moments(system.frames, system.transfer, rows)),
        **fitted(system.frames, system.transfer, rows, 1e-8),
    }
    assert whole.pop("blocks") == [rows.tolist()]
    assert pieces["blocks"] == [[3, 0, 15], [7, 8, 1], [12]]
    for name, value in whole.items():
        torch.testing.assert_close(pieces[name], value, rtol=0, atol=1e-9, msg=name)


def test_memory_does_not_change_the_solution(monkeypatch):
    small_memory(monkeypatch)
    found = ClosedForm(simulated("activity").recording, training("activity"), silent).solve()
    whole = solved("activity")
    assert found.ridge == whole.ridge
    assert torch.equal(found.types, whole.types)
    assert relative(found.weights, whole.weights) < 1e-6
    x = grids("activity")
    assert relative(found.phi_curves(x), whole.phi_curves(x)) < 1e-6


def test_what_is_reached_is_reported():
    """Every stage by name; W in the gauge of the figures, for the learning curve."""
    told = []

    def report(stage: str, **reached: object) -> None:
        told.append((stage, reached))

    cfg = training("activity", ridges=(1e-2, 1e-6), frames=2.5)
    found = ClosedForm(simulated("activity").recording, cfg, report).solve()
    stages = [stage for stage, _ in told]
    assert stages[-1] == "W"
    assert torch.equal(told[-1][1]["connectivity"], found.scaled())
    assert told[-1][1]["held_out"] == found.held_out
    assert [reached["types"] for stage, reached in told if stage == "types"] == [2]
    assert any(stage.startswith("psi, ridge 1e-02") for stage in stages)


def test_a_recording_with_a_hole_is_refused_by_neuron_and_frame():
    system = simulated("activity")
    broken = system.recording.activity.clone()
    frame = int(system.recording.training_frames[0])
    broken[frame, 7] = float("nan")
    recording = replace(system.recording, activity=broken)
    with pytest.raises(DivergenceError, match=f"neuron 7 at frame {frame} is not finite"):
        ClosedForm(recording, training("activity"), silent)


def test_without_types_all_neurons_have_one_phi():
    """What suits all best: where all have one type, nothing is lost; where not, something is."""
    system = simulated("activity")
    cfg = training("activity")
    one = cfg.model_copy(update={"network": cfg.network.model_copy(update={"one_type": True})})
    found = ClosedForm(system.recording, one, silent).solve()
    assert (found.phi_coefficients == found.phi_coefficients[0]).all()
    x = grids("activity").mean(0).expand(50, -1)
    low, high = system.phi(x.double())[[0, -1]].sort(0).values
    between = found.phi_curves(x)[0]
    # The leaks are 1 and 2, so the best single phi lies between theirs, nearly everywhere.
    assert ((between >= low - 0.2) & (between <= high + 0.2)).double().mean() > 0.9
    with_types, without = (
        1 - r2(f.scaled().double(), system.weights) for f in (solved("activity"), found)
    )
    assert without > 10 * with_types


def test_frames_read_when_needed_give_the_same_solution():
    """From a series that is no tensor, and only ever asked for some of its frames."""

    class Reluctant:
        def __init__(self, values: torch.Tensor) -> None:
            self._values, self.shape, self.device = values, tuple(values.shape), values.device
            self.most = 0

        def __len__(self) -> int:
            return self.shape[0]

        def __getitem__(self, frames: slice | torch.Tensor) -> torch.Tensor:
            found = self._values[frames]
            self.most = max(self.most, len(found))
            return found

    recording = simulated("activity").recording
    far = replace(recording, activity=Reluctant(recording.activity), rate=Reluctant(recording.rate))
    found = ClosedForm(far, training("activity"), silent).solve()
    same_fields(found, solved("activity"))
    assert far.rate.most <= len(recording.training_frames)
    assert far.activity.most <= len(recording.training_frames)


def test_a_neuron_without_a_rate_is_named():
    recording = simulated("activity").recording
    rate = recording.rate.clone()
    rate[:, 13] = 0
    with pytest.raises(DivergenceError, match="the rate of neuron 13 is zero at all frames"):
        ClosedForm(replace(recording, rate=rate), training("activity"), silent)


def test_a_hole_that_no_frame_of_the_solver_holds_is_named_too():
    recording = simulated("activity").recording
    solver = ClosedForm(recording, training("activity", frames=1.5), silent)
    used = set((solver.problem.frames.times / recording.dt).round().long().tolist())
    frame = next(int(f) for f in recording.training_frames if int(f) not in used)
    activity = recording.activity.clone()
    activity[frame, 3] = float("inf")
    broken = replace(recording, activity=activity)
    with pytest.raises(DivergenceError, match=f"neuron 3 at frame {frame} is not finite"):
        ClosedForm(broken, training("activity", frames=1.5), silent)


def test_one_ridge_is_enough():
    found = ClosedForm(
        simulated("sender").recording, training("sender", ridges=(1e-8,)), silent
    ).solve()
    assert found.ridge == 1e-8
