r"""Rows of driven neurons with many columns of their own, by conjugate gradients.

A row has a few columns for its phi and one for every knot of its input, hundreds in all. What of
them the senders do not explain has the matrix

.. math:: S = A^\top A - A^\top F (F^\top F + r)^{-1} F^\top A

(A own columns, F what is sent, W_ii = 0). Its factorisation takes products of every column with
every sender. A product with S takes two passes over the frames, for all rows at once, and the
first term alone, whose knots couple neighbours only, is close to it: conjugate gradients with this
preconditioner (Golub & Van Loan, section 11.5) need a few of them.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ngpipe.assembly.closed_form.rows import Gram, Moments, RowFit, level_of

MOST_TURNS = 100
"""Products with S after which a block of rows is better factorised."""


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
        self.share = share[:, None]
        self.stretch = _by_interval(self.left, hats.n - 1)

    def read(self, values: Float[Tensor, "row knot"]) -> Float[Tensor, "frame row"]:
        """Linear functions of time, from their values at the knots."""
        across = values.T.contiguous()
        return torch.lerp(across[self.left], across[self.left + 1], self.share)

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
        self.high = self.gain * self.knots.share
        self.low = self.gain - self.high

    @property
    def n(self) -> int:
        """Number of columns before those of the knots."""
        return self.own.shape[2]

    def times(self, d: Float[Tensor, "row column"]) -> Float[Tensor, "frame row"]:
        """A d of every row."""
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
        t, rows, p = self.own.shape
        sent_own = sent.new_empty(sent.shape[1], rows, p + self.knots.n)
        sent_own[..., :p] = (sent.T @ self.own.reshape(t, -1)).view(-1, rows, p) / t
        sent_own[..., p:] = self._with_sent(sent) / t
        return Moments(
            sent_own, sent.T @ target / t, products, self.adjoint(target), target.square().mean(0)
        )

    def _with_sent(self, sent: Float[Tensor, "frame pre"]) -> Float[Tensor, "pre row knot"]:
        """Products of what is sent with the columns of the knots, interval by interval."""
        stretch = self.knots.stretch
        absent = (stretch < 0)[..., None]
        padded = sent[stretch.clamp_min(0)].mT
        ends = torch.cat([self.low, self.high], 1)[stretch.clamp_min(0)].masked_fill(absent, 0)
        before, behind = (padded @ ends).permute(1, 2, 0).chunk(2, dim=1)
        total = before.new_zeros(*before.shape[:2], self.knots.n)
        total[..., :-1] += before
        total[..., 1:] += behind
        return total


@dataclass
class Equations:
    """Equations of some rows, the senders eliminated only in products.

    Args:
        columns: own columns.
        sent: what senders send.
        gram: of it.
        rows: whose rows.
        products: of the own columns.
        added: to these products.
        padding: quadratic form on the coefficients of own columns, relative to their mean square.
    """

    columns: Columns
    sent: Float[Tensor, "frame pre"]
    gram: Gram
    rows: Int[Tensor, " row"]
    products: Float[Tensor, "row column column"]
    added: Float[Tensor, "row column column"]
    padding: Float[Tensor, "column column"]

    def __post_init__(self) -> None:
        level = level_of(self.products + self.added, self.padding)
        self.added = self.added + level[:, None, None] * self.padding
        self.factor = torch.linalg.cholesky(self.products + self.added)
        n = self.sent.shape[1]
        unit = torch.zeros(n, len(self.rows)).to(self.sent)
        unit[self.rows, torch.arange(len(self.rows), device=unit.device)] = 1
        self.forbidden = torch.cholesky_solve(unit, self.gram.factor)

    def solve(self, target: Float[Tensor, "frame row"], accuracy: float) -> RowFit | None:
        """W and the coefficients of the own columns; None if that takes too many turns.

        Args:
            target: of every row.
            accuracy: size of what is left of the right side, relative, in the norm of S.
        """
        d = self._conjugate(self.columns.adjoint(self._free(target)), accuracy)
        if d is None:
            return None
        left = target - self.columns.times(d)
        weights = self._weights(left)
        return RowFit(weights.T, d, (left - self.sent @ weights).square().mean(0))

    def _conjugate(
        self, right: Float[Tensor, "row column"], accuracy: float
    ) -> Float[Tensor, "row column"] | None:
        d, left = torch.zeros_like(right), right
        ahead = torch.zeros_like(right)
        before = torch.ones_like(right[:, 0])
        first = None
        for _ in range(MOST_TURNS):
            near = torch.cholesky_solve(left[..., None], self.factor)[..., 0]
            now = (left * near).sum(1)
            first = now if first is None else first
            if bool((now <= accuracy**2 * first).all()):
                return d
            ahead = near + (now / before)[:, None] * ahead
            product = self._product(ahead)
            step = (now / (ahead * product).sum(1).clamp_min(1e-300))[:, None]
            d, left, before = d + step * ahead, left - step * product, now.clamp_min(1e-300)
        return None

    def _product(self, d: Float[Tensor, "row column"]) -> Float[Tensor, "row column"]:
        """S d."""
        added = (self.added @ d[..., None])[..., 0]
        return self.columns.adjoint(self._free(self.columns.times(d))) + added

    def _free(self, y: Float[Tensor, "frame row"]) -> Float[Tensor, "frame row"]:
        """What of y the senders do not explain."""
        return y - self.sent @ self._weights(y)

    def _weights(self, y: Float[Tensor, "frame row"]) -> Float[Tensor, "pre row"]:
        """Weights with which the senders explain y, W_ii = 0."""
        w = torch.cholesky_solve(self.sent.T @ y / len(y), self.gram.factor)
        own = torch.arange(len(self.rows), device=w.device)
        share = w[self.rows, own] / self.forbidden[self.rows, own]
        w = w - self.forbidden * share
        w[self.rows, own] = 0
        return w


def _by_interval(left: Int[Tensor, " frame"], n: int) -> Int[Tensor, "interval slot"]:
    """Frames of every interval, padded with -1."""
    members = [torch.nonzero(left == k)[:, 0] for k in range(n)]
    return torch.nn.utils.rnn.pad_sequence(members, batch_first=True, padding_value=-1)
