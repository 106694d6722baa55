"""Rows of W with the few functions that span all phi: the same rows, and none left out."""

from dataclasses import replace

import pytest
import torch
from systems import Exact, exact, numbers, simulated, solved, training
from torch import Tensor

from ngpipe.assembly.closed_form import all_rows as all_rows_module
from ngpipe.assembly.closed_form import phi_span
from ngpipe.assembly.closed_form.accumulate import gram_moment, solve_rows
from ngpipe.assembly.closed_form.phi_span import Sampled, Span, poorly_spanned, span_of
from ngpipe.assembly.closed_form.rows import Gram, RowFit
from ngpipe.assembly.closed_form.solve import ClosedForm

N_FRAMES, RIDGE, OTHER = 1500, 1e-12, 1
"""OTHER is a neuron whose phi is of another kind, and which is not in the sample."""


def system(noise: float, *, all_alike: bool = True) -> Exact:
    """phi of all neurons are sums of two functions, but that of one perhaps."""
    made = exact(2, n_frames=N_FRAMES)
    n, spline = len(made.weights), made.frames.phi
    two = spline.fit(lambda x: torch.stack([-x, torch.tanh(x)]), like=made.phi)
    phi = (1 + numbers(5, n, 2).abs()) @ two
    if not all_alike:
        phi[OTHER] = spline.fit(lambda x: 2 * torch.sin(2 * x), like=made.phi)
    frames = made.frames
    rate = spline.read(phi, frames.x.double()) + made.transfer.sent(frames.x) @ made.weights.T
    rate = rate + noise * numbers(6, *rate.shape)
    return replace(made, phi=phi, frames=replace(frames, rate=rate))


def sampled(made: Exact, rows: Tensor) -> Sampled:
    few, rest = made.frames.part(slice(0, 300)), made.frames.part(slice(300, None))
    gram = Gram(gram_moment(rest, made.transfer), RIDGE)
    return Sampled.of(rest, few, made.transfer, gram, rows)


def with_span(found: Sampled, span: Span, rows: Tensor) -> RowFit:
    equations = replace(found.equations, phi=span)
    ((_, normal),) = solve_rows(equations, found.transfer, rows, found.gram)
    return span.whole(normal.solve())


@pytest.fixture(autouse=True)
def _few_rows(monkeypatch):
    monkeypatch.setattr(phi_span, "SAMPLE", 6)


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_two_functions_span_phi_that_are_sums_of_two(noise):
    made = system(noise)
    everyone = torch.arange(len(made.weights))
    found = sampled(made, everyone)
    span = span_of(found, made.frames.phi)
    assert span is not None
    assert span.n == 2
    fit = with_span(found, span, everyone)
    error = float((fit.weights - made.weights).norm() / made.weights.norm())
    assert error < (1e-4 if noise == 0 else 0.05)
    phi = made.frames.phi.read(fit.own, made.frames.x.double())
    true = made.frames.phi.read(made.phi, made.frames.x.double())
    assert (phi - true).square().mean() < (1e-7 if noise == 0 else 0.01)
    assert not poorly_spanned(found.equations, found.transfer, everyone, fit).any()


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_a_neuron_of_another_kind_shows_in_its_residual(noise):
    made = system(noise, all_alike=False)
    everyone = torch.arange(len(made.weights))
    found = sampled(made, everyone)
    assert OTHER not in found.rows
    span = span_of(found, made.frames.phi)
    assert span is not None
    fit = with_span(found, span, everyone)
    poor = poorly_spanned(found.equations, found.transfer, everyone, fit)
    assert torch.nonzero(poor)[:, 0].tolist() == [OTHER]


def test_phi_that_have_nothing_in_common_keep_the_whole_basis():
    made = exact(2, n_frames=N_FRAMES)
    assert span_of(sampled(made, torch.arange(len(made.weights))), made.frames.phi) is None


def test_functions_of_a_span_are_those_of_their_coefficients():
    made = exact(2, n_frames=20)
    span = Span(made.frames.phi, numbers(1, 3, made.frames.phi.n))
    x = made.frames.x.double()
    torch.testing.assert_close(span.basis(x), made.frames.phi.basis(x) @ span.functions.T)
    like = span.functions
    rough = like @ made.frames.phi.roughness(like) @ like.T
    torch.testing.assert_close(span.roughness(like), rough)


@pytest.mark.slow
@pytest.mark.parametrize("sees", ["activity", "sender"])
def test_the_solution_with_spans_is_that_without(sees, monkeypatch):
    monkeypatch.setattr(all_rows_module, "SAMPLE", 6)
    before, used = solved(sees), []
    keep = phi_span.span_of

    def counted(*given):
        used.append(keep(*given))
        return used[-1]

    monkeypatch.setattr(all_rows_module, "span_of", counted)
    after = ClosedForm(simulated(sees).recording, training(sees), lambda *_, **__: None).solve()
    assert any(span is not None for span in used)
    true = simulated(sees).weights
    off = ~torch.eye(len(true), dtype=torch.bool)
    together = torch.stack([after.scaled()[off], before.scaled()[off]]).double()
    assert torch.corrcoef(together)[0, 1] > 0.99999
