"""The closed form by several jobs gives what one gives, whatever their number."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch
from systems import COARSE, silent, simulated, training
from torch import Tensor

from ngpipe.assembly.closed_form import accumulate, all_rows, phi_span, row_shares, scattered
from ngpipe.assembly.closed_form import problem as problem_module
from ngpipe.assembly.closed_form.accumulate import gram_moment, mean_products
from ngpipe.assembly.closed_form.chosen_frames import Source, Transfer
from ngpipe.assembly.closed_form.row_shares import Share, summed_panels
from ngpipe.assembly.closed_form.solution import Solution
from ngpipe.assembly.closed_form.solve import ClosedForm, gathered, search
from ngpipe.assembly.closed_form.spline import Spline
from ngpipe.assembly.known_input import KnownInput
from ngpipe.assembly.recording import Recording
from ngpipe.assembly.sessions import Sessions
from ngpipe.config.assembly.training import Training
from ngpipe.errors import ConfigError

ROWS = ("weights", "phi_coefficients", "mean_square", "level", "noise", "error")


def by_jobs(recording: Recording, cfg: Training, jobs: int) -> Solution:
    """What several jobs find, one after another in this process."""
    found = search(recording, cfg, silent)
    problem = found.problem(recording, cfg, silent)
    shares = [Share(job, jobs) for job in range(1, jobs + 1)]
    panels: dict = {}
    for share in shares:
        mine = scattered.gram_share(problem, found, share)
        assert panels.keys().isdisjoint(mine)
        panels |= mine
    every = range(len(found.fits))
    ready = [scattered.prepared(problem, found, k, lambda *p: panels[p]) for k in every]
    parts = [scattered.rows_share(problem, found, ready.__getitem__, share) for share in shares]
    of_all = torch.cat([part.rows for part in parts]).sort().values
    assert of_all.tolist() == list(range(recording.n_neurons))
    return gathered(problem, found, ready.__getitem__, [lambda p=p: p for p in parts])


def distance(one: Solution, other: Solution) -> float:
    """Largest difference in units of each quantity, of the weights and of the mean square rate."""
    level = float(one.level.mean())
    units = dict.fromkeys(("mean_square", "level", "noise"), level)
    spread = float(one.weights.square().mean().sqrt())
    units |= {"weights": spread, "error": spread}
    units["phi_coefficients"] = float(one.phi_coefficients.abs().max())
    gaps = [(getattr(one, n) - getattr(other, n)).abs().max() / units[n] for n in ROWS]
    return float(max(gaps))


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Units of a few rows and panels of a few neurons, so that few neurons make many."""
    monkeypatch.setattr(row_shares, "UNIT", 12)
    for module in (accumulate, row_shares, scattered):
        monkeypatch.setattr(module, "PANEL", 16)
    return


def differences() -> tuple[Recording, Training]:
    """Noisy differences, which take the noise that states share with rates out."""
    noisy = replace(simulated("activity", 30, 2500).recording, rate=None)
    x = noisy.activity + 0.02 * torch.randn(
        noisy.activity.shape, generator=torch.Generator().manual_seed(1)
    )
    state_noise = torch.full((noisy.n_neurons,), 0.02, dtype=torch.float64)
    cfg = training("activity", **COARSE)
    return replace(noisy, activity=x, state_noise=state_noise), cfg


def driven() -> tuple[Recording, Training]:
    """A known input, by which equations are divided."""
    recording = simulated("activity").recording
    table = 1 + 0.3 * torch.rand(9, recording.n_neurons, generator=torch.Generator().manual_seed(2))
    shown = torch.arange(recording.n_frames) * 9.0 // recording.n_frames
    known = KnownInput(table, shown.double(), recording.dt, "multiplicative")
    cfg = training("activity", **COARSE).model_copy(update={"input": "known"})
    return replace(recording, known_input=known), cfg


CASES: dict[str, Callable[[], tuple[Recording, Training]]] = {
    "exact": lambda: (simulated("activity").recording, training("activity", **COARSE)),
    "receivers": lambda: (simulated("receiver").recording, training("receiver", **COARSE)),
    "differences": differences,
    "known input": driven,
}


@pytest.mark.slow
@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize(
    ("case", "memory"),
    [
        ("exact", 0),
        ("exact", 10**12),
        ("receivers", 0),
        ("differences", 10**12),
        ("known input", 0),
    ],
)
def test_jobs_find_what_one_finds(case, memory, monkeypatch):
    """Whether the frames of the search are in memory or streamed."""
    monkeypatch.setattr(problem_module, "IN_MEMORY_BYTES", memory)
    recording, cfg = CASES[case]()
    one = ClosedForm(recording, cfg, silent).solve()
    two, five = (by_jobs(recording, cfg, jobs) for jobs in (2, 5))
    assert distance(one, two) < 1e-10
    for name in (*ROWS, "types"):
        assert torch.equal(getattr(two, name), getattr(five, name)), name
    assert torch.equal(one.types, two.types)
    assert one.inflation == pytest.approx(two.inflation, rel=1e-9)
    told, other = vars(one.diagnosis), vars(two.diagnosis)
    assert told == pytest.approx(other, rel=1e-6, abs=1e-12, nan_ok=True)
    assert vars(five.diagnosis) == pytest.approx(other, rel=0, abs=0, nan_ok=True)


@pytest.mark.slow
@pytest.mark.usefixtures("small_pieces")
def test_rows_of_another_kind_are_solved_when_all_are_gathered(monkeypatch):
    """Their phi is none of those that span most; here every phi that is not very near is."""
    monkeypatch.setattr(phi_span, "SAMPLE", 6)
    monkeypatch.setattr(all_rows, "SAMPLE", 6)
    monkeypatch.setattr(phi_span, "POOR", 0.8)
    again: list[int] = []
    known = all_rows.other_kinds

    def watched(*args: object) -> Iterator:
        for block in known(*args):
            again.append(len(block[0].rows))
            yield block

    monkeypatch.setattr(all_rows, "other_kinds", watched)
    monkeypatch.setattr(scattered, "other_kinds", watched)
    recording, cfg = CASES["exact"]()
    one = ClosedForm(recording, cfg, silent).solve()
    alone = list(again)
    assert sum(alone) > 0
    assert distance(one, by_jobs(recording, cfg, 3)) < 1e-10
    assert again == 2 * alone


def test_every_item_is_of_one_job_and_costs_are_even():
    items, costs = list(range(97)), [1 + (k * 7) % 5 for k in range(97)]
    for jobs in (1, 2, 5, 60, 97, 300):
        shares = [Share(job, jobs).of(items, costs) for job in range(1, jobs + 1)]
        assert [k for share in shares for k in share] == items
        heavy = max(sum(costs[k] for k in share) for share in shares)
        assert heavy <= sum(costs) / jobs + max(costs)


def test_panels_are_those_of_the_gram_matrix_to_the_last_bit(monkeypatch):
    for module in (accumulate, row_shares):
        monkeypatch.setattr(module, "PANEL", 16)
    recording = simulated("activity").recording
    spline = Spline(16, unit=1.0, reach=20.0)
    like = torch.zeros((), dtype=torch.float64)
    group = torch.zeros(recording.n_neurons, dtype=torch.long)
    transfer = Transfer(spline, spline.fit(torch.tanh, like=like)[None], group)
    source = Source(recording, recording.training_frames, spline)
    sums = {"all": source, "first": source.part(slice(0, 900))}
    panels: dict[tuple[str, int], Tensor] = {}
    for job in (1, 2, 3):
        panels |= summed_panels(sums, transfer, Share(job, 3).panels(sums))
    for name, equations in sums.items():
        upper = torch.zeros(recording.n_neurons, recording.n_neurons, dtype=torch.float64)
        for start in range(0, recording.n_neurons, 16):
            upper[start : start + 16, start:] = panels[name, start]
        assert torch.equal(mean_products(upper, len(equations)), gram_moment(equations, transfer))


def test_sessions_that_see_different_neurons_are_left_to_one_job():
    recording = simulated("activity").recording
    of_frame = torch.zeros(recording.n_frames, dtype=torch.long)
    seen = torch.ones(1, recording.n_neurons, dtype=torch.bool)
    with pytest.raises(ConfigError, match=r"closed_form.jobs: the sessions .* set it to 1"):
        search(replace(recording, sessions=Sessions(of_frame, seen)), training("activity"), silent)
