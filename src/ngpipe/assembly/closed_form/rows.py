r"""Rows of W by least squares, given what every sender sends.

.. math:: y_i(t) = \sum_{j \ne i} W_{ij} f_j(t) + \sum_k d_{ik} e_{ik}(t) + \epsilon_i(t)

f is what is sent, e_i are functions that belong to row i alone (its phi, its input), d their
coefficients. One factor of the Gram matrix of f serves all rows; the few own columns of each row,
and W_ii = 0, are eliminated in its blocks (Golub & Van Loan, "Matrix computations", section 4.3).
All in float64: the Gram matrix squares the condition number of the data.
"""

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ngpipe.errors import DivergenceError

WHITENED = 4096
"""Frames that are whitened at once."""
SAFE = 0.95
"""Part of the largest share of noise that leaves a matrix positive; no more is taken out."""

Sent = Float[Tensor, "frame pre"]
Own = Float[Tensor, "frame row column"]


class Gram:
    r"""Cholesky factor of :math:`C + \lambda \bar c`, C the mean over frames of f f^T.

    Args:
        moment: C.
        ridge: lambda, relative to the mean diagonal of C.
        noise: part of the diagonal of C that is measurement noise; it is taken out of C.

    Raises:
        DivergenceError: the matrix is not positive: the ridge is too small for the data.
    """

    def __init__(
        self,
        moment: Float[Tensor, "pre pre"],
        ridge: float,
        noise: Float[Tensor, " pre"] | None = None,
    ) -> None:
        self.is_of_white = False
        self.noise = torch.zeros_like(moment.diagonal()) if noise is None else noise
        self.moment, self.ridge = moment - torch.diag(self.noise), ridge
        moment = self.moment
        self.padding = ridge * float(moment.diagonal().mean())
        padded = moment.clone()
        padded.diagonal().add_(self.padding)
        self.factor, failed = torch.linalg.cholesky_ex(padded)
        if failed:
            raise DivergenceError(
                f"the Gram matrix of {len(padded)} neurons with ridge {ridge:.1e} is not positive "
                "definite: activity spans too few directions; leave "
                "the smallest out of training.closed_form.ridges"
            )

    def white(self, sent: Sent) -> Sent:
        """L^-1 f at every frame, in the memory of f."""
        for part in sent.split(WHITENED):
            part.copy_(self.half_solve(part.T).T)
        return sent

    def white_twice(self, white: Sent) -> Sent:
        """(C + r)^-1 f at every frame, from L^-1 f."""
        return torch.cat([self.other_half(part.T).T for part in white.split(WHITENED)])

    def of_white(self) -> "Gram":
        """The same for rows whose moments are of L^-1 f in the place of f."""
        other = copy(self)
        other.is_of_white = True
        return other

    @cached_property
    def inverse(self) -> Float[Tensor, "pre pre"]:
        """(C + r)^-1."""
        return torch.cholesky_inverse(self.factor)

    @cached_property
    def inverse_diagonal(self) -> Float[Tensor, " pre"]:
        """Diagonal of (C + r)^-1."""
        return self.inverse.diagonal()

    @cached_property
    def noise_spread(self) -> Float[Tensor, " pre"]:
        """Diagonal of (C + r)^-1 D (C + r)^-1, D what was taken out of C."""
        return self.inverse.square() @ self.noise

    @cached_property
    def spectrum(self) -> "Spectrum":
        """Spectrum of C itself."""
        return Spectrum(torch.linalg.eigvalsh(self.moment)[None].clamp_min(0), self.padding)

    @property
    def shares(self) -> Float[Tensor, " pre"]:
        """Share l / (l + r) of W that the ridge leaves along every eigenvector of C."""
        return self.spectrum.shares[0]

    @cached_property
    def shrunk(self) -> Float[Tensor, " pre"]:
        """Diagonal of r^2 (C + r)^-2: share of a weight's variance that the ridge takes away."""
        return self.padding**2 * self.inverse.square().sum(1)

    def kept(self) -> dict[str, Tensor]:
        """All that solving rows with their errors takes, without the inverse: two matrices."""
        return {
            "moment": self.moment,
            "factor": self.factor,
            "noise": self.noise,
            "inverse_diagonal": self.inverse_diagonal,
            "shrunk": self.shrunk,
            "noise_spread": self.noise_spread,
            "eigenvalues": self.spectrum.values[0],
        }

    @classmethod
    def restored(cls, read: Callable[[str], Tensor], ridge: float) -> "Gram":
        """The same from what was kept of it.

        Args:
            read: gives what :meth:`kept` gives, by name.
            ridge: lambda.
        """
        gram = cls.__new__(cls)
        gram.is_of_white, gram.ridge = False, ridge
        gram.moment, gram.factor, gram.noise = read("moment"), read("factor"), read("noise")
        gram.padding = ridge * float(gram.moment.diagonal().mean())
        gram.inverse_diagonal, gram.shrunk = read("inverse_diagonal"), read("shrunk")
        gram.noise_spread = read("noise_spread")
        gram.spectrum = Spectrum(read("eigenvalues")[None], gram.padding)
        return gram

    def half_solve(self, right: Float[Tensor, "pre k"]) -> Float[Tensor, "pre k"]:
        """L^-1 times the columns of ``right``."""
        return torch.linalg.solve_triangular(self.factor, right, upper=False)

    def halved(self, products: Float[Tensor, "pre k"]) -> Float[Tensor, "pre k"]:
        """L^-1 times products of what is sent with something, if they are not of L^-1 f already."""
        return products if self.is_of_white else self.half_solve(products)

    def other_half(self, right: Float[Tensor, "pre k"]) -> Float[Tensor, "pre k"]:
        """L^-T times the columns of ``right``."""
        return torch.linalg.solve_triangular(self.factor.T, right, upper=True)


@dataclass(frozen=True)
class Spectrum:
    """Mean square of activity along the directions in which a row of W can be told."""

    values: Float[Tensor, "row direction"]
    """l: eigenvalues of what each of some rows is solved from, rising, not negative."""
    padding: float
    """r: what the ridge adds to each."""

    @property
    def shares(self) -> Float[Tensor, "row direction"]:
        """Share l / (l + r) of W that the ridge leaves along every direction."""
        return self.values / (self.values + self.padding)

    @property
    def condition_number(self) -> float:
        """Largest over smallest of l + r."""
        return float((self.values.max() + self.padding) / (self.values.min() + self.padding))

    @classmethod
    def joined(cls, parts: "Sequence[Spectrum]") -> "Spectrum":
        """Rows of several blocks that share a Gram matrix."""
        return cls(torch.cat([part.values for part in parts]), parts[0].padding)


@dataclass
class Moments:
    """Means over frames of products of all columns of some rows' equations; they add up."""

    sent_own: Float[Tensor, "pre row column"]
    sent_target: Float[Tensor, "pre row"]
    own_own: Float[Tensor, "row column column"]
    own_target: Float[Tensor, "row column"]
    target: Float[Tensor, " row"]
    own_noise: Float[Tensor, "row column"]
    """The part of ``own_target`` that is noise, as that of a state which its rate shares."""

    @property
    def own_aim(self) -> Float[Tensor, "row column"]:
        """What the own columns are to explain."""
        return self.own_target - self.own_noise

    @classmethod
    def of(
        cls,
        sent: Sent,
        own: Own,
        target: Float[Tensor, "frame row"],
        own_noise: Float[Tensor, "row column"] | None = None,
    ) -> "Moments":
        """Moments of one stretch of frames."""
        n, (_, n_rows, columns) = len(sent), own.shape
        square = own.transpose(0, 1)
        return cls(
            # In memory a line for every column: so it is solved without being turned round.
            (own.reshape(n, -1).T @ sent).div_(n).view(n_rows, columns, -1).permute(2, 0, 1),
            sent.T @ target / n,
            square.mT @ square / n,
            (square.mT @ target.T[..., None])[..., 0] / n,
            target.square().mean(0),
            own.new_zeros(n_rows, columns) if own_noise is None else own_noise,
        )

    def joined(self, before: "Moments | None", share: float) -> "Moments":
        """Mean of both, these having the given share of the frames; ``before`` is overwritten."""
        if before is None:
            return self
        for mine, more in zip(vars(before).values(), vars(self).values(), strict=True):
            mine.lerp_(more, share)
        return before


@dataclass
class RowFit:
    """Least squares of some rows."""

    weights: Float[Tensor, "row pre"]
    own: Float[Tensor, "row column"]
    """d: coefficients of each row's own columns."""
    mean_square: Float[Tensor, " row"]
    """Mean squared residual."""

    def some(self, mine: Bool[Tensor, " row"]) -> "RowFit":
        """Some of the rows."""
        return RowFit(self.weights[mine], self.own[mine], self.mean_square[mine])

    def predict(self, sent: Sent, own: Own) -> Float[Tensor, "frame row"]:
        """Prediction of the rows at other frames."""
        return sent @ self.weights.T + torch.einsum("trk,rk->tr", own, self.own)


class Rows:
    """Normal equations of some rows with W eliminated.

    Args:
        gram: factor for what is sent.
        rows: which neurons.
        moments: of these rows' equations.
        padding: quadratic form on the coefficients of the own columns, relative to their mean
            square.
        shared: weight of every row, if all rows are to have the same coefficients of their own
            columns.

    Raises:
        DivergenceError: the own columns of a row are not independent of what is sent.
    """

    def __init__(
        self,
        gram: Gram,
        rows: Int[Tensor, " row"],
        moments: Moments,
        padding: Float[Tensor, "column column"],
        shared: Float[Tensor, " row"] | None = None,
    ) -> None:
        self.gram, self.rows, self.moments, self.shared = gram, rows, moments, shared
        crossed = moments.sent_own
        n, n_rows, columns = crossed.shape
        unit = crossed.new_zeros(n, n_rows)
        unit[rows, torch.arange(n_rows, device=crossed.device)] = 1
        # W = L^-T h has W_ii = 0 if and only if h is orthogonal to L^-1 e_i.
        half = gram.half_solve(unit).T
        self.forbidden = half / half.norm(dim=1)[:, None]
        half = gram.halved(crossed.flatten(1)).T
        self.eliminated = self._allowed(half.reshape(n_rows, columns, n))
        level = level_of(moments.own_own, padding)
        self._own = moments.own_own + level[:, None, None] * padding
        reduced = self._own - self.eliminated @ self.eliminated.mT
        self.reduced = self._together(reduced)
        self.schur, failed = torch.linalg.cholesky_ex(self.reduced)
        if failed.any():
            raise DivergenceError(
                f"the functions of neuron {int(rows[failed > 0][0])} cannot be separated from its "
                f"input with ridge {gram.ridge:.1e}; leave the smallest out of "
                "training.closed_form.ridges, or record more frames"
            )
        self._aim()

    def solve(self, own: Float[Tensor, "row column"] | None = None) -> RowFit:
        """W and d of every row; W alone if d is given."""
        if own is None:
            own = torch.cholesky_solve(self.right[..., None], self.schur)[..., 0]
        half = self.solved - (own[:, None, :] @ self.eliminated)[:, 0]
        weights = self.gram.other_half(half.T).T
        return RowFit(weights, own, self.mean_square(self.gram, self.moments, weights, own))

    def aimed(
        self,
        sent_target: Float[Tensor, "pre row"],
        own_aim: Float[Tensor, "row column"] | None = None,
    ) -> "Rows":
        """The same equations with other products of target and what is sent, or own columns."""
        other = copy(self)
        other.moments = replace(self.moments, sent_target=sent_target)
        if own_aim is not None:
            nothing = torch.zeros_like(own_aim)
            other.moments = replace(other.moments, own_target=own_aim, own_noise=nothing)
        other._aim()
        return other

    @staticmethod
    def mean_square(
        gram: Gram,
        moments: Moments,
        weights: Float[Tensor, "row pre"],
        own: Float[Tensor, "row column"],
    ) -> Float[Tensor, " row"]:
        """Mean squared residual that any W and d leave."""
        crossed = (own[:, None] @ moments.sent_own.permute(1, 2, 0))[:, 0]
        # Residuals are of activity as it was measured.
        products = weights @ gram.moment + weights * gram.noise
        half = weights @ gram.factor if gram.is_of_white else weights
        square = (
            moments.target
            + (weights * products).sum(1)
            + 2 * (half * (crossed - moments.sent_target.T)).sum(1)
            + torch.einsum("rk,rkl,rl->r", own, moments.own_own, own)
            - 2 * (own * moments.own_target).sum(1)
        )
        return square.clamp_min(0)

    def _aim(self) -> None:
        """Right sides of the equations, W eliminated."""
        half = self.gram.halved(self.moments.sent_target)
        self.solved = self._allowed(half.T[:, None])[:, 0]
        eliminated = (self.eliminated @ self.solved[..., None])[..., 0]
        self.right = self._together(self.moments.own_aim - eliminated)

    def _together(self, values: Tensor) -> Tensor:
        """Every row's own, or the weighted sum over rows for each of them."""
        if self.shared is None:
            return values
        return torch.einsum("r...,r->...", values, self.shared).expand_as(values)

    def variances(
        self, inverted: Float[Tensor, "row column pre"] | None = None
    ) -> Float[Tensor, "row pre"]:
        """Diagonal of the inverse of every row's full normal matrix, W's part, per frame.

        Args:
            inverted: (C + r)^-1 times the products of what is sent with own columns, if it is known
                already; it is overwritten.
        """
        forbidden = self.gram.other_half(self.forbidden.T).T
        if inverted is None:
            inverted = self.inverted(self.eliminated.shape[1])
        else:
            each = torch.arange(len(self.rows), device=self.rows.device)
            along = inverted[each, :, self.rows] / forbidden[each, self.rows, None]
            inverted.baddbmm_(along[..., None], forbidden[:, None], alpha=-1)
        half = torch.linalg.solve_triangular(self.schur, inverted, upper=False)
        plain = self.gram.inverse_diagonal - forbidden.square()
        return plain + half.square().sum(1)

    def inverted(self, n: int) -> Float[Tensor, "row column pre"]:
        """(C + r)^-1 times the products of what is sent with the first n own columns.

        Without the part that would raise W_ii.
        """
        half = self.eliminated[:, :n]
        return self.gram.other_half(half.flatten(0, 1).T).T.view_as(half)

    def spectrum(self, wanted: Int[Tensor, " wanted"]) -> Spectrum:
        """Spectrum of C without W_ii, with the row's own columns projected out.

        Args:
            wanted: the neurons whose rows are looked at, as far as they are among these.
        """
        values = [self.gram.moment.new_zeros(0, len(self.gram.moment) - 1)]
        for k in torch.nonzero(torch.isin(self.rows, wanted))[:, 0].tolist():
            crossed = self.moments.sent_own[:, k]
            if self.gram.is_of_white:
                crossed = self.gram.factor @ crossed
            left = self.gram.moment - crossed @ torch.linalg.solve(self._own[k], crossed.T)
            others = torch.arange(len(left), device=left.device) != self.rows[k]
            values.append(torch.linalg.eigvalsh(left[others][:, others])[None].clamp_min(0))
        return Spectrum(torch.cat(values), self.gram.padding)

    def _allowed(self, half: Float[Tensor, "row k pre"]) -> Float[Tensor, "row k pre"]:
        """The part that leaves W_ii at zero, in the memory of the whole."""
        along = half @ self.forbidden[..., None]
        return half.baddbmm_(along, self.forbidden[:, None], alpha=-1)

    def project(
        self,
        sent: Float[Tensor, "pre row m"],
        square: Float[Tensor, "row m m"],
        mixed: Float[Tensor, "row column m"],
    ) -> Float[Tensor, "row m m"]:
        """Gram matrix of what of further columns of each row W and its own columns do not explain.

        Args:
            sent: means of products of what is sent and the further columns.
            square: of the further columns.
            mixed: of own and further columns.
        """
        n, n_rows, m = sent.shape
        half = self._allowed(self.gram.halved(sent.flatten(1)).T.reshape(n_rows, m, n))
        left = mixed - self.eliminated @ half.mT
        solved = torch.cholesky_solve(self._together(left), self.schur)
        return square - half @ half.mT - left.mT @ solved


def level_of(
    own: Float[Tensor, "*row column column"], padding: Float[Tensor, "column column"]
) -> Float[Tensor, "*row"]:
    """Mean square of the own columns that are padded: those of inputs have units of their own."""
    return own.diagonal(dim1=-2, dim2=-1)[..., padding.diagonal() > 0].mean(-1)
