"""Forecasts of held-out activity by the model and by baselines, over all leads."""

from collections.abc import Callable
from typing import Any

import torch
import xarray as xr
from jaxtyping import Float, Int
from torch import Tensor

from ngpipe.arrays import Activity, Rate
from ngpipe.assembly.baselines import Baseline, baselines, typical_activity
from ngpipe.assembly.gnn import AssemblyGNN
from ngpipe.assembly.recording import Recording

MOST_STARTS = 100
"""Frames that forecasts start from."""
STEPS = 10_000
"""About so many steps are taken by each predictor, over all starts."""
FAR = 100.0
"""Largest activity of a forecast, in units of the largest of the recording: beyond it diverges."""

Step = Callable[[int, Activity], Rate]
"""From the number of steps taken and the activity of all starts to the rate."""


@torch.no_grad()
def forecasts(model: AssemblyGNN, recording: Recording, n_frames: int) -> xr.Dataset:
    r"""Errors of forecasts that run freely from held-out frames, as ``schemas.ROLLOUT`` has them.

    From every start, the model and each baseline (:mod:`.baselines`) take steps of `dt`, or from
    one frame to the next where intervals differ. The
    frames forecast are held out too, of the scoring half, and follow the start without a break.
    With :math:`\bar x_i` the mean of neuron i over training frames, for every start and lead (time
    since the start) there are

    .. math:: e = \frac1N \sum_i (\hat x_i - x_i)^2, \qquad v = \frac1N \sum_i (x_i - \bar x_i)^2

    in squares of the unit of activity. An error is NaN once the forecast has diverged. Neurons
    that a session lacks do not count.

    Args:
        model: the trained model.
        recording: what it was trained on.
        n_frames: longest lead; shorter if held-out stretches are.

    Returns:
        ``forecast_error (predictor, start, lead)`` and ``forecast_variance (start, lead)``; nothing
        where no two held-out frames follow one another.
    """
    starts, lead = _starts(recording, n_frames)
    if not lead:
        return xr.Dataset()
    frames = starts[:, None] + torch.arange(lead + 1)
    truth = recording.activity[frames.flatten()].unflatten(0, frames.shape).transpose(0, 1)
    steps: dict[str, Step] = {"model": _of_model(model, recording, starts)}
    for name, rate in baselines(recording).items():
        steps[name] = _of_rate(rate)
    mean, limit = typical_activity(recording), FAR * recording.scales().reach
    times = recording.steps(starts + torch.arange(lead)[:, None])[..., None].to(truth)
    errors = [_errors(step, truth, mean, times, limit) for step in steps.values()]
    variance = (truth[1:].double() - mean).square().nanmean(-1)
    return xr.Dataset(
        {
            "forecast_error": (("predictor", "start", "lead"), _stored(torch.stack(errors))),
            "forecast_variance": (("start", "lead"), _stored(variance)),
        },
        coords={
            "predictor": list(steps),
            "start": starts.numpy(),
            "lead": recording.dt * torch.arange(1, lead + 1, dtype=torch.float64).numpy(),
        },
    )


def _starts(recording: Recording, n_frames: int) -> tuple[Int[Tensor, " start"], int]:
    """Frames to start from, evenly spaced, and the frames forecast from each of them."""
    runs = [run for block in recording.blocks[0::2] for run in _runs(recording.usable, block)]
    lead = min(n_frames, max((len(run) for run in runs), default=1) - 1)
    if lead < 1:
        return torch.zeros(0, dtype=torch.long), 0
    possible = torch.cat([run[: len(run) - lead] for run in runs if len(run) > lead])
    wanted = max(1, min(MOST_STARTS, STEPS // lead, len(possible)))
    chosen = torch.linspace(0, len(possible) - 1, wanted).round().long()
    return possible[chosen], lead


def _runs(usable: Int[Tensor, " frame"], block: range) -> tuple[Int[Tensor, " run"], ...]:
    """Frames of a block, parted where they do not follow one another."""
    frames = usable[block.start : block.stop]
    return frames.tensor_split(torch.nonzero(frames.diff() != 1)[:, 0] + 1)


def _of_rate(rate: Baseline) -> Step:
    return lambda _, x: rate(x)


def _of_model(model: AssemblyGNN, recording: Recording, starts: Int[Tensor, " start"]) -> Step:
    drift: Any = model.as_drift()
    return lambda k, x: drift(recording.times(starts + k), x)


def _errors(
    step: Step,
    truth: Float[Tensor, "frame start neuron"],
    mean: Float[Tensor, " neuron"],
    times: Float[Tensor, "lead start 1"],
    limit: float,
) -> Float[Tensor, "lead start"]:
    """Mean squared errors of forecasts; neurons that are not seen start at their mean."""
    x = torch.where(truth[0].isnan(), mean.to(truth.dtype), truth[0])
    errors = []
    for k, now in enumerate(truth[1:]):
        x = x + times[k] * step(k, x)
        diverged = ~(x.abs() <= limit).all(-1, keepdim=True)
        x = x.masked_fill(diverged, torch.nan)
        errors.append((x - now).double().square().where(now.isfinite(), torch.nan).nanmean(-1))
    return torch.stack(errors)


def _stored(values: Float[Tensor, "*some lead start"]) -> Any:  # noqa: ANN401
    return values.mT.float().cpu().numpy()
