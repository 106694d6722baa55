"""psi by variable projection: its gradient, its gauge, and functions that come back exactly."""

from dataclasses import replace

import pytest
import torch
from systems import Exact, exact, fitted, numbers, r2, rescaled, silent

from ngpipe.assembly.closed_form.chosen_frames import Frames, Transfer, smoothness
from ngpipe.assembly.closed_form.psi_gauge import Gauge
from ngpipe.assembly.closed_form.rows import level_of
from ngpipe.assembly.closed_form.transfer import JointSearch, Search, directions
from ngpipe.errors import DivergenceError

ROWS = torch.tensor([1, 4, 7, 10, 13])
RIDGE = 1e-12
every_grouping = pytest.mark.parametrize("groups", [2, 1, 3])


def search(system: Exact, rows: torch.Tensor = ROWS, roughness: float = 1e-14) -> Search:
    held_out = system.other(50, 200)
    return Search(system.frames, held_out, rows, roughness=roughness, report=silent)


def changed(transfer: Transfer, coefficients: torch.Tensor) -> Transfer:
    return replace(transfer, coefficients=coefficients)


def wrong(transfer: Transfer, size: float = 0.3) -> Transfer:
    """psi with an error of some size, different for every group."""
    c = transfer.coefficients
    return changed(transfer, c + size * numbers(7, *c.shape))


@pytest.mark.quick(1)
@every_grouping
def test_the_normal_equations_hold_the_gradient_of_the_loss(groups):
    """Kaufman's approximation leaves the gradient exact: here against central differences."""
    system = exact(groups, n_frames=400, noise=0.5)
    s, start = search(system), wrong(system.transfer)
    _, right = s.normal_equations(s.at(start, RIDGE))
    h, slopes = 1e-5, []
    for k in range(start.coefficients.numel()):
        losses = []
        for sign in (1, -1):
            c = start.coefficients.clone()
            c.view(-1)[k] += sign * h
            losses.append(s.at(changed(start, c), RIDGE).loss)
        slopes.append((losses[0] - losses[1]) / (2 * h))
    expected = -torch.tensor(slopes, dtype=torch.float64) / 2
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(right, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


def test_the_curvature_is_that_of_the_loss_at_the_truth():
    """Without a residual Gauss-Newton's matrix is half the second derivative."""
    system = exact(2, n_frames=400)
    s, true = search(system), system.transfer
    moment, _ = s.normal_equations(s.at(true, RIDGE))
    h = 1e-3
    for seed in range(5):
        step = numbers(20 + seed, *true.coefficients.shape)
        ahead, back = (
            s.at(changed(true, true.coefficients + sign * h * step), RIDGE).loss for sign in (1, -1)
        )
        expected = float(step.flatten() @ moment @ step.flatten())
        assert (ahead + back) / 2 / h**2 == pytest.approx(expected, rel=0.01)


@every_grouping
@pytest.mark.parametrize("factor", [0.02, -1.7])
def test_the_loss_does_not_know_scale_and_offset_of_psi(groups, factor):
    """psi_g -> s_g psi_g + k_g, each group its own."""
    system = exact(groups, n_frames=400, noise=0.5)
    s, start = search(system), wrong(system.transfer)
    scale = factor * numbers(8, groups).exp()[:, None]
    offset = numbers(9, groups)[:, None]
    other = changed(start, scale * start.coefficients + offset)
    loss = s.at(start, RIDGE).loss
    assert s.at(other, RIDGE).loss == pytest.approx(loss, rel=1e-7)
    assert loss > 1e-3


@every_grouping
def test_the_normal_equations_are_flat_along_scale_and_offset(groups):
    system = exact(groups, n_frames=400, noise=0.5)
    s, start = search(system), wrong(system.transfer)
    moment, right = s.normal_equations(s.at(start, RIDGE))
    for k in range(groups):
        for value in (start.coefficients[k], torch.ones(start.spline.n, dtype=torch.float64)):
            along = torch.zeros_like(start.coefficients)
            along[k] = value / value.norm()
            along = along.flatten()
            assert float((moment @ along).norm()) < 1e-5 * float(moment.diagonal().mean())
            assert abs(float(right @ along)) < 1e-5 * float(right.norm())


@pytest.mark.quick(1)
@every_grouping
def test_a_step_ends_at_unit_mean_square_rising_through_zero(groups):
    """Where senders are; a psi that falls is turned over."""
    system = exact(groups, n_frames=400, noise=0.5)
    s, start = search(system), wrong(system.transfer, 0.05)
    upside_down = changed(start, -4 * start.coefficients + 0.3)
    for transfer in (start, upside_down):
        state = s.at(transfer, RIDGE)
        new = s.moved(state.transfer, s.step(state, *s.normal_equations(state), 1e-6))
        at_rest = new.spline.read(new.coefficients, torch.zeros(1, groups).double())
        torch.testing.assert_close(at_rest, torch.zeros_like(at_rest), rtol=0, atol=1e-12)
        assert (new.height > 0).all()
        sent = new.sent(system.frames.x)
        for k in range(groups):
            square = float(sent[:, new.group == k].square().mean())
            assert square == pytest.approx(1, abs=0.1)


def test_directions_are_sums_over_the_senders_of_a_group():
    system = exact(3, n_frames=30)
    found = directions(system.frames, system.transfer, system.weights[ROWS])
    basis, group = system.transfer.spline.basis(system.frames.x), system.transfer.group
    expected = torch.zeros(30, len(ROWS), 3, system.transfer.spline.n, dtype=torch.float64)
    for r, i in enumerate(ROWS.tolist()):
        for j in range(len(group)):
            expected[:, r, group[j]] += system.weights[i, j] * basis[:, j]
    torch.testing.assert_close(found.double(), expected.flatten(2), rtol=0, atol=2e-5)


def root(form: torch.Tensor) -> torch.Tensor:
    """R with R^T R the given quadratic form."""
    values, vectors = torch.linalg.eigh(form)
    return values.clamp_min(0).sqrt()[:, None] * vectors.T


def test_normal_equations_hold_where_senders_are_nearly_the_same():
    """As in short recordings: products in single precision would be lost in their rounding."""
    system, n = exact(2, n_frames=400), 400
    alike = system.frames.x.mean(1, keepdim=True) + 1e-3 * system.frames.x
    s = search(replace(system, frames=replace(system.frames, x=alike)))
    state = s.at(system.transfer, 1e-14)
    moment, _ = s.normal_equations(state)
    sent, own = system.transfer.sent(alike), s.frames.own(ROWS)
    assert torch.linalg.cond(sent) > 1e3
    columns = directions(s.frames, system.transfer, state.fit.weights).double()
    padding = smoothness(s.frames, sent.device)
    expected = torch.zeros_like(moment)
    for r, i in enumerate(ROWS.tolist()):
        others = torch.arange(sent.shape[1]) != i
        stiff = (n * level_of(state.rows.moments.own_own[r], padding)).sqrt() * root(padding)
        design = torch.cat([sent[:, others], own[:, r]], 1)
        design = torch.cat([design, torch.nn.functional.pad(stiff, (len(sent.T) - 1, 0))])
        right = torch.cat([columns[:, r], columns.new_zeros(len(stiff), columns.shape[2])])
        known, _ = torch.linalg.qr(design)
        left = right - known @ (known.T @ right)
        expected += left.T @ left / n / s.level[r] / len(ROWS)
    assert (moment - expected).norm() < 1e-8 * expected.norm()


@pytest.mark.quick(1)
@every_grouping
def test_functions_in_the_bases_come_back_exactly(groups):
    """From a tanh of its own width for all: W, phi and psi, up to the scale of every psi."""
    system = exact(groups)
    s, true = search(system), system.transfer
    guess = true.spline.fit(lambda x: torch.tanh(x / 2), like=true.coefficients)
    start = changed(true, guess.expand(groups, -1).clone())
    fit = s.run(start, [1e-4, 1e-8, RIDGE], 20)
    assert fit.loss < 1e-12
    assert fit.held_out < 1e-12
    rows = torch.arange(len(system.weights))
    all_rows = fitted(system.frames, fit.transfer, rows, RIDGE)
    everyone = torch.zeros_like(rows)
    weights = rescaled(all_rows["weights"], system.weights, everyone, true.group)
    assert 1 - r2(weights, system.weights) < 1e-8
    torch.testing.assert_close(weights, system.weights, rtol=0, atol=1e-4)
    grid = torch.linspace(-6, 6, 101).double()
    sent, expected = fit.transfer.curves(grid), true.curves(grid)
    ratio = (sent * expected).sum(1) / sent.square().sum(1)
    torch.testing.assert_close(ratio[:, None] * sent, expected, rtol=0, atol=1e-3)
    phi = [
        system.frames.phi.read(c, grid[:, None].expand(-1, len(rows)))
        for c in (all_rows["own"], system.phi)
    ]
    torch.testing.assert_close(*phi, rtol=0, atol=1e-3)


def test_a_few_rows_suffice():
    """psi from two rows explains all the others."""
    system = exact(1)
    two = search(system, torch.tensor([2, 11]))
    guess = system.transfer.spline.fit(lambda x: torch.tanh(x / 2), like=system.phi)
    fit = two.run(changed(system.transfer, guess[None]), [1e-4, 1e-8, RIDGE], 20)
    rows = torch.arange(len(system.weights))
    found = fitted(system.frames, fit.transfer, rows, RIDGE)["weights"]
    assert 1 - r2(found, system.weights) < 1e-8


def test_held_out_frames_choose_the_ridge():
    """Much noise and few frames: a large one, and smaller ones are soon given up."""
    ridges, tried = [1.0, 1e-2, 1e-4, 1e-6, 1e-8], []

    def report(stage: str, **reached: float) -> None:
        if "held_out" in reached:
            tried.append(reached["held_out"])

    system = exact(1, n_frames=300, noise=5.0)
    held_out = system.other(50, 400, noise=5.0)
    s = Search(system.frames, held_out, ROWS, roughness=1e-10, report=report)
    chosen = s.run(wrong(system.transfer), ridges, 3)
    assert chosen.ridge == ridges[tried.index(min(tried))]
    assert chosen.held_out == min(tried)
    assert chosen.ridge >= 1e-2
    assert len(tried) < len(ridges)
    clean = exact(1)
    assert search(clean).run(clean.transfer, ridges, 3).ridge < 1e-5


def test_a_search_that_fits_noise_leaves_psi_as_it_was():
    system = exact(1, n_frames=300, noise=20.0)
    held_out = system.other(50, 400, noise=20.0)
    s = Search(system.frames, held_out, ROWS, roughness=1e-10, report=silent)
    chosen = s.run(system.transfer, [1.0, 1e-2], 3)
    assert torch.equal(chosen.transfer.coefficients, system.transfer.coefficients)


def test_a_ridge_too_small_ends_the_path():
    """25 frames of 16 neurons with their own functions: the last ridge cannot be factorised."""
    system = exact(1, n_frames=12)
    told = []
    s = Search(
        system.frames,
        system.other(50, 400),
        ROWS,
        roughness=1e-10,
        report=lambda stage, **reached: told.append(stage),
    )
    chosen = s.run(system.transfer, [1e-1, 1e-2, 1e-30], 2)
    assert chosen.ridge >= 1e-2
    assert told[-1] == "psi, ridge 1e-30 too small for these frames"
    with pytest.raises(DivergenceError):
        s.run(system.transfer, [1e-30], 2)


def test_under_noise_a_small_fall_of_the_loss_is_worth_another_step():
    system = exact(1, n_frames=6000, noise=8.0)
    start = system.transfer.spline.fit(lambda x: torch.tanh(x / 4), like=system.phi)
    steps = {}
    for noisy in (False, True):
        losses = []
        s = Search(
            system.frames,
            system.other(50, 400, noise=8.0),
            torch.arange(16),
            roughness=1e-10,
            report=lambda stage, losses=losses, **reached: losses.append(reached["loss"]),
            noisy=noisy,
        )
        s.run(changed(system.transfer, start[None]), [1e-4], 10)
        steps[noisy] = len(losses)
        # The last step brought no more than fitted noise would: 12 coefficients of 96,000 numbers.
        assert losses[-2] - losses[-1] < (1e-3 if noisy else 0.1)
    assert steps[True] > steps[False]


def test_the_loss_is_that_of_the_residual():
    """Mean over rows of the squared residual over the squared target; the same held out."""
    system = exact(2, n_frames=400, noise=0.5)
    s = search(system)
    state = s.at(wrong(system.transfer), 1e-3)

    def error(frames: Frames) -> float:
        sent, own = state.transfer.sent(frames.x), frames.phi.basis(frames.x[:, ROWS])
        level = system.frames.rate[:, ROWS].square().mean(0)
        residual = frames.rate[:, ROWS] - state.fit.predict(sent, own)
        return float((residual.square().mean(0) / level).mean())

    assert state.loss == pytest.approx(error(system.frames), rel=1e-9)
    assert s.held_out_loss(state) == pytest.approx(error(s.held_out), rel=1e-9)


def test_every_psi_is_zero_at_rest_and_of_its_group():
    """Whatever its coefficients; curves and what is sent are the same functions."""
    system = exact(3, n_frames=30)
    transfer, x = wrong(system.transfer, 2.0), system.frames.x
    spline, group, rest = transfer.spline, transfer.group, torch.zeros(1, dtype=torch.float64)
    assert transfer.sent(torch.zeros(2, len(group))).abs().max() < 1e-14
    for j in range(len(group)):
        c = transfer.coefficients[group[j]]
        expected = spline.read(c, x[:, j]) - spline.read(c, rest)
        torch.testing.assert_close(transfer.sent(x)[:, j], expected, rtol=0, atol=1e-12)
        curve = transfer.curves(x[:, j])[group[j]]
        torch.testing.assert_close(curve, expected, rtol=0, atol=1e-12)


def test_the_gauge_of_other_groups_is_their_own():
    """What is known of some groups is kept for them alone."""
    system = exact(2, n_frames=400)
    other = system.transfer.split((system.transfer.group + torch.arange(16) // 8) % 2)
    gauge = Gauge(system.frames)
    gauge.form(system.transfer)
    expected = Gauge(system.frames).form(other)
    assert (expected - gauge.form(system.transfer)).abs().max() > 1e-3
    torch.testing.assert_close(gauge.form(other), expected, rtol=0, atol=0)


def test_steps_leave_scale_and_offset_alone(monkeypatch):
    """Orthogonal to both where senders are, before psi is brought to its unit."""
    monkeypatch.setattr(Gauge, "normalised", lambda self, transfer: transfer)
    system = exact(3, n_frames=400, noise=0.5)
    s, start = search(system), wrong(system.transfer)
    state = s.at(start, RIDGE)
    new = s.moved(state.transfer, s.step(state, *s.normal_equations(state), 1e-6))
    change = new.coefficients - start.coefficients
    for k in range(3):
        x = system.frames.x[::2, start.group == k]  # frames that the step is held to
        basis = start.spline.basis(x.flatten())
        step, psi = basis @ change[k], basis @ start.coefficients[k]
        assert step.square().mean().sqrt() > 0.02
        for along in (psi, torch.ones_like(psi)):
            size = float(step.norm() * along.norm())
            assert abs(float(step @ along)) < 1e-3 * size


def test_noise_beyond_the_residual_leaves_a_loss_to_compare():
    """Taken out whole, it would make the loss negative, and its logarithm lead nowhere."""
    system = exact(1, n_frames=400, noise=0.05)
    huge = 5 * torch.ones(system.frames.n_neurons, dtype=torch.float64)
    freed = replace(system.frames, kappa=huge)
    held_out = replace(system.other(50, 200), kappa=huge)
    s = Search(freed, held_out, ROWS, roughness=1e-14, report=silent, noisy=True)
    first = s.at(system.transfer, RIDGE)
    assert first.loss == first.parts.plain
    assert first.loss > 0
    assert s.held_out_loss(first) > 0
    later = s.at(wrong(system.transfer), RIDGE)
    assert later.loss == later.parts.plain + later.parts.noise
    both = JointSearch([s, search(system)])
    losses = [both.at(t, RIDGE).loss for t in (system.transfer, wrong(system.transfer))]
    assert 0 < losses[0] < losses[1]
