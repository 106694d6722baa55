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

from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ngpipe.assembly.closed_form import uncertainty
from ngpipe.assembly.closed_form.chosen_frames import Frames, Transfer
from ngpipe.assembly.closed_form.knot_columns import Columns, Hats, Knots
from ngpipe.assembly.closed_form.rows import Gram, RowFit, Rows
from ngpipe.assembly.closed_form.transfer import Report
from ngpipe.errors import DivergenceError

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
        self.components = _components(phi)
        self.sent = transfer.sent(frames.x)
        self.gram = Gram(self.sent.T @ self.sent / len(frames), ridge)
        self.sent_single, self.gram_single = self.sent.float(), self.gram.single()
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
        typical = uncertainty.typical(rows, self.sent.shape[1])
        for part in torch.arange(len(rows), device=o.device).split(
            self._block(single=inflation is None)
        ):
            some = rows[part], weights[part], o[part]
            found.append(self._step(*some, inflation, typical))
            done += len(part)
            report("hidden input", done=done, of=len(rows))
        return Driven.joined(found)

    def _known(self, driven: Int[Tensor, " site"]) -> Float[Tensor, "site knot"]:
        """Multiplicative input that the frames know of, on the knots; 1 if they know of none."""
        if self.frames.omega is None or self.mode == "additive":
            return self.sent.new_ones(len(driven), self.hats.n)
        knots = torch.linspace(0, self.hats.duration, self.hats.n, device=self.sent.device)
        nearest = (self.frames.times - knots[:, None]).abs().argmin(1)
        return self.frames.omega[nearest][:, driven].T.double().contiguous()

    def _block(self, *, single: bool) -> int:
        """Rows whose moments fit the memory."""
        columns = self.hats.n + len(self.components) + 1
        each = (3 if single else 6) * 8 * self.sent.shape[1] * columns
        return max(1, MEMORY_BYTES // each)

    def _step(
        self,
        rows: Tensor,
        weights: Tensor,
        o: Tensor,
        inflation: float | None,
        typical: Tensor,
    ) -> Driven:
        """One linear solve for a block of rows; change of o, or o itself if it is additive."""
        x, rate = self.frames.x[:, rows].double(), self.frames.rate[:, rows].double()
        own = self.frames.phi.basis(x) @ self.components.T
        gain = torch.ones_like(rate)
        divisor = gain
        if self.mode == "multiplicative":
            divisor = self.knots.read(o)
            gain = (self.sent @ weights.T) / divisor
        columns, target = Columns(self.knots, own / divisor[..., None], gain), rate / divisor
        products, n = columns.products(), columns.n
        padding, fixed = self._padding(n), torch.zeros_like(products)
        if self.mode == "multiplicative":
            # Steps leave the scale of Omega, which W can undo, as it is.
            curvature = products[:, n:, n:].diagonal(dim1=1, dim2=2).sum(1)
            direction = o / o.norm(dim=1, keepdim=True)
            fixed[:, n:, n:] = direction[:, :, None] * direction[:, None, :]
            fixed *= curvature[:, None, None]
        found, error, noise, directions = None, None, None, None
        if self.mode == "multiplicative" and inflation is None:
            found = self._roughly(rows, columns, target, products + fixed, padding)
        if found is None:
            moments = columns.moments(self.sent, target, products + fixed)
            normal = Rows(self.gram, rows, moments, padding)
            found = normal.solve()
            if inflation is not None:
                error, noise, directions = self._errors(normal, found, inflation, typical)
        # The residual of the undivided equation, near enough.
        square = found.mean_square * divisor.square().mean(0)
        phi = found.own[:, :n] @ self.components
        return Driven(found.weights, phi, found.own[:, n:], square, error, noise, directions)

    def _roughly(
        self, rows: Tensor, columns: Columns, target: Tensor, products: Tensor, padding: Tensor
    ) -> RowFit | None:
        """One linear solve in single precision, for a step on the way; None if that is too rough.

        The equations of the next step are exact, so errors of this one do not last.
        """
        moments = columns.single().moments(self.sent_single, target.float(), products.float())
        try:
            found = Rows(self.gram_single, rows, moments, padding.float()).solve()
        except DivergenceError:
            return None
        weights, own = found.weights.double(), found.own.double()
        weights[torch.arange(len(rows), device=rows.device), rows] = 0
        left = target - columns.times(own) - self.sent @ weights.T
        return RowFit(weights, own, left.square().mean(0))

    def _errors(
        self, normal: Rows, found: RowFit, inflation: float, typical: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Standard errors of a block of rows, their residual variance, and some directions."""
        length = len(self.frames)
        noise = uncertainty.noise_variance(self.gram, found, length, found.mean_square)
        error = uncertainty.standard_errors(normal, found.weights, inflation * noise / length)
        return error, noise, normal.spectrum(typical).values

    def _padding(self, n: int) -> Tensor:
        """Keeps o smooth where a row receives little."""
        second = torch.eye(self.hats.n).to(self.sent).diff(n=2, dim=0)
        rough = SMOOTH * second.T @ second + 1e-12 * torch.eye(self.hats.n).to(self.sent)
        return torch.block_diag(1e-12 * torch.eye(n).to(self.sent), rough)


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
