"""Gradients averaged over noisy inputs."""

from typing import Any

import torch
import xarray as xr

from ngpipe.connectome import labels
from ngpipe.connectome.explanation.attribution import gradients
from ngpipe.connectome.explanation.copies import Objective, pieces, repeated, values
from ngpipe.connectome.groups import check_count
from ngpipe.connectome.network import MultilayeredNetwork
from ngpipe.errors import ArgumentError


def smoothgrad(  # noqa: PLR0913 (a call that names all it depends on)
    network: MultilayeredNetwork,
    inputs: Any,  # noqa: ANN401
    objective: Objective,
    *,
    noise: float,
    samples: int,
    generator: torch.Generator,
    squared: bool = False,
    surrogate: bool = False,
    chunk: int | None = None,
) -> xr.Dataset:
    r"""Mean gradient of an objective by noisy inputs.

    .. math::
        G = \frac{1}{n} \sum_{k=1}^{n} \nabla F(u + \sigma \epsilon_k),
        \qquad \epsilon_k \sim \mathcal{N}(0, 1)

    All samples get the same noise, so that none depends on the others of its batch and differences
    between them are not of the noise. Where F jumps, at thresholds, the mean of gradients is not
    the gradient of the mean: jumps are left out, as by any gradient.

    Args:
        network: the network.
        inputs: ``(sensor, time)`` or ``(sample, sensor, time)``.
        objective: one number a sample.
        noise: standard deviation of the noise [1].
        samples: noisy inputs, n.
        generator: of the noise.
        squared: mean of squared gradients instead.
        surrogate: let gradients pass thresholds and bounds.
        chunk: noisy inputs that are run at once; default: as many as fit into some memory.

    Returns:
        ``gradient`` and ``spread``, the standard deviation over noisy inputs of what is averaged,
        both (sample, sensor, time).

    Raises:
        ArgumentError: noise below 0, no samples, inputs or an objective of the wrong shape.
        DivergenceError: an objective that is not finite.

    Source: Smilkov et al. 2017, arXiv:1706.03825.
    """
    if not noise >= 0:
        raise ArgumentError(f"noise is {noise}, expected a standard deviation of at least 0")
    samples = check_count("samples", samples, 1)
    batch, _ = network.as_inputs(inputs)
    first = torch.zeros_like(batch, dtype=torch.float64)
    second = torch.zeros_like(first)
    for piece in pieces(samples, network, len(batch), chunk):
        shape = batch.shape[1:]
        drawn = [torch.randn(shape, generator=generator, device=generator.device) for _ in piece]
        added = noise * torch.stack(drawn).to(batch).repeat_interleave(len(batch), dim=0)
        u = (repeated(batch.detach(), len(piece)) + added).requires_grad_(True)
        signal = values(objective, network.run(u, surrogate=surrogate), len(batch)).sum()
        found = gradients(signal, [u])[0].double()
        found = (found.square() if squared else found).unflatten(0, (len(piece), -1))
        first += found.sum(0)
        second += found.square().sum(0)
    mean = first / samples
    spread = (second / samples - mean.square()).clamp(min=0).sqrt()
    coords, dims = labels.sensor_coords(network), ("sample", "sensor", "time")
    what = "squared gradient" if squared else "gradient"
    return xr.Dataset(
        {
            "gradient": labels.labelled(mean.to(batch), dims, coords, f"mean {what}"),
            "spread": labels.labelled(spread.to(batch), dims, coords, f"spread of the {what}"),
        }
    )
