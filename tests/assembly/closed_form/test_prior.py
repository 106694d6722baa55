"""Knowing that W is sparse, or obeys Dale's law, helps where frames are few."""

from dataclasses import replace

import pytest
import torch
from systems import exact, fitted, numbers, r2, silent, simulated, training
from torch import Tensor

from ngpipe.assembly.closed_form.accumulate import solve_rows
from ngpipe.assembly.closed_form.prior import Prior, column_signs
from ngpipe.assembly.closed_form.solve import ClosedForm

EVERYONE = torch.arange(40)


def sparse_system(n_frames: int, noise: float) -> tuple:
    """40 neurons that receive from 4 each, frames of it, and more held out."""

    system = exact(1, n=40, n_frames=50)
    weights = numbers(11, 40, 40).fill_diagonal_(0)
    kept = torch.stack([row.abs() >= row.abs().sort().values[-4] for row in weights])
    weights = torch.where(kept, weights, 0.0)
    system = replace(system, weights=weights)
    return system, system.other(31, n_frames, noise), system.other(61, 300, noise)


def joined(prior: Prior, noise: Tensor, strength: float) -> Tensor:
    return torch.cat([fit.weights for _, fit in prior.solve(EVERYONE, noise, strength)])


def test_few_frames_suffice_for_a_sparse_w():
    """90 noisy frames for 40 + 10 unknowns a row: least squares fails, the prior does not."""
    system, frames, held_out = sparse_system(90, noise=0.3)
    plain = fitted(frames, system.transfer, EVERYONE, 1e-10)
    prior = Prior(frames, held_out, system.transfer, 1e-10, sparse=True, signs=None)
    noise = torch.full((40,), 0.09, dtype=torch.float64)
    strength = prior.strength(EVERYONE, noise)
    found = joined(prior, noise, strength)
    assert strength > 0
    assert 1 - r2(found, system.weights) < 0.2 * (1 - r2(plain["weights"], system.weights))
    assert (found[system.weights == 0] == 0).double().mean() > 0.8
    assert torch.equal(found.diagonal(), torch.zeros(40).double())


@pytest.mark.slow
def test_fewer_frames_than_unknowns_suffice_for_a_sparse_w():
    """45 frames for 40 + 10 unknowns a row: least squares has no unique solution."""
    system, frames, held_out = sparse_system(45, noise=0.3)
    plain = fitted(frames, system.transfer, EVERYONE, 1e-6)
    prior = Prior(frames, held_out, system.transfer, 1e-6, sparse=True, signs=None)
    found = joined(prior, torch.full((40,), 0.09, dtype=torch.float64), 3.0)
    assert r2(found, system.weights) > 0.97
    assert r2(plain["weights"], system.weights) < 0.95
    noise = torch.full((40,), 0.09, dtype=torch.float64)
    assert prior.strength(EVERYONE, noise) >= 1.0


def test_the_penalty_leaves_no_shrinkage():
    """What is left is plain least squares on the weights that are not zero."""
    system, frames, held_out = sparse_system(2000, noise=0.0)
    prior = Prior(frames, held_out, system.transfer, 1e-12, sparse=True, signs=None)
    found = joined(prior, torch.full((40,), 1e-8, dtype=torch.float64), 10.0)
    torch.testing.assert_close(found, system.weights, rtol=0, atol=1e-5)


def test_the_descent_solves_the_penalised_problem():
    """Optimality: the gradient equals the threshold at what is left, and is below it elsewhere."""

    system, frames, held_out = sparse_system(400, noise=0.3)
    prior = Prior(frames, held_out, system.transfer, 1e-6, sparse=True, signs=None)
    rows = EVERYONE[:5]
    level = torch.full((5,), 0.05, dtype=torch.float64)
    ((_, normal),) = solve_rows(frames, system.transfer, rows, prior.gram)
    z = prior.descend(normal, level)
    m = normal.moments
    own = torch.linalg.solve(m.own_own, m.own_target - torch.einsum("nrk,rn->rk", m.sent_own, z))
    crossed = torch.einsum("nrk,rk->rn", m.sent_own, own)
    slope = m.sent_target.T - crossed - z @ prior.plain.moment - prior.plain.padding * z
    limit = level[:, None] * prior.plain.moment.diagonal().sqrt()
    off = torch.ones_like(z, dtype=torch.bool)
    off[torch.arange(5), rows] = False
    left = z != 0
    torch.testing.assert_close(
        (slope * z.sign())[left & off], limit.expand_as(z)[left & off], rtol=0.02, atol=1e-4
    )
    assert (slope.abs() <= 1.02 * limit)[~left & off].all()
    assert 0.05 < left.double().mean() < 0.6


def test_signs_are_kept():
    system, frames, held_out = sparse_system(120, noise=0.5)
    signs = torch.where(torch.arange(40) % 3 == 0, -1.0, 1.0).double()

    lawful = replace(system, weights=system.weights.abs() * signs)
    frames, held_out = lawful.other(31, 120, 0.5), lawful.other(61, 300, 0.5)
    plain = fitted(frames, lawful.transfer, EVERYONE, 1e-10)["weights"]
    assert torch.equal(column_signs(plain), signs)
    prior = Prior(frames, held_out, lawful.transfer, 1e-10, sparse=False, signs=signs)
    assert prior.strength(EVERYONE[:3], torch.ones(3).double()) == 0.0
    found = joined(prior, torch.full((40,), 0.25, dtype=torch.float64), 0.0)
    assert (found * signs >= 0).all()
    assert torch.equal(found.diagonal(), torch.zeros(40).double())
    assert (plain * signs < 0).any()
    assert r2(found, lawful.weights) > r2(plain, lawful.weights)


@pytest.mark.slow
@pytest.mark.parametrize("prior", [{"prior": "sparse"}, {"dale": True}])
def test_the_solver_obeys(prior):
    """On a recording that needs no prior: a sparse one changes little, Dale's law is kept."""
    system = simulated("activity")
    found = ClosedForm(system.recording, training("activity", **prior), silent).solve()
    if "dale" in prior:
        assert (found.weights * column_signs(found.scaled().double()) >= 0).all()
    else:
        assert 1 - r2(found.scaled().double(), system.weights) < 1e-3
    assert found.weights.diagonal().abs().max() < 1e-12
