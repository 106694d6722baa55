r"""psi by variable projection: Gauss-Newton on the problem from which W and phi are eliminated.

For given psi the best W and phi of every row are linear least squares (:mod:`.rows`), so the
residual is a function of psi's coefficients c alone. Its Jacobian, in Kaufman's form
(Kaufman 1975, BIT 15:49; Golub & Pereyra 2003, Inverse Problems 19:R1), is minus the part of

.. math:: G_k(t) = \sum_j W_{ij}\, b_k(x_j(t))

that what is sent and the row's own columns do not explain. psi is shared, so a few rows suffice.
Scale and offset of each psi leave the residual as it is; steps are kept orthogonal to both.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ngpipe.assembly.closed_form.accumulate import gram_and_moments, residual
from ngpipe.assembly.closed_form.chosen_frames import (
    Equations,
    Frames,
    Transfer,
    smoothness,
)
from ngpipe.assembly.closed_form.psi_gauge import Gauge
from ngpipe.assembly.closed_form.rows import Gram, Moments, RowFit, Rows
from ngpipe.assembly.closed_form.spline import Spline
from ngpipe.errors import DivergenceError

GAIN = 0.9
"""Fall of the held-out error that makes a smaller ridge worth while."""
PATIENCE = 2
"""Ridges without such a gain after which the search ends."""
NO_CHANGE = 0.1
"""Share of the smallest worthwhile fall of the loss that a step must promise to be tried."""
TINIEST = 1e-300
"""Residual that is none."""
SAMPLE = 200
"""Frames over which the mean square of psi is fixed."""
CACHED = 2**20
"""Values of basis functions that are held at once."""
SMALL_CHANGE = 0.1
"""Relative fall of the loss below which a search is over, if residuals are not noise."""


@runtime_checkable
class Report(Protocol):
    """Callback for the results of a stage of the solver, and for its progress."""

    def __call__(self, stage: str, **reached: int | float | Tensor) -> None:
        """A stage's name, and some of loss, held_out, types, connectivity.

        On the way ``done`` and ``of``, alone; where one of several parts begins, ``part`` and
        ``of``.
        """


@dataclass
class Fit:
    """psi with the rows it was found on."""

    transfer: Transfer
    phi: Spline
    """The basis of phi that went with it."""
    loss: float
    """Mean squared residual in units of each row's mean squared target."""
    held_out: float
    """The same on held-out frames."""
    ridge: float


@dataclass
class _Point:
    """Where a search has come."""

    transfer: Transfer
    loss: float
    objective: float
    """What steps minimise: the loss, and what the ridge adds for W."""


@dataclass
class _Loss:
    """Mean squared residual of some rows in units of their mean squared targets."""

    plain: float
    noise: float
    """What noise that states share with rates takes from it, beyond what it takes under the first
    psi: by itself that may be more than the residual, and says nothing of psi."""

    @property
    def total(self) -> float:
        """Free of this noise, but for a constant."""
        return self.plain + self.noise


@dataclass
class _State(_Point):
    parts: _Loss
    rows: Rows
    fit: RowFit


class Search:
    """Search for psi on some rows of W.

    Args:
        frames: what the search reads.
        held_out: frames that choose the ridge.
        rows: neurons whose rows of W are used.
        roughness: weight on psi's squared second differences, relative to its curvature.
        noisy: whether residuals are independent noise; then a search goes on as long as the fall of
            the loss is more than what fitted noise would give.
        one_phi: whether all neurons share one phi.
        report: told the loss after every step.
    """

    def __init__(
        self,
        frames: Equations,
        held_out: Frames,
        rows: Int[Tensor, " row"],
        *,
        roughness: float,
        report: Report,
        noisy: bool = False,
        one_phi: bool = False,
    ) -> None:
        self.frames, self.held_out, self.rows = frames, held_out, rows
        self.roughness, self.report = roughness, report
        few = frames.part(slice(None, None, max(1, len(frames) // SAMPLE)))
        self.gauge = Gauge(few if isinstance(few, Frames) else few.read())
        self.level = self._mean_squares()
        self.noisy, self.one_phi = noisy, one_phi
        self.first: Tensor | None = None
        """Coefficients of own columns under the first psi."""

    def run(self, transfer: Transfer, ridges: Sequence[float], iterations: int) -> Fit:
        """Follow psi from one ridge to the next smaller one, as long as held-out frames gain.

        A search that ends worse than it began, as one does that fits noise, leaves psi as it was.
        """
        state: Any = self.at(transfer, ridges[0])  # of any search
        begun = self._fit(state, ridges[0])
        best: Any = None  # of no ridge yet
        patience = PATIENCE
        for ridge in ridges:
            try:
                state = self._descend(state, ridge, iterations)
            except DivergenceError:
                if best is None:
                    raise
                self.report(f"psi, ridge {ridge:.0e} too small for these frames", loss=best.loss)
                break
            now = self._fit(state, ridge)
            self.report(f"psi, ridge {ridge:.0e}", loss=now.loss, held_out=now.held_out)
            patience = (
                PATIENCE if best is None or now.held_out < GAIN * best.held_out else patience - 1
            )
            if best is None or now.held_out < best.held_out:
                best = now
            if patience == 0:
                break
        return min(best, begun, key=lambda fit: fit.held_out)

    def _fit(self, state: Any, ridge: float) -> Fit:  # noqa: ANN401  # of any search
        spline: Any = self.frames.phi  # in a search it is one
        return Fit(state.transfer, spline, state.loss, self.held_out_loss(state), ridge)

    def _descend(self, begun: _Point, ridge: float, iterations: int) -> _Point:
        """Levenberg-Marquardt at one ridge."""
        state: Any = self.with_ridge(begun, ridge)  # of any search
        damping = 1e-6
        for _ in range(iterations):
            moment, right = self.normal_equations(state)
            before = state.loss
            while damping < 1e6:
                step = self.step(state, moment, right, damping)
                promised = float(2 * right @ step - step @ moment @ step)
                if promised < NO_CHANGE * self._small_change(state) * before:
                    break
                trial = self._tried(self.moved(state.transfer, step), ridge)
                if trial is not None and trial.loss < state.loss:
                    state, damping = trial, max(damping / 10, 1e-10)
                    break
                if trial is not None and not self.noisy and trial.objective < state.objective:
                    # Without noise only the ridge is in the way; shorter steps would not help.
                    break
                damping *= 30
            self.report(f"psi, ridge {ridge:.0e}", loss=state.loss)
            if state.loss > (1 - self._small_change(state)) * before:
                break
        return state

    def _small_change(self, state: _Point) -> float:
        """Relative fall of the loss that is not worth another step."""
        if not self.noisy:
            return SMALL_CHANGE
        return state.transfer.coefficients.numel() / (len(self.frames) * len(self.rows))

    def _tried(self, transfer: Transfer, ridge: float) -> _Point | None:
        """A trial; None if its equations cannot be solved."""
        try:
            return self.at(transfer, ridge)
        except DivergenceError:
            return None

    def at(self, transfer: Transfer, ridge: float) -> _State:
        """The best rows for a psi, and their loss: mean squared error relative to the level."""
        moment, found = gram_and_moments(self.frames, transfer, self.rows)
        return self._solved(transfer, Gram(moment, ridge), found)

    def with_ridge(self, state: Any, ridge: float) -> Any:  # noqa: ANN401
        """The best rows for the same psi with another ridge."""
        gram = state.rows.gram
        if gram.ridge == ridge:
            return state
        return self._solved(state.transfer, Gram(gram.moment, ridge), state.rows.moments)

    def _solved(self, transfer: Transfer, gram: Gram, found: Moments) -> _State:
        padding = smoothness(self.frames, self.level.device)
        shared = 1 / self.level if self.one_phi else None
        rows = Rows(gram, self.rows, found, padding, shared)
        fit = rows.solve()
        parts = self._loss(fit, fit.mean_square, found.own_noise)
        penalty = float((gram.padding * fit.weights.square().sum(1) / self.level).mean())
        return _State(transfer, parts.total, parts.total + penalty, parts, rows, fit)

    def _loss(
        self,
        fit: RowFit,
        square: Float[Tensor, " row"],
        own_noise: Float[Tensor, "row column"],
    ) -> _Loss:
        if self.first is None:
            self.first = fit.own
        noise = 2 * (own_noise * (fit.own - self.first)).sum(1)
        return _Loss(*(float((v / self.level).mean()) for v in (square, noise)))

    def _mean_squares(self) -> Float[Tensor, " row"]:
        """Mean squared target of every row."""
        width = len(self.rows)
        parts = [p.target(self.rows).square().sum(0) for p in self.frames.stretches(width)]
        return torch.stack(parts).sum(0) / len(self.frames)

    def normal_equations(self, state: _State) -> tuple[Tensor, Tensor]:
        """Normal equations of psi's coefficients, with W and phi eliminated, summed over rows.

        Directions are known to the precision of float32, but their products with what is sent are
        in float64: what activity hardly moves along would drown in their rounding. The gradient is
        right where the residual is, which is not the difference of large numbers.
        """
        transfer, n = state.transfer, len(self.frames)
        wide = self.frames.n_own + 2 * transfer.coefficients.numel()
        sums: list[Tensor] = []
        for part in self.frames.stretches(self.frames.n_neurons + len(self.rows) * wide):
            columns = directions(part, transfer, state.fit.weights).double().transpose(0, 1)
            own, sent = part.own(self.rows), transfer.sent(part.x)
            left = part.target(self.rows) - state.fit.predict(sent, own)
            flat = columns.transpose(0, 1).reshape(len(part), -1)
            now = [
                (flat.T @ sent).view(*columns.shape[::2], -1).permute(2, 0, 1),
                columns.mT @ columns,
                own.transpose(0, 1).mT @ columns,
                (columns.mT @ left.T[..., None])[..., 0],
            ]
            now = [value / n for value in now]
            sums = [a.add_(b) for a, b in zip(sums, now, strict=True)] if sums else now
        sent_columns, square, mixed, right = sums
        moment = state.rows.project(sent_columns, square, mixed)
        share = 1 / (self.level * len(self.level))
        return (moment * share[:, None, None]).sum(0), (right * share[:, None]).sum(0)

    def step(self, state: _Point, moment: Tensor, right: Tensor, damping: float) -> Tensor:
        """A damped step of psi's coefficients."""
        old = state.transfer
        c = old.coefficients.flatten()
        curvature = moment.diagonal().mean()
        eye = torch.eye(len(c), dtype=c.dtype, device=c.device)
        rough = torch.kron(
            torch.eye(len(old.coefficients), dtype=c.dtype, device=c.device),
            old.spline.roughness(c),
        )
        system = moment + curvature * (damping * eye + self.roughness * rough)
        system = system + curvature * len(c) * self.gauge.form(old)
        return torch.linalg.solve(system, right - curvature * self.roughness * (rough @ c))

    def moved(self, transfer: Transfer, step: Float[Tensor, " coefficient"]) -> Transfer:
        """Psi after a step."""
        coefficients = transfer.coefficients + step.view_as(transfer.coefficients)
        return self.gauge.normalised(replace(transfer, coefficients=coefficients))

    def held_out_loss(self, state: _State) -> float:
        """Error on held-out frames, in units of the rows' mean squared target."""
        return self.held_out_parts(state).total

    def held_out_parts(self, state: _State) -> _Loss:
        """The same, and its part that is noise."""
        left = residual(self.held_out, state.transfer, state.fit, self.rows)
        return self._loss(state.fit, left.square().mean(0), self.held_out.own_noise(self.rows))


@dataclass
class _Together(_Point):
    states: list[_State]


class JointSearch(Search):
    """Search for the one psi of several recordings of some neurons each.

    Its loss is the geometric mean of theirs: the likelihood of recordings whose residuals differ in
    size, so that one of small residuals counts more. Noise that states share with rates counts in
    units of each recording's residual under the first psi.

    Args:
        searches: one for every recording; the first fixes the gauge.
    """

    def __init__(self, searches: Sequence[Search]) -> None:
        first = searches[0]
        self.searches, self.frames, self.gauge = searches, first.frames, first.gauge
        self.roughness, self.report, self.noisy = first.roughness, first.report, first.noisy
        self.sizes: list[float] | None = None
        """Residuals of the recordings under the first psi."""

    def at(self, transfer: Transfer, ridge: float) -> Any:  # noqa: ANN401
        """The best rows of every recording for a psi, and their mean loss."""
        states = [search.at(_of(transfer, search), ridge) for search in self.searches]
        return self._together(transfer, states)

    def with_ridge(self, state: Any, ridge: float) -> Any:  # noqa: ANN401
        """The best rows of every recording for the same psi with another ridge."""
        pairs = zip(self.searches, state.states, strict=True)
        states = [search.with_ridge(own, ridge) for search, own in pairs]
        return self._together(state.transfer, states)

    def normal_equations(self, state: Any) -> tuple[Tensor, Tensor]:  # noqa: ANN401
        """Normal equations of psi's coefficients, of the logarithm of every recording's loss."""
        moment: Any = 0
        right: Any = 0
        for search, own in zip(self.searches, state.states, strict=True):
            of_one = search.normal_equations(own)
            share = state.loss / (max(own.parts.plain, TINIEST) * len(self.searches))
            moment, right = moment + share * of_one[0], right + share * of_one[1]
        return moment, right

    def held_out_loss(self, state: Any) -> float:  # noqa: ANN401
        """Mean error on held-out frames."""
        pairs = zip(self.searches, state.states, strict=True)
        return self._mean([search.held_out_parts(own) for search, own in pairs])

    def _together(self, transfer: Transfer, states: list[_State]) -> _Together:
        if self.sizes is None:
            self.sizes = [max(state.parts.plain, TINIEST) for state in states]
        loss = self._mean([state.parts for state in states])
        return _Together(transfer, loss, loss, states)

    def _mean(self, losses: Sequence[_Loss]) -> float:
        sizes: Any = self.sizes  # known since the first psi
        noise = sum(loss.noise / size for loss, size in zip(losses, sizes, strict=True))
        return geometric_mean([loss.plain for loss in losses]) * math.exp(noise / len(losses))

    def _small_change(self, state: _Point) -> float:
        if not self.noisy:
            return SMALL_CHANGE
        values = sum(len(search.frames) * len(search.rows) for search in self.searches)
        return state.transfer.coefficients.numel() / values


def geometric_mean(values: Sequence[float]) -> float:
    """Geometric mean of positive numbers."""
    return math.exp(sum(math.log(max(value, TINIEST)) for value in values) / len(values))


def _of(transfer: Transfer, search: Search) -> Transfer:
    """One psi of all, for the neurons of one recording."""
    return replace(transfer, group=transfer.group.new_zeros(search.frames.n_neurons))


def directions(
    frames: Frames, transfer: Transfer, weights: Float[Tensor, "row pre"]
) -> Float[Tensor, "frame row coefficient"]:
    """G: how every coefficient of psi changes what the rows receive, in float32."""
    n_groups, k = transfer.coefficients.shape
    out = weights.new_empty(len(frames), len(weights), n_groups * k, dtype=torch.float32)
    for group in range(n_groups):
        members = torch.nonzero(transfer.group == group)[:, 0]
        x, own = frames.x[:, members].float(), weights[:, members].float()
        # So few frames at once that the basis functions stay in the cache.
        size = max(1, CACHED // max(1, k * len(members)))
        for start, part in zip(range(0, len(x), size), x.split(size), strict=True):
            basis = transfer.spline.basis(part.T.contiguous()).flatten(1)
            columns = (own @ basis).view(len(own), len(part), k).transpose(0, 1)
            out[start : start + size, :, group * k : (group + 1) * k] = columns
    return out
