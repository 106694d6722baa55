r"""The few functions that span all phi_i, in the place of a whole basis for every neuron.

With K basis functions b for every phi_i, most of the work on a row of W are products of what is
sent with its K columns. Neurons have much in common: neurons of four types, say, leak and excite
themselves, so every phi_i is a sum of two functions of activity. Some rows are solved with the
whole basis; of their coefficients :math:`d_{ik}`

.. math:: \min_{c, F} \sum_i \frac{1}{s_i} \Big\langle \Big( \sum_k d_{ik} b_k(x_i)
    - \sum_{ck} c_{ic} F_{ck} b_k(x_i) \Big)^2 \Big\rangle_t

finds C functions F that span them, each row counting where its neuron has been (s_i its mean
squared rate); c and F are solved for in turn. C is the least with which these rows fit as well as
with the whole basis. A neuron whose phi is of another kind shows in its residuals, and is solved
with the whole basis again.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ngpipe.assembly.closed_form.accumulate import missed, moments
from ngpipe.assembly.closed_form.chosen_frames import Equations, Frames, Transfer, smoothness
from ngpipe.assembly.closed_form.rows import Gram, Moments, RowFit, Rows
from ngpipe.assembly.closed_form.spline import Spline
from ngpipe.errors import DivergenceError

SAMPLE = 48
"""Rows that are solved with the whole basis."""
WORTH = 4
"""Rows, in samples, from which a span pays."""
SIZES = (1, 2, 3, 4, 6, 8, 12)
"""Numbers of functions C that are tried."""
TURNS = 12
"""Times that F and c are solved for."""
EXCESS = 3.0
"""Growth of the residual, in what K - C coefficients take from noise, up to which C is enough."""
HELD_OUT = 1.02
"""The same on held-out frames, relative."""
FLOOR = 1e-12
"""Residual relative to the mean squared rate that is nothing: rates are stored to 1e-14."""
TINY = 1e-12
"""Weight on the roughness of F, relative to its curvature."""
CHECKED = 2_000
"""Frames on which all rows are checked."""
POOR = 3.0
"""Residual of a row, or the share of it that its own basis explains, beyond the largest of the
sample by this factor: its phi is of another kind."""


@dataclass(frozen=True)
class Span:
    """Functions of activity: a basis of phi, as :class:`Spline` is."""

    spline: Spline
    functions: Float[Tensor, "function basis"]

    @property
    def n(self) -> int:
        """Number of functions."""
        return len(self.functions)

    @property
    def unit(self) -> float:
        """Activity below which they may bend."""
        return self.spline.unit

    def basis(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape function"]:
        """Values of all functions."""
        return torch.stack([self.spline.read(f, x) for f in self.functions.to(x)], -1)

    def roughness(self, like: Tensor) -> Float[Tensor, "function function"]:
        """Quadratic form of the summed squared second differences of the spline's coefficients."""
        functions = self.functions.to(like)
        return functions @ self.spline.roughness(like) @ functions.T

    def whole(self, fit: RowFit) -> RowFit:
        """Rows with the coefficients of the spline in the place of those of these functions."""
        phi = fit.own[:, : self.n] @ self.functions
        return replace(fit, own=torch.cat([phi, fit.own[:, self.n :]], 1))


@dataclass(frozen=True)
class Sampled:
    """Rows that were solved with the whole basis."""

    equations: Equations
    held_out: Frames
    transfer: Transfer
    gram: Gram
    rows: Int[Tensor, " row"]
    moments: Moments
    fit: RowFit

    @classmethod
    def of(
        cls,
        equations: Equations,
        held_out: Frames,
        transfer: Transfer,
        gram: Gram,
        rows: Int[Tensor, " row"],
    ) -> "Sampled":
        """A sample of the rows."""
        some = sample_of(rows)
        found = moments(equations, transfer, some)
        padding = smoothness(equations, gram.moment.device)
        fit = Rows(gram, some, found, padding).solve()
        return cls(equations, held_out, transfer, gram, some, found, fit)

    @property
    def n(self) -> int:
        """K."""
        return self.equations.phi.n

    @property
    def products(self) -> Float[Tensor, "row basis basis"]:
        """Mean products of the basis functions of every row, in units of its mean squared rate."""
        own = self.moments.own_own[:, : self.n, : self.n] / self.moments.target[:, None, None]
        level = own.diagonal(dim1=1, dim2=2).mean(1)[:, None, None]
        return own + 1e-13 * level * torch.eye(self.n).to(own)

    def errors(self, span: Span | None) -> tuple[float, float]:
        """Mean residual of the rows with a span or the whole basis, here and on held-out frames."""
        fit, held_out, moments = self.fit, self.held_out, self.moments
        if span is not None:
            padding = smoothness(replace(self.equations, phi=span), self.gram.moment.device)
            moments = self._on(span)
            fit = Rows(self.gram, self.rows, moments, padding).solve()
            held_out = replace(held_out, phi=span)
        beyond = missed(held_out, self.transfer, fit, self.rows)
        here = fit.mean_square + 2 * (moments.own_noise * fit.own).sum(1)
        level = moments.target
        return float((here / level).mean()), float((beyond / level).mean())

    def _on(self, span: Span) -> Moments:
        """Moments with the functions of a span in the place of the basis."""
        m, more = self.moments, self.moments.own_own.shape[1] - self.n
        f = torch.block_diag(span.functions, torch.eye(more).to(span.functions))
        return replace(
            m,
            sent_own=m.sent_own @ f.T,
            own_own=f @ m.own_own @ f.T,
            own_target=m.own_target @ f.T,
            own_noise=m.own_noise @ f.T,
        )


def span_of(sampled: Sampled, spline: Spline) -> Span | None:
    """The fewest functions with which the sampled rows fit as well; None if too few are enough.

    Args:
        sampled: rows with the whole basis.
        spline: this basis.
    """
    here, beyond = sampled.errors(None)
    for size in SIZES:
        if 2 * size > sampled.n:
            break
        span = Span(spline, _functions(sampled, size))
        try:
            now, after = sampled.errors(span)
        except DivergenceError:
            continue
        free = EXCESS * (sampled.n - size) / len(sampled.equations)
        if now <= (1 + free) * here + FLOOR and after <= HELD_OUT * beyond + FLOOR:
            return span
    return None


def _functions(sampled: Sampled, size: int) -> Float[Tensor, "function basis"]:
    """F, orthogonal over the sample, of the mean square of basis functions.

    The smoothness of phi then weighs as much as with the whole basis.
    """
    d, products = sampled.fit.own[:, : sampled.n], sampled.products
    values, vectors = torch.linalg.eigh(products.mean(0))
    metric = vectors * values.clamp_min(0).sqrt()
    left, scale, _ = torch.linalg.svd(d @ metric, full_matrices=False)
    f = left[:, :size].T @ d / scale[:size, None].clamp_min(1e-300)
    rough = sampled.equations.phi.roughness(d) + 1e-4 * torch.eye(sampled.n).to(d)
    aimed = (products @ d[..., None])[..., 0]
    for _ in range(TURNS):
        c = _coefficients(f, products, aimed)
        pairs = (c[:, :, None] * c[:, None, :]).flatten(1)
        system = (pairs.T @ products.flatten(1)).view(size, size, sampled.n, sampled.n)
        system = system.transpose(1, 2).reshape(size * sampled.n, -1)
        level = TINY * system.diagonal().mean()
        system = system + level * torch.kron(torch.eye(size).to(d), rough)
        f = torch.linalg.solve(system, (c.T @ aimed).flatten()).view(size, -1)
        turn, scale, _ = torch.linalg.svd(f @ metric, full_matrices=False)
        f = turn.T @ f / scale[:, None].clamp_min(1e-300)
    return f * products.mean(0).diagonal().mean().sqrt()


def _coefficients(
    f: Float[Tensor, "function basis"],
    products: Float[Tensor, "row basis basis"],
    aimed: Float[Tensor, "row basis"],
) -> Float[Tensor, "row function"]:
    """c: how much of every function is in the phi of a row."""
    system = f @ products @ f.T
    level = system.diagonal(dim1=1, dim2=2).mean(1)[:, None, None]
    system = system + 1e-13 * level * torch.eye(len(f)).to(f)
    return torch.linalg.solve(system, (aimed @ f.T)[..., None])[..., 0]


def sample_of(rows: Int[Tensor, " row"]) -> Int[Tensor, " sampled"]:
    """Some of the rows, evenly spaced."""
    return rows[:: -(-len(rows) // SAMPLE)]


def poorly_spanned(
    equations: Equations, transfer: Transfer, rows: Int[Tensor, " row"], fits: RowFit
) -> Bool[Tensor, " row"]:
    """Rows whose phi is not among the functions of a span.

    Args:
        equations: frames, with the whole basis.
        transfer: what senders send.
        rows: all rows that were solved with the span, which was found on a sample of them.
        fits: their solution, with coefficients of the whole basis.
    """
    few = equations.part(slice(None, None, -(-len(equations) // CHECKED)))
    frames: Any = few if isinstance(few, Frames) else few.read()
    size = fits.mean_square / _mean_square(frames, rows)
    share = _explained(frames, transfer, rows, fits)
    typical = torch.isin(rows, sample_of(rows))
    chance = equations.phi.n / len(frames)
    return (size > POOR * size[typical].max()) | (share > POOR * (share[typical].max() + chance))


def _mean_square(frames: Frames, rows: Int[Tensor, " row"]) -> Float[Tensor, " row"]:
    return frames.target(rows).square().mean(0).clamp_min(1e-300)


def _explained(
    frames: Frames, transfer: Transfer, rows: Int[Tensor, " row"], fits: RowFit
) -> Float[Tensor, " row"]:
    """Share of the residual of every row that the whole basis at its own activity explains."""
    sent, padding = transfer.sent(frames.x), smoothness(frames, fits.own.device)
    shares = []
    for part in torch.arange(len(rows), device=rows.device).split(SAMPLE):
        own = frames.own(rows[part])
        received = sent @ fits.weights[part].T + torch.einsum("trk,rk->tr", own, fits.own[part])
        left = frames.target(rows[part]) - received
        columns = own.transpose(0, 1)
        products = columns.mT @ columns / len(frames)
        level = products.diagonal(dim1=1, dim2=2).mean(1)[:, None, None]
        system = products + level * (padding + 1e-12 * torch.eye(len(padding)).to(padding))
        along = (columns.mT @ left.T[..., None])[..., 0] / len(frames)
        solved = torch.linalg.solve(system, along[..., None])[..., 0]
        shares.append((along * solved).sum(1) / left.square().mean(0).clamp_min(1e-300))
    return torch.cat(shares)
