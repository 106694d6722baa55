"""A hidden input that was found on knots, as the field of the model."""

import torch
from jaxtyping import Float
from torch import Tensor

from ngpipe.assembly.closed_form.hidden import KnottedInput
from ngpipe.assembly.closed_form.step_size import fall
from ngpipe.assembly.closed_form.transfer import Report
from ngpipe.assembly.field import Field
from ngpipe.assembly.gauge import image_from_rows

POINTS = 4096
"""Most places in space and time per step."""
RATE = 2e-3


def fit_field(
    field: Field,
    weights: Float[Tensor, "post pre"],
    found: KnottedInput,
    *,
    steps: int,
    generator: torch.Generator,
    report: Report,
) -> Float[Tensor, "post 1"]:
    """Fit the field to an input on knots; returns what the rows of W are to be multiplied by.

    A multiplicative input has geometric mean 1 at every site: its image is first taken from the
    rows of W, as in :mod:`ngpipe.assembly.gauge`, so that it is smooth enough for a network; what
    the network then misses of a site's mean goes into the site's row.

    Args:
        field: an untrained field; changed in place.
        weights: W, rows in the scale of the input.
        found: the input.
        steps: of Adam.
        generator: draws sites and knots.
        report: told how far the fit is, and the last loss.
    """
    multiplicative = found.mode == "multiplicative"
    wanted = found.values.log() if multiplicative else found.values / field.rate
    image = image_from_rows(weights, field)[0][:, None] if multiplicative else 0.0
    wanted = (wanted + image).float()
    knots = torch.linspace(0, field.duration, found.hats.n, device=wanted.device)
    points = min(POINTS, wanted.numel())
    optimizer = torch.optim.Adam(field.siren.parameters())
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * fall(step / steps)
        site = torch.randint(wanted.shape[0], (points,), generator=generator).to(wanted.device)
        knot = torch.randint(wanted.shape[1], (points,), generator=generator).to(wanted.device)
        learned = field.siren(field.coordinates(site, knots[knot]))
        loss = (learned - wanted[site, knot]).square().mean() / wanted.var()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        report("field", done=step + 1, of=steps)
    report("field", loss=float(loss.detach()))
    factor = weights.new_ones(len(weights))
    if multiplicative:
        with torch.no_grad():
            learned = field(knots).log().T
        factor[found.driven] = (found.values.log() - learned).mean(1).exp().to(factor)
    return factor[:, None]
