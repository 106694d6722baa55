"""Solve any :data:`~ngpipe.arrays.Drift` with fixed steps; knows no neurons."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ngpipe.arrays import Activity, Drift, Rate
from ngpipe.errors import DivergenceError


def euler_maruyama(
    drift: Drift,
    x0: Activity,
    *,
    dt: float,
    noise: float = 0.0,
    generator: torch.Generator | None = None,
    first: int = 0,
) -> Iterator[tuple[Activity, Rate]]:
    r"""Yield ``(x, dx/dt)`` frame by frame, without end; frame 0 is ``x0``.

    .. math:: x_{t+1} = x_t + \Delta t\, f(t, x_t) + \sigma \sqrt{\Delta t}\, \xi_t

    Strong order 1/2 with noise, order 1 without (Kloeden & Platen 1992, section 10.2). The rate
    is the drift alone, before noise.

    Args:
        drift: f(t, x), where frame 0 is at t = 0 [tau].
        x0: activity at the first frame, shape ``(*batch, neuron)``.
        dt: step [tau].
        noise: sigma [1/sqrt(tau)].
        generator: source of the noise; required when ``noise`` is not zero.
        first: number of the first frame; below zero for a burn-in.
    """
    if noise and generator is None:
        raise TypeError("noise needs a generator: randomness is always passed as one")
    x, k = x0, first
    while True:
        rate = drift(k * dt, x)
        yield x, rate
        x = x + dt * rate
        if noise and generator is not None:
            # Drawn where the generator lives: the same noise on every device.
            draw = torch.randn(x.shape, generator=generator, device=generator.device, dtype=x.dtype)
            x = x + noise * dt**0.5 * draw.to(x.device)
        k += 1


def blocks(
    frames: Iterator[tuple[Activity, Rate]],
    n_frames: int,
    *,
    length: int,
    first: int = 0,
    limit: float = 1e6,
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Collect frames into blocks of at most ``length``: yields ``(start, x, dx/dt)``.

    Frames are counted from ``first`` in errors and in ``start``; burn-in counts from below zero.

    Raises:
        DivergenceError: activity is not finite or exceeds ``limit``; names frame and neuron.
    """
    for start in range(first, first + n_frames, length):
        pairs = [next(frames) for _ in range(min(length, first + n_frames - start))]
        x = torch.stack([x for x, _ in pairs])
        _check_finite(x, start, limit)
        yield start, x, torch.stack([rate for _, rate in pairs])


def trajectory(drift: Drift, x0: Activity, *, dt: float, n_frames: int, first: int = 0) -> Tensor:
    """``n_frames`` frames without noise, from ``x0`` at frame ``first`` on.

    Returns:
        Activity of shape ``(time, *batch, neuron)``.
    """
    frames = euler_maruyama(drift, x0, dt=dt, first=first)
    return torch.cat([x for _, x, _ in blocks(frames, n_frames, length=n_frames)])


def free_run(
    drift: Drift,
    x0: Activity,
    *,
    dt: float,
    n_frames: int,
    limit: float,
    first: int = 0,
    steps: Sequence[float] | None = None,
) -> tuple[Tensor, int | None]:
    """The same of a drift that need not be stable, as a learned one: it may diverge.

    Args:
        drift: f(t, x).
        x0: activity at frame ``first``.
        dt: step [tau].
        n_frames: frames wanted.
        limit: magnitude of activity beyond which the run has diverged.
        first: number of the first frame.
        steps: time from every frame to the next, where these differ [tau]; the time of f goes on
            by ``dt`` all the same.

    Returns:
        Activity ``(time, *batch, neuron)``, NaN from the first frame on at which some of it is not
        finite or beyond the limit, and the number of that frame in the run; None if there is none.
    """
    out, x = x0.new_full((n_frames, *x0.shape), torch.nan), x0
    for k, step in enumerate([dt] * n_frames if steps is None else steps):
        if _beyond(x, limit).any():
            return out, k
        out[k] = x
        x = x + step * drift((first + k) * dt, x)
    return out, None


def _check_finite(x: Tensor, start: int, limit: float) -> None:
    bad = _beyond(x, limit)
    if bad.any():
        frame, *where = torch.nonzero(bad)[0].tolist()
        raise DivergenceError(
            f"activity of neuron {where[-1]} is {float(x[(frame, *where)]):g} at frame "
            f"{start + frame}, beyond {limit:g}: the integration diverges; lower simulation.dt, "
            "or the gains and self-excitation of the types, or raise their leak"
        )


def _beyond(x: Tensor, limit: float) -> Tensor:
    """Mask of activity that is not finite, or exceeds the limit."""
    return ~(x.abs() <= limit)
