"""Own columns of the rows of driven neurons: functions of activity, and knots in time.

A column for every knot, hundreds in all, is never written out: only two knots differ from zero at
a time, so products with knots are sums over the frames between them.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ngpipe.assembly.closed_form.rows import Moments


class Hats:
    """Piecewise linear functions of time on ``n`` knots over [0, duration] [tau]."""

    def __init__(self, n: int, duration: float) -> None:
        self.n, self.duration = n, duration

    def locate(
        self, times: Float[Tensor, " time"]
    ) -> tuple[Int[Tensor, " time"], Float[Tensor, " time"]]:
        """Interval of every time, and how far it lies in it."""
        q = (times.double() / self.duration * (self.n - 1)).clamp(0, self.n - 1)
        left = q.floor().clamp_max(self.n - 2)
        return left.long(), q - left

    def read(
        self, values: Float[Tensor, "site knot"], times: Float[Tensor, " time"]
    ) -> Float[Tensor, "time site"]:
        """Values at the given times."""
        left, share = self.locate(times)
        return torch.lerp(values[:, left], values[:, left + 1], share).T


class Knots:
    """Sums over the frames between the knots, for frames in the order of time.

    Args:
        hats: knots in time.
        times: of the frames.
    """

    def __init__(self, hats: Hats, times: Float[Tensor, " frame"]) -> None:
        self.n = hats.n
        self.left, share = hats.locate(times)
        self.part = share[:, None]
        bounds = torch.arange(hats.n, device=self.left.device)
        self.starts = torch.searchsorted(self.left, bounds).tolist()
        """First frame of every interval, and the end of the last."""

    def read(self, values: Float[Tensor, "row knot"]) -> Float[Tensor, "frame row"]:
        """Linear functions of time, from their values at the knots."""
        across = values.T.contiguous()
        return torch.lerp(across[self.left], across[self.left + 1], self.part.to(values))

    def sums(
        self, low: Float[Tensor, "frame ..."], high: Float[Tensor, "frame ..."]
    ) -> Float[Tensor, "knot ..."]:
        """Sums over frames of what falls to the knot before and to the knot behind each."""
        total = low.new_zeros(self.n, *low.shape[1:])
        return total.index_add_(0, self.left, low).index_add_(0, self.left + 1, high)

    def between(self, values: Float[Tensor, "frame row"]) -> Float[Tensor, "interval row"]:
        """Sums over the frames of every interval."""
        return values.new_zeros(self.n, values.shape[1]).index_add_(0, self.left, values)[:-1]


@dataclass
class Columns:
    """Own columns of some rows: ``own``, and ``gain`` times the hat of every knot."""

    knots: Knots
    own: Float[Tensor, "frame row column"]
    gain: Float[Tensor, "frame row"]

    def __post_init__(self) -> None:
        self.high = self.gain * self.knots.part.to(self.gain)
        self.low = self.gain - self.high

    @property
    def n(self) -> int:
        """Number of columns before those of the knots."""
        return self.own.shape[2]

    def times(self, d: Float[Tensor, "row column"]) -> Float[Tensor, "frame row"]:
        """Every row's columns times their coefficients, added up."""
        plain = torch.einsum("trp,rp->tr", self.own, d[:, : self.n])
        return plain.addcmul_(self.gain, self.knots.read(d[:, self.n :]))

    def adjoint(self, y: Float[Tensor, "frame row"]) -> Float[Tensor, "row column"]:
        """Mean over frames of every column times y."""
        plain = torch.einsum("trp,tr->rp", self.own, y)
        return torch.cat([plain, self.knots.sums(self.low * y, self.high * y).T], 1) / len(y)

    def products(self) -> Float[Tensor, "row column column"]:
        """Mean products of all columns of every row."""
        t, rows, p = self.own.shape
        q = self.knots.n
        out = self.own.new_zeros(rows, p + q, p + q)
        square = self.own.transpose(0, 1)
        out[:, :p, :p] = square.mT @ square / t
        cross = self.knots.sums(self.low[..., None] * self.own, self.high[..., None] * self.own) / t
        out[:, p:, :p] = cross.transpose(0, 1)
        out[:, :p, p:] = out[:, p:, :p].mT
        diagonal, beside = torch.arange(q) + p, torch.arange(q - 1) + p
        out[:, diagonal, diagonal] = self.knots.sums(self.low.square(), self.high.square()).T / t
        mixed = self.knots.between(self.low * self.high).T / t
        out[:, beside, beside + 1] = out[:, beside + 1, beside] = mixed
        return out

    def moments(
        self,
        sent: Float[Tensor, "frame pre"],
        target: Float[Tensor, "frame row"],
        products: Float[Tensor, "row column column"],
    ) -> Moments:
        """Moments of the rows, the products of their own columns given."""
        adjoint = self.adjoint(target)
        return Moments(
            self.crossed(sent).permute(2, 0, 1),
            sent.T @ target / len(sent),
            products,
            adjoint,
            target.square().mean(0),
            torch.zeros_like(adjoint),
        )

    def crossed(
        self,
        sent: Float[Tensor, "frame pre"],
        own: Float[Tensor, "row function pre"] | None = None,
    ) -> Float[Tensor, "row column pre"]:
        """Mean products of all columns of every row with what is sent.

        Args:
            sent: what is sent.
            own: those of the columns before those of the knots, if they are known.
        """
        t, rows, p = self.own.shape
        if own is None:
            own = (self.own.reshape(t, -1).T @ sent).div_(t).view(rows, p, -1)
        out = sent.new_empty(rows, p + self.knots.n, sent.shape[1])
        out[:, :p], out[:, p] = own, 0
        both = torch.cat([self.low, self.high], 1) / t
        for k, (start, stop) in enumerate(pairwise(self.knots.starts), p):
            low, high = (both[start:stop].T @ sent[start:stop]).chunk(2)
            out[:, k] += low
            out[:, k + 1] = high
        return out
