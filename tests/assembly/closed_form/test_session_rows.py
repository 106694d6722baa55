"""Sessions that each see some of the neurons: completion of what is sent, rows of W, the whole."""

from dataclasses import replace
from functools import cache

import pytest
import torch
from systems import System, fitted, numbers, r2, silent, simulated, training
from torch import Tensor

from ngpipe.assembly.closed_form.chosen_frames import Frames, Transfer
from ngpipe.assembly.closed_form.completion import (
    Completion,
    Seen,
    chance_in_covariances,
    completion,
    pairwise,
)
from ngpipe.assembly.closed_form.session_parts import Part, session_parts, with_one
from ngpipe.assembly.closed_form.session_rows import Parts, solved
from ngpipe.assembly.closed_form.session_weights import weighed
from ngpipe.assembly.closed_form.solution import Solution
from ngpipe.assembly.closed_form.solve import ClosedForm
from ngpipe.assembly.closed_form.spline import Spline
from ngpipe.assembly.recording import Recording
from ngpipe.assembly.sessions import Sessions

N = 10
AXIS = {"unit": 0.5, "reach": 9.0}
EVERYONE = torch.arange(N)


def correlated(seed: int, n_frames: int) -> Tensor:
    """Activity of which three directions hold most, around means of its own."""
    shared = numbers(seed, n_frames, 3) @ numbers(7, 3, N)
    return shared + 0.7 * numbers(seed + 1, n_frames, N) + numbers(8, N)


def system(seed: int, n_frames: int, noise: float) -> tuple[Frames, Transfer, Tensor]:
    """Frames of a system without dynamics, its psi, and its W."""
    psi, phi = Spline(12, **AXIS), Spline(8, **AXIS)
    like = torch.zeros((), dtype=torch.float64)
    transfer = Transfer(psi, psi.fit(torch.tanh, like=like)[None], torch.zeros_like(EVERYONE))
    w = numbers(1, N, N).fill_diagonal_(0)
    x = correlated(seed, n_frames)
    rate = -x + transfer.sent(x) @ w.T + noise * numbers(seed + 2, n_frames, N)
    return Frames(x, rate, phi, torch.arange(float(n_frames))), transfer, w


def part(frames: Frames, transfer: Transfer, members: Tensor) -> Part:
    mine = replace(frames, x=frames.x[:, members], rate=frames.rate[:, members])
    return Part(members, mine, replace(transfer, group=transfer.group[members]))


def sessions(
    lacking: list[list[int]], n_frames: int = 2000, noise: float = 0.3
) -> tuple[list[Part], Tensor]:
    """Sessions that lack some neurons, and the true W."""
    parts, w = [], torch.empty(0)
    for k, absent in enumerate(lacking):
        frames, transfer, w = system(10 * k + 3, n_frames, noise)
        members = EVERYONE[~torch.isin(EVERYONE, torch.tensor(absent, dtype=torch.long))]
        parts.append(part(frames, transfer, members))
    return parts, w


def spread(found: Tensor, w: Tensor) -> float:
    """Root mean square error of W over its own root mean square."""
    return float((found - w).norm() / w.norm())


def test_sessions_that_see_all_are_one_recording():
    """Four sessions of the same noise, and all of their frames in one."""
    parts, _ = sessions([[]] * 4)
    frames = Frames(
        torch.cat([p.equations.x for p in parts]),
        torch.cat([p.equations.rate for p in parts]),
        parts[0].equations.phi,
        torch.arange(8000.0),
    )
    whole = part(frames, parts[0].transfer, EVERYONE)
    one, error = solved(Parts([whole], N, 1e-9), EVERYONE)
    several, _ = solved(Parts(parts, N, 1e-9), EVERYONE)
    # Weights by residuals, which differ by chance, change W by a small part of its error.
    assert float((several - one).abs().max() / error[error > 0].mean()) < 0.3
    alike = Parts(parts, N, 1e-9)
    block = next(alike.blocks(EVERYONE))
    same = block._solved(torch.ones_like(block.n_frames)).fit.weights
    torch.testing.assert_close(same, one, rtol=1e-7, atol=1e-8)


def test_one_session_that_sees_all_is_the_plain_solution():
    (only,), _ = sessions([[]])
    plain = fitted(only.equations, only.transfer, EVERYONE, 1e-9)
    found, _ = solved(Parts([only], N, 1e-9), EVERYONE)
    torch.testing.assert_close(found, plain["weights"], rtol=1e-6, atol=1e-8)


def test_two_sessions_that_together_see_all_pairs_recover_w():
    lacking = [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 0, 3], [1, 4, 7], [2, 5, 8]]
    parts, w = sessions(lacking, 4000)
    found, error = solved(Parts(parts, N, 1e-9), EVERYONE)
    assert spread(found, w) < 0.1
    # Ignoring who is not there costs far more.
    ignored = torch.zeros_like(w)
    for p in parts:
        local = torch.arange(len(p.members))
        alone = Parts([replace(p, members=local)], len(local), 1e-9)
        ignored[p.members[:, None], p.members] += solved(alone, local)[0]
    counts = torch.zeros_like(w)
    for p in parts:
        counts[p.members[:, None], p.members] += 1
    assert spread(ignored / counts, w) > 3 * spread(found, w)
    assert error[~torch.eye(N, dtype=torch.bool)].min() > 0


def test_a_session_that_sees_all_decides_where_the_rate_is_exact():
    """What the other session cannot predict is noise there, and it hardly counts."""
    parts, w = sessions([[], [0, 1, 2]], noise=1e-6)
    found, _ = solved(Parts(parts, N, 1e-12), EVERYONE)
    assert spread(found, w) < 1e-3


def lasting(n: int, hold: int, absent: list[int], noise: float) -> tuple[Recording, Tensor]:
    """Two sessions, the second without some neurons; activity holds for some frames."""
    frames, transfer, w = system(30, 2 * n // hold, 0.0)
    x = frames.x.repeat_interleave(hold, 0)
    x = x + 0.3 * numbers(31, *x.shape)
    rate = -x + transfer.sent(x) @ w.T + noise * numbers(32, *x.shape)
    seen = torch.ones(2, N, dtype=torch.bool)
    seen[1, absent] = False
    session = (torch.arange(2 * n) >= n).long()
    hidden = ~seen[session]
    x, rate = x.masked_fill(hidden, torch.nan), rate.masked_fill(hidden, torch.nan)
    stretches = (range(n), range(n, 2 * n))
    whole = Recording(
        x, rate, 0.1, 0.1, in_blocks=True, stretches=stretches, sessions=Sessions(session, seen)
    )
    return whole, w


def parts_of(recording: Recording) -> Parts:
    psi, phi = Spline(12, **AXIS), Spline(8, **AXIS)
    like = torch.zeros((), dtype=torch.float64)
    transfer = Transfer(psi, psi.fit(torch.tanh, like=like)[None], torch.zeros_like(EVERYONE))
    return Parts(session_parts(recording, recording.training_frames, phi, transfer), N, 1e-9)


def test_a_session_whose_unseen_input_lasts_counts_less():
    """20 spells of activity in each: what is not seen there is no noise that averages out."""
    recording, w = lasting(1000, 50, [0, 3, 6, 9], noise=0.5)
    plain = parts_of(recording)
    found = weighed(plain, recording)
    assert found.persistence >= 10
    assert found.unknown[0] == 0
    assert found.correlated[1] == 1 + found.persistence * found.unknown[1]
    better, worse = (spread(solved(p, EVERYONE)[0], w) for p in (found, plain))
    assert better < 0.6 * worse


def test_sessions_that_see_all_are_not_weighed():
    recording, _ = lasting(1000, 50, [], noise=0.5)
    plain = parts_of(recording)
    assert weighed(plain, recording) is plain


def test_unseen_senders_are_shrunk_unless_sessions_that_see_all_suffice():
    recording, _ = lasting(1000, 50, [0, 3, 6, 9], noise=0.5)
    assert weighed(parts_of(recording), recording).shrinkage == 0
    few, _ = lasting(40, 4, [0, 3, 6, 9], noise=0.5)
    assert weighed(parts_of(few), few).shrinkage == 1


def test_a_pair_that_no_session_sees_together_is_shrunk():
    """Held-out frames, which do not see it either, would leave its weight to chance."""
    recording, w = lasting(1000, 1, [0], noise=0.5)
    session = recording.sessions.of_frame
    seen = torch.ones(2, N, dtype=torch.bool)
    seen[0, 1] = seen[1, 0] = False
    hidden = ~seen[session]
    apart = replace(
        recording,
        activity=recording.activity.masked_fill(hidden, torch.nan),
        rate=recording.rate.masked_fill(hidden, torch.nan),
        sessions=Sessions(session, seen),
    )
    found = weighed(parts_of(apart), apart)
    weights, _ = solved(found, EVERYONE)
    pair = torch.tensor([[0, 1], [1, 0]])
    assert 0.3 < found.shrinkage < 1
    assert float(weights[pair[0], pair[1]].abs().max()) < 3 * float(w.abs().max())
    loose, _ = solved(found.under(0.0, found.persistence), EVERYONE)
    assert float(loose[pair[0], pair[1]].abs().max()) > 3 * float(w.abs().max())


@pytest.mark.parametrize(("hold", "least", "most"), [(1, 0.0, 0.02), (200, 0.08, 0.6)])
def test_covariances_are_trusted_as_far_as_frames_are_independent(hold, least, most):
    """10,000 frames, or 50 spells of 200 frames, that tell of 12 senders."""
    z = numbers(50, 10_000 // hold, 2) @ numbers(51, 2, 12)
    z = (z + numbers(52, 10_000 // hold, 12)).repeat_interleave(hold, 0)
    halves = [moments_of(half, [[]]) for half in z.chunk(2)]
    share = chance_in_covariances((halves[0], halves[1]), 12, 1e-9)
    assert least <= share <= most
    truth = with_one(numbers(53, 100_000, 2) @ numbers(51, 2, 12) + numbers(54, 100_000, 12))
    unseen, members = torch.tensor([1, 2, 3, 4]), torch.arange(4, 12)

    def missed(found: Completion) -> float:
        matrix, _ = found.prediction(members)
        left = truth[:, unseen] - truth[:, [0, *(1 + members).tolist()]] @ matrix[unseen].T
        return float(left.square().mean())

    whole = completion(moments_of(z, [[]]), 12, 1e-9)
    assert missed(replace(whole, independent=share)) <= 1.001 * missed(whole)
    _, doubt = replace(whole, independent=share).prediction(members)
    assert doubt.diagonal()[unseen].mean() == pytest.approx(
        missed(replace(whole, independent=share)), rel=0.25
    )


def test_standard_errors_cover():
    parts, w = sessions([[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]])
    found, error = solved(Parts(parts, N, 1e-9), EVERYONE)
    off = ~torch.eye(N, dtype=torch.bool)
    z = ((found - w) / error)[off]
    assert 0.85 < float((z.abs() < 1.96).double().mean()) <= 1.0


@pytest.mark.quick(1)
@pytest.mark.parametrize("unit", [1.0, 1e4])
def test_an_input_that_moves_an_unseen_sender_is_not_taken_for_it(unit):
    """Neuron 0 follows an input, which drives all neurons too, and the second session lacks it."""
    parts, drives = [], torch.linspace(0.5, 1.5, N, dtype=torch.float64)
    w = numbers(1, N, N).fill_diagonal_(0)
    w[:, 0] = 2
    w[0, 0] = 0
    for k, absent in enumerate([[], [0], [0], [0]]):
        frames, transfer, _ = system(10 * k + 3, 2000, 0.3)
        u = numbers(10 * k + 6, 2000)
        x = frames.x.clone()
        x[:, 0] = u + 0.3 * x[:, 0]
        rate = -x + transfer.sent(x) @ w.T + u[:, None] * drives
        rate = rate + 0.3 * numbers(10 * k + 5, *x.shape)
        frames = replace(frames, x=x, rate=rate, inputs=unit * u[:, None])
        members = EVERYONE[~torch.isin(EVERYONE, torch.tensor(absent, dtype=torch.long))]
        parts.append(part(frames, transfer, members))
    found = [block.solve() for block in Parts(parts, N, 1e-9).blocks(EVERYONE)]
    weights = torch.cat([block.fit.weights for block in found])
    coefficient = unit * torch.cat([block.fit.own[:, -1] for block in found])
    error = unit * torch.cat([block.input_errors(1.0, 1)[:, 0] for block in found])
    assert spread(weights, w) < 0.1
    assert ((coefficient - drives).abs() < 4 * error).all()
    assert float(error.max()) < 0.15


def moments_of(z: Tensor, lacking: list[list[int]]) -> list[Seen]:
    n = z.shape[1] // 1
    found = []
    for chunk, absent in zip(z.chunk(len(lacking)), lacking, strict=True):
        members = torch.arange(n)[~torch.isin(torch.arange(n), torch.tensor(absent))]
        one = with_one(chunk[:, members])
        found.append(Seen(members, len(chunk), one.T @ one / len(chunk)))
    return found


LACKING = [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 0, 1], [2, 3, 4, 5], [6, 7, 8, 9]]


@pytest.mark.quick(1)
@pytest.mark.parametrize("n_frames", [100, 1000, 100_000])
def test_moments_of_pairs_become_positive_and_then_likely(n_frames):
    z = correlated(20, n_frames)
    seen = moments_of(z, LACKING)
    first = pairwise(seen, N)
    assert torch.linalg.eigvalsh(first)[0] > 0
    found = completion(seen, N, 1e-9).moment
    assert torch.linalg.eigvalsh(found)[0] > 0
    truth = with_one(correlated(99, 200_000))
    truth = truth.T @ truth / len(truth)
    if n_frames == 100_000:
        assert float((found - truth).norm() / truth.norm()) < 0.03
    torch.testing.assert_close(found, found.T)


def test_pairs_that_are_indefinite_together_are_shrunk():
    """Three correlations that no three variables can have, each of a session of two neurons."""

    def two(a: int, b: int, r: float) -> Seen:
        moment = torch.eye(3, dtype=torch.float64)
        moment[1, 2] = moment[2, 1] = r
        return Seen(torch.tensor([a, b]), 100, moment)

    seen = [two(0, 1, 0.9), two(1, 2, 0.9), two(0, 2, -0.9)]
    found = pairwise(seen, 3)[1:, 1:]
    assert torch.linalg.eigvalsh(found)[0] > 0
    torch.testing.assert_close(found.diagonal(), torch.ones(3, dtype=torch.float64))
    assert found[0, 1] > 0.2
    assert found[0, 2] < -0.2
    agreeing = [two(0, 1, 0.5), two(1, 2, 0.5), two(0, 2, 0.5)]
    torch.testing.assert_close(
        pairwise(agreeing, 3)[1:, 1:], 0.5 + 0.5 * torch.eye(3, dtype=torch.float64)
    )


def test_counts_weigh_sessions(monkeypatch):
    """A long session decides; with counts that are all alike, it does not."""
    long, short = correlated(20, 20_000), 3 * correlated(40, 200)
    seen = [*moments_of(long, [[0]]), *moments_of(short, [[1]])]
    truth = with_one(long).T @ with_one(long) / len(long)

    def far() -> float:
        found = pairwise(seen, N)[3:, 3:]
        return float((found - truth[3:, 3:]).norm() / truth[3:, 3:].norm())

    assert far() < 0.15
    seen = [replace(one, n_frames=100) for one in seen]
    assert far() > 1


def test_prediction_is_the_best_linear_one():
    z = correlated(20, 50_000)
    members = torch.tensor([0, 2, 3, 5, 6, 7, 8])
    one = with_one(z)
    matrix, missed = Completion(one.T @ one / len(one), 1e-12).prediction(members)
    predicted = with_one(z[:, members]) @ matrix.T
    torch.testing.assert_close(predicted[:, 1:][:, members], z[:, members])
    left = z[:, [1, 4, 9]] - predicted[:, [2, 5, 10]]
    torch.testing.assert_close(missed[[2, 5, 10]][:, [2, 5, 10]], left.T @ left / len(left))
    assert float((left.T @ with_one(z[:, members])).abs().max()) / len(z) < 1e-6


def partial(seen: Tensor, recording: Recording, *, differences: bool = False) -> Recording:
    """A recording cut into sessions of equal length that lack some neurons."""
    n, length = recording.n_frames, recording.n_frames // len(seen)
    of_frame = (torch.arange(n) // length).clamp_max(len(seen) - 1)
    hidden = ~seen[of_frame]
    bounds = [*(length * k for k in range(len(seen))), n]
    return replace(
        recording,
        activity=recording.activity.masked_fill(hidden, torch.nan),
        rate=None if differences else recording.rate.masked_fill(hidden, torch.nan),
        stretches=tuple(map(range, bounds[:-1], bounds[1:])),
        sessions=Sessions(of_frame, seen),
    )


QUICK = training("activity", rows=4, iterations=8, ridges=[1e-2, 1e-6], psi_basis=16, fine_basis=24)


def small() -> System:
    return simulated("activity", n=20, n_frames=4000)


@cache
def two_days() -> tuple[Recording, Solution]:
    """The second of two sessions lacks a fifth of the neurons."""
    system = small()
    seen = torch.ones(2, system.n, dtype=torch.bool)
    seen[1, ::5] = False
    recording = partial(seen, system.recording)
    return recording, ClosedForm(recording, QUICK, silent).solve()


@pytest.mark.slow
def test_a_second_session_that_lacks_neurons_is_used():
    recording, found = two_days()
    w = small().weights
    assert r2(found.scaled().double(), w) > 0.99
    assert found.error.isfinite().all()
    assert found.held_out < 0.01
    counts = recording.pairs_seen()
    assert int(counts[1, 2]) == len(recording.training_frames)
    assert int(counts[0, 2]) == int((recording.training_frames < 2000).sum())


@pytest.mark.slow
def test_frames_are_held_out_where_most_neurons_are_seen():
    recording, _ = two_days()
    assert recording.scoring_frames(10_000).max() < 2000
    assert recording.selection_frames(10_000).max() < 2000
    assert recording.filled(recording.activity[3000:3010]).isfinite().all()
    assert recording.visited(0.99).isfinite().all()
    assert recording.training_sample(50).max() >= 2000


@pytest.mark.slow
def test_a_pair_that_no_session_sees_together_has_no_error():
    system = small()
    seen = torch.ones(2, system.n, dtype=torch.bool)
    seen[0, 0] = seen[1, 1] = False
    recording = partial(seen, system.recording)
    found = ClosedForm(recording, QUICK, silent).solve()
    never = torch.nonzero(found.error.isnan()).tolist()
    assert never == [[0, 1], [1, 0]]
    assert (recording.pairs_seen() == 0).nonzero().tolist() == never


def test_a_wrong_count_is_noticed():
    """Sessions that are weighed by the wrong number of frames make moments, and W, worse."""
    lacking = [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9], [0, 9]]
    parts, _ = sessions(lacking, 1500)
    few, w = sessions([*lacking, [0, 5]], 60, noise=3.0)
    parts = [*parts, few[-1]]
    right, error = solved(Parts(parts, N, 1e-9), EVERYONE)
    assert spread(right, w) < 0.15
    counted = Parts(parts, N, 1e-9)
    block = next(counted.blocks(EVERYONE))
    assert block.n.tolist() == [
        sum(len(p.equations) for p in parts if i in p.members) for i in range(N)
    ]
    assert spread(right, w) < 3 * float(error.norm() / w.norm())
