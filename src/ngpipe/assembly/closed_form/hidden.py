r"""Hidden inputs: Omega_i(t) of every driven neuron, together with its row of W.

Omega_i is linear between evenly spaced knots in time, :math:`\Omega_i(t) = \sum_q o_{iq} h_q(t)`.

Additive: o is one more set of own columns of the row, and all is one least-squares problem.
Multiplicative: Gauss-Newton. With :math:`m = \sum_j W_{ij} \psi_j` as it is now, the row's equation
divided by Omega as it is now,

.. math:: y / \Omega = \phi / \Omega + \sum_j W_{ij}\, \psi_j
    + \frac{m}{\Omega} \sum_q \delta_q h_q,

is linear in W, phi and the change :math:`\delta` of o, and what is sent keeps one Gram matrix for
all rows. The scale between Omega_i and its row stays open: Omega_i has geometric mean 1.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ngpipe.assembly.closed_form import uncertainty
from ngpipe.assembly.closed_form.accumulate import mirrored, with_products
from ngpipe.assembly.closed_form.chosen_frames import Frames, Transfer
from ngpipe.assembly.closed_form.knot_columns import Columns, Hats, Knots
from ngpipe.assembly.closed_form.phi_span import Span
from ngpipe.assembly.closed_form.rows import Gram, RowFit, Rows
from ngpipe.assembly.closed_form.transfer import Report

ErrorsOf = Callable[[Rows, RowFit, Columns], dict[str, Tensor]]
"""Standard errors of some rows and what goes with them, by the names that :class:`Driven` has."""

ITERATIONS = 8
SMALL_CHANGE = 0.1
"""Relative change of Omega, root mean square, after which one more step is the last, or none if
more follows later: what a step leaves is of second order."""
LARGEST_CHANGE = 2.0
"""Most that a step may multiply or divide Omega by."""
SMALLEST = 0.02
"""Smallest multiplicative Omega."""
MEMORY_BYTES = 2**30
"""Memory for the moments of a block of rows."""
MOST_COMPONENTS = 12
COMPONENT = 1e-6
"""Share of the variance of all phi that makes a component count."""
SMOOTH = 1e-7
"""Weight on the second differences of o, relative to its mean curvature."""


@dataclass
class KnottedInput:
    """Input of the driven neurons as found."""

    hats: Hats
    driven: Int[Tensor, " site"]
    values: Float[Tensor, "site knot"]
    mode: str

    def at(self, times: Float[Tensor, " time"], n_neurons: int) -> Float[Tensor, "time neuron"]:
        """Input of all neurons."""
        rest = 1.0 if self.mode == "multiplicative" else 0.0
        full = self.values.new_full((len(times), n_neurons), rest)
        return full.index_copy(1, self.driven, self.hats.read(self.values, times))


@dataclass
class Driven:
    """Rows of driven neurons."""

    weights: Float[Tensor, "site pre"]
    phi: Float[Tensor, "site basis"]
    values: Float[Tensor, "site knot"]
    """o, or its change in a step."""
    mean_square: Float[Tensor, " site"]
    error: Float[Tensor, "site pre"] | None = None
    """Standard errors of W, if asked for."""
    noise: Float[Tensor, " site"] | None = None
    """Residual variance of the divided equation, likewise."""
    directions: Float[Tensor, "row direction"] | None = None
    """Mean square of activity along the directions of some of the rows, likewise."""

    @classmethod
    def joined(cls, parts: "list[Driven]") -> "Driven":
        """All blocks of rows."""
        columns = zip(*(vars(part).values() for part in parts), strict=True)
        whole: list[Any] = [None if each[0] is None else torch.cat(each) for each in columns]
        return cls(*whole)


class Hidden:
    """Search for the inputs of driven neurons under a given psi.

    Args:
        frames: equations to solve; a multiplicative ``omega`` is where the search begins.
        transfer: what senders send.
        ridge: of the Gram matrix.
        hats: knots in time.
        mode: how the input acts.
        phi: coefficients of all phi_i as far as they are known, whose main directions span those
            of the driven neurons.
    """

    def __init__(
        self,
        frames: Frames,
        transfer: Transfer,
        ridge: float,
        hats: Hats,
        mode: str,
        phi: Float[Tensor, "neuron basis"],
    ) -> None:
        self.frames, self.hats, self.mode = frames, hats, mode
        spline: Any = frames.phi  # of all phi, in the end
        self.functions = Span(spline, _components(phi))
        sent = transfer.sent(frames.x)
        self.gram = Gram(mirrored(with_products(None, sent)) / len(frames), ridge)
        # With hundreds of columns a row it is less work to whiten all frames than all columns.
        self.white, self.of_white = self.gram.white(sent), self.gram.of_white()
        self.knots = Knots(hats, frames.times)

    def solve(
        self,
        driven: Int[Tensor, " site"],
        weights: Float[Tensor, "site pre"],
        report: Report,
        *,
        inflation: float | None = None,
    ) -> Driven:
        """W, phi, o and mean squared residual of the driven neurons.

        Args:
            driven: who they are.
            weights: their rows of W to begin with.
            report: told the residual after every step.
            inflation: what residuals that hang together in time add to the squared errors of W;
                None: no errors are asked for.
        """
        additive = self.mode == "additive"
        o, last = self._known(driven), additive
        level = self.frames.rate[:, driven].double().square().mean(0)
        for k in range(ITERATIONS):
            last = last or k == ITERATIONS - 1
            found = self._stepped(
                driven,
                weights,
                o,
                report,
                inflation=inflation if last else None,
            )
            report("hidden input", loss=float((found.mean_square / level).mean()))
            if additive:
                return found
            relative = float((found.values / o).square().mean().sqrt())
            o, scale = _moved(o, found.values)
            weights = found.weights * scale
            if last or (relative < SMALL_CHANGE and inflation is None):
                break
            last = relative < SMALL_CHANGE
        error = None if found.error is None else found.error * scale
        return replace(found, weights=weights, values=o, error=error)

    def _stepped(
        self,
        rows: Tensor,
        weights: Tensor,
        o: Tensor,
        report: Report,
        *,
        inflation: float | None,
    ) -> Driven:
        """One linear solve for all driven neurons, block by block."""
        found, done = [], 0
        errors = None if inflation is None else self._errors_of(rows, inflation)
        for part in torch.arange(len(rows), device=o.device).split(self._block()):
            found.append(self._step(rows[part], weights[part], o[part], errors))
            done += len(part)
            report("hidden input", done=done, of=len(rows))
        return Driven.joined(found)

    def _known(self, driven: Int[Tensor, " site"]) -> Float[Tensor, "site knot"]:
        """Multiplicative input that the frames know of, on the knots; 1 if they know of none."""
        if self.frames.omega is None or self.mode == "additive":
            return self.white.new_ones(len(driven), self.hats.n)
        knots = torch.linspace(0, self.hats.duration, self.hats.n, device=self.frames.x.device)
        nearest = (self.frames.times - knots[:, None]).abs().argmin(1)
        return self.frames.omega[nearest][:, driven].T.double().contiguous()

    def _block(self) -> int:
        """Rows whose moments fit the memory."""
        columns = self.hats.n + self.functions.n + 1
        return max(1, MEMORY_BYTES // (3 * 8 * self.frames.n_neurons * columns))

    def _step(self, rows: Tensor, weights: Tensor, o: Tensor, errors: ErrorsOf | None) -> Driven:
        """One linear solve for a block of rows; change of o, or o itself if it is additive."""
        x, rate = self.frames.x[:, rows].double(), self.frames.rate[:, rows].double()
        own = self.functions.basis(x)
        gain = torch.ones_like(rate)
        divisor = gain
        if self.mode == "multiplicative":
            divisor = self.knots.read(o)
            gain = (self.white @ (weights @ self.gram.factor).T) / divisor
        columns, target = Columns(self.knots, own / divisor[..., None], gain), rate / divisor
        products, n = columns.products(), columns.n
        if self.mode == "multiplicative":
            # Steps leave the scale of Omega, which W can undo, as it is.
            curvature = products[:, n:, n:].diagonal(dim1=1, dim2=2).sum(1)
            direction = o / o.norm(dim=1, keepdim=True)
            fixed = direction[:, :, None] * direction[:, None, :]
            products[:, n:, n:] += fixed * curvature[:, None, None]
        moments = columns.moments(self.white, target, products)
        normal = Rows(self.of_white, rows, moments, self._padding(n))
        found = normal.solve()
        told = {} if errors is None else errors(normal, found, columns)
        # The residual of the undivided equation, near enough.
        square = found.mean_square * divisor.square().mean(0)
        phi = found.own[:, :n] @ self.functions.functions
        return Driven(found.weights, phi, found.own[:, n:], square, **told)

    def _errors_of(self, rows: Tensor, inflation: float) -> ErrorsOf:
        """Standard errors of blocks of the rows, their residual variances, and some directions."""
        length, typical = len(self.frames), uncertainty.typical(rows, self.frames.n_neurons)
        inverted = self.gram.white_twice(self.white)

        def told(normal: Rows, found: RowFit, columns: Columns) -> dict[str, Tensor]:
            noise = uncertainty.noise_variance(normal.gram, found, length, found.mean_square)
            directions = normal.spectrum(typical).values
            crossed = columns.crossed(inverted, normal.inverted(columns.n))
            error = uncertainty.standard_errors(
                normal, found.weights, inflation * noise / length, crossed
            )
            return {"error": error, "noise": noise, "directions": directions}

        return told

    def _padding(self, n: int) -> Tensor:
        """Keeps o smooth where a row receives little."""
        eye = torch.eye(self.hats.n, dtype=torch.float64, device=self.frames.x.device)
        second = eye.diff(n=2, dim=0)
        rough = SMOOTH * second.T @ second + 1e-12 * eye
        return torch.block_diag(1e-12 * torch.eye(n).to(eye), rough)


def _components(phi: Float[Tensor, "neuron basis"]) -> Float[Tensor, "component basis"]:
    """Functions that span the given phi: their mean square directions, the constant included."""
    constant = torch.ones_like(phi[:1]) / phi.shape[1] ** 0.5
    rest = phi - (phi @ constant.T) @ constant
    _, size, direction = torch.linalg.svd(rest, full_matrices=False)
    n = int((size > COMPONENT**0.5 * size[0]).sum().clamp_max(MOST_COMPONENTS - 1))
    return torch.cat([constant, direction[:n]])


def _moved(o: Tensor, change: Tensor) -> tuple[Tensor, Tensor]:
    """Omega after a step of bounded size, of geometric mean 1, and what W takes over."""
    ratio = (1 + change / o).clamp(1 / LARGEST_CHANGE, LARGEST_CHANGE)
    moved = (o * ratio).clamp_min(SMALLEST)
    scale = moved.log().mean(1, keepdim=True).exp()
    return moved / scale, scale
