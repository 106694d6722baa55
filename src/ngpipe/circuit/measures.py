"""Measures of impulse responses, and predictions from the network alone."""

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float
from scipy.sparse.linalg import ArpackError, eigs

from ngpipe.circuit.blocks import Circuit
from ngpipe.config.circuit.impulse import Impulse
from ngpipe.errors import ArgumentError, DivergenceError
from ngpipe.wiring.nulls.significance import p_value

STATUSES = ("ok", "censored", "diverging", "no_response")
"""Back at baseline; not by the end of the run; growing at its end, or not finite; never above."""

Trace = Float[np.ndarray, " time"]

LARGEST = 1e100
"""Activity beyond it counts as infinite."""
DENSE = 64
"""Neurons up to which all eigenvalues are computed."""
DIRECTIONS = 40
"""Dimension of the space in which the leading eigenvalue of larger networks is searched."""
TOLERANCE = 1e-12
"""Tolerance of its residual; a smaller one takes half as long again, for rounding only."""
UNSURE = 1e-6
"""Difference from either side of W from which an eigenvalue is not known."""


def leading_eigenvalue(weights: Float[np.ndarray, "post pre"]) -> complex:
    r"""The eigenvalue of W with the largest real part.

    From 1 on, a linear network does not come back to rest; below, its slowest mode decays with the
    time constant :math:`\tau / (1 - \mathrm{Re} \lambda)`. The same is true of a threshold-linear
    one as long as no unit rectifies; once inhibitory units are silent, the excitatory ones may grow
    though :math:`\mathrm{Re} \lambda < 1`. Steps add to an oscillation: they grow from
    :math:`|1 - (1 - \lambda)\, dt / \tau| = 1` on.

    Large matrices are iterated from the side of receivers and from that of senders (Arnoldi). Where
    the two disagree, as they do if eigenvalues crowd or eigenvectors are nearly parallel, all
    eigenvalues are computed, from both sides too. Nearly parallel eigenvectors make rounding a part
    of the answer: k of them spread one eigenvalue by the k-th root of a rounding.

    Args:
        weights: W[post, pre].

    Returns:
        The one with an imaginary part of 0 or more; not a number where the two sides still differ
        by more than 1e-6.
    """
    if len(weights) > DENSE:
        received, sent = _iterated(weights), _iterated(weights.T)
        if np.isclose(received, sent, rtol=1e-8, atol=1e-8):  # not a number: none was found
            return received
    received, sent = _largest(weights), _largest(weights.T)
    known = abs(received.real - sent.real) <= UNSURE * (1 + abs(received))
    return received if known else complex(np.nan, np.nan)


def _largest(weights: Float[np.ndarray, "post pre"]) -> complex:
    every = np.linalg.eigvals(weights).astype(complex)
    return _upper(max(every, key=lambda value: (value.real, value.imag)))


def _iterated(weights: Float[np.ndarray, "post pre"]) -> complex:
    start = np.ones(len(weights))  # the same number in every call
    try:
        options = {"ncv": DIRECTIONS, "which": "LR", "v0": start, "tol": TOLERANCE}
        found = eigs(weights, k=1, return_eigenvectors=False, **options)
    except ArpackError:
        return complex(np.nan)
    return _upper(found[0])


def _upper(value: complex) -> complex:
    return complex(value.real, abs(value.imag))


def check_stable(circuit: Circuit) -> None:
    """Refuse a circuit whose activity, unless units rectify or saturate, grows without end.

    Raises:
        DivergenceError: an eigenvalue of W has a real part of 1 or more; names it. Or which it is
            cannot be known.
    """
    leading = leading_eigenvalue(circuit.weights)
    if np.isnan(leading.real):
        raise DivergenceError(
            "the leading eigenvalue of W is lost in rounding, because eigenvectors are nearly "
            "parallel; run the circuit, and read its status"
        )
    if leading.real >= 1:
        raise DivergenceError(
            f"the leading eigenvalue of W is {leading.real:.4g}, expected below 1: without "
            "saturation activity grows until the run ends; lower ee_scale, or raise gain, "
            "probability or balance"
        )


def mean_field(circuit: Circuit) -> Circuit:
    r"""Two neurons in place of two kinds: weights are summed over pre, averaged over post.

    Of a balanced circuit they are :math:`(s, -bs)` and :math:`(a, -ba)`, a matrix of rank one, so
    that :math:`\lambda = s - ba`, with s the mean summed weight from E to E and
    :math:`a \approx g\, p\, n_E\, \langle 10^N \rangle` that from E to I. Run it as any circuit:
    it predicts the responses of networks whose connections are independent of one another.
    """
    kinds = [slice(0, circuit.n_exc), slice(circuit.n_exc, None)][: 2 if circuit.n_inh else 1]
    summed = [[circuit.weights[post, pre].sum(axis=1).mean() for pre in kinds] for post in kinds]
    return Circuit(np.array(summed), 1)


def measure(
    responses: xr.Dataset, impulse: Impulse, *, threshold_ratio: float = 0.01
) -> pd.DataFrame:
    r"""One row for each run of :func:`ngpipe.circuit.respond.respond`.

    Time to baseline is the notebook's: from the last driven step to the first one from there on
    with a mean excitatory activity below ``threshold_ratio`` times the strength of the pulse plus
    the activity before it. A run that has no such step is ``diverging`` if its mean is higher in
    the last twentieth of the time after the pulse than in the one before it, else ``censored``. One
    that has, and then goes beyond all it was before, is ``diverging`` too, such as an oscillation
    that grows; so is one that is not finite. Where activity was never above, it is ``no_response``.

    Args:
        responses: with ``excitatory`` (run, time) and ``eigenvalue`` (run).
        impulse: the pulse of these responses.
        threshold_ratio: of baseline, over the strength of the pulse.

    Returns:
        ``status``; ``time_to_baseline`` [s], only where ok; ``rebounds``, whether activity is
        above again later; ``peak`` of the mean; ``area`` between the mean and its start, summed
        over the run [s]; ``time_constant`` of the decay [s], negative where it grows: of a line
        through log activity in the second half of the time from the pulse to baseline, or to the
        end; ``eigenvalue``, the leading one of W.

    Raises:
        ArgumentError: a ratio that is not positive, responses of another length than the pulse.
    """
    if not threshold_ratio > 0:
        raise ArgumentError(f"threshold_ratio is {threshold_ratio}, expected a number above 0")
    traces = responses["excitatory"].transpose("run", "time").values.astype(np.float64)
    if traces.shape[1] != impulse.n_steps:
        raise ArgumentError(
            f"responses have {traces.shape[1]} steps, expected the {impulse.n_steps} of the pulse "
            "given; measure with the pulse they were run with"
        )
    table = pd.DataFrame([_measures(trace, impulse, threshold_ratio) for trace in traces])
    table.index.name = "run"
    return table.assign(eigenvalue=responses["eigenvalue"].values)


def _measures(trace: Trace, impulse: Impulse, ratio: float) -> dict[str, object]:
    baseline = trace[max(impulse.first - 1, 0)]
    threshold = impulse.strength * ratio + baseline
    status, end = _status(trace, impulse, threshold)
    finite = _is_finite(trace)
    return {
        "status": status,
        "time_to_baseline": (
            impulse.times[end] - impulse.last * impulse.dt if status == "ok" else np.nan
        ),
        "rebounds": bool(status == "ok" and (trace[end:] > threshold).any()),
        "peak": trace.max() if finite else np.inf,
        "area": np.sum(trace - baseline) * impulse.dt if finite else np.inf,
        "time_constant": _time_constant(trace[impulse.last : end] - baseline, impulse.dt),
    }


def _status(trace: Trace, impulse: Impulse, threshold: float) -> tuple[str, int]:
    """Status, and the step of the return to baseline or the number of steps."""
    if not _is_finite(trace):
        return "diverging", len(trace)
    if not (trace[impulse.first :] >= threshold).any():
        return "no_response", len(trace)
    below = np.flatnonzero(trace[impulse.last :] < threshold)
    if len(below):
        end = impulse.last + int(below[0])
        outgrown = (trace[end:] > trace[:end].max()).any()
        return ("diverging", len(trace)) if outgrown else ("ok", end)
    after = len(trace) - impulse.last
    window = max(1, after // 20)
    late, before = trace[-window:].mean(), trace[-2 * window : -window].mean()
    return "diverging" if late > before * (1 + 1e-9) else "censored", len(trace)


def _is_finite(trace: Trace) -> bool:
    return bool((np.abs(trace) <= LARGEST).all())


def _time_constant(decay: Trace, dt: float) -> float:
    late = decay[len(decay) // 2 :]
    if len(late) < 3 or not (_is_finite(late) and (late > 0).all()):
        return np.nan
    slope = np.polyfit(np.arange(len(late)) * dt, np.log(late), 1)[0]
    return -1 / slope if slope else np.inf


def compare(observed: pd.DataFrame, null: pd.DataFrame) -> dict[str, float]:
    r"""Times to baseline of a network and of a null, in pairs that share their random part.

    Runs that do not come back in time count as slower than all that do, those without a response
    as 0, where only order matters (``dominance``, ``p``); means and differences are of runs, or
    pairs, that are ok, which leaves the slowest out where some are not.

    With K pairs, of times :math:`t_k` of the one measured network and :math:`n_k` of draws of the
    null, each with the random part k,

    .. math::
        p = \min\Big(1, \frac{2}{K + 1}
            \big(1 + \min(\#\{n_k \ge t_k\}, \#\{n_k \le t_k\})\big)\Big)

    is the rank of the measured network among the draws, with what the random part adds to both
    taken out. It asks whether this network could be a draw of the null. It is exact where random
    parts shift all times alike, and too large rather than too small where they do not; it is no
    sign test, as pairs share the measured network.

    What follows: a small p says that what the null renews, taken together, matters for the time of
    this network among random parts of this kind. What does not: that all of cortex is so, as one
    network was measured and the spread of its times is that of the random part alone; that there is
    no effect where p is large; which of several nulls, or points of a sweep, is unusual, as none is
    corrected for the others. An ablation is no null: the measured network is not one of its draws,
    and where it leaves nothing to chance, p tells but the sign of the difference. Compare it with
    its matched control, by the same function.

    Args:
        observed: of :func:`measure`, one row for each random part.
        null: the same for nulls, the i-th with the random part of the i-th observed run.

    Returns:
        ``observed``, ``null``: mean times [s]; ``pairs``: how many are ok on both sides;
        ``difference``, ``difference_std``: of the pairs, observed - null [s]; ``effect``:
        difference over its standard deviation; ``dominance``: how much more often an observed run
        is slower than a null than faster, over all pairings, -1 to 1 (Cliff 1993); ``p``: see
        above.

    Raises:
        ArgumentError: tables of different lengths, or none.
    """
    if len(observed) != len(null) or not len(null):
        raise ArgumentError(
            f"{len(observed)} observed runs and {len(null)} of the null, expected pairs that share "
            "their random part; give as many of either"
        )
    difference = observed["time_to_baseline"].values - null["time_to_baseline"].values
    difference = difference[np.isfinite(difference)]
    mean, spread = _mean_and_std(difference)
    ranked = [_ranked(table) for table in (observed, null)]
    slower, faster = np.greater.outer(*ranked), np.less.outer(*ranked)
    return {
        "observed": _mean_and_std(observed["time_to_baseline"].dropna().values)[0],
        "null": _mean_and_std(null["time_to_baseline"].dropna().values)[0],
        "pairs": len(difference),
        "difference": mean,
        "difference_std": spread,
        "effect": mean / spread if spread > 0 else np.nan,
        "dominance": slower.mean() - faster.mean(),
        "p": p_value(0.0, slower.diagonal() * 1.0 - faster.diagonal()),
    }


def _ranked(table: pd.DataFrame) -> Float[np.ndarray, " run"]:
    """Times with a place for runs that have none."""
    without = table["status"].map({"ok": 0.0, "no_response": 0.0}).fillna(np.inf)
    return table["time_to_baseline"].fillna(without).values


def _mean_and_std(values: Float[np.ndarray, " run"]) -> tuple[float, float]:
    mean = float(values.mean()) if len(values) else np.nan
    return mean, float(values.std(ddof=1)) if len(values) > 1 else np.nan
