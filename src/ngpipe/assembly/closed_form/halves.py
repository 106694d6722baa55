r"""Stability of W: its rows from either half of the training frames, psi* as it was learned.

For a given psi*, least squares for W and phi of all rows is a few matrix products
(:mod:`.all_rows`), so W can be found again from the first and from the second half of the training
frames, whichever solver found psi*. If the recording determines W, the halves agree, but for noise,
which is twice that of W in squares.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from ngpipe.assembly.closed_form.accumulate import gram_moment, solve_rows
from ngpipe.assembly.closed_form.rows import Gram
from ngpipe.assembly.closed_form.spline import Spline
from ngpipe.assembly.closed_form.trained import (
    FEWEST,
    PHI_BASIS,
    PSI_BASIS,
    RIDGE,
    frames_of,
    receiver_groups,
    transfer_of,
)
from ngpipe.assembly.gnn import AssemblyGNN
from ngpipe.assembly.recording import Recording
from ngpipe.errors import DivergenceError


@torch.no_grad()
def halves(
    model: AssemblyGNN, recording: Recording, ridge: float = RIDGE
) -> Float[Tensor, "half post pre"]:
    """W from the first and from the second half of the training frames [1/tau].

    Args:
        model: the trained model, whose psi* and input are kept.
        recording: what it was trained on.
        ridge: that W was solved with, relative to the mean diagonal of the Gram matrix.

    Raises:
        DivergenceError: half of the recording has too few frames, or directions, for a row of W;
            or sessions lack some of the neurons.
    """
    if recording.sessions is not None:
        raise DivergenceError("its sessions see different neurons")
    axis = {"unit": model.scales.bend, "reach": model.scales.reach}
    whole = frames_of(model, recording, Spline(PHI_BASIS, **axis))
    middle = len(whole) // 2
    if middle < FEWEST * (model.n_neurons + PHI_BASIS):
        raise DivergenceError(
            f"half of the {len(whole)} training frames are too few for the {model.n_neurons} "
            "weights of a row"
        )
    weights = torch.zeros(2, *model.V.shape, dtype=torch.float64, device=model.V.device)
    groups = receiver_groups(model)
    for k in range(int(groups.max()) + 1):
        members = torch.nonzero(groups == k)[:, 0]
        transfer = transfer_of(model, members, Spline(PSI_BASIS, **axis))
        for half, part in enumerate((slice(0, middle), slice(middle, None))):
            equations = whole.part(part)
            gram = Gram(gram_moment(equations, transfer), ridge)
            for rows, normal in solve_rows(equations, transfer, members, gram):
                weights[half, rows] = normal.solve().weights
    weights.diagonal(dim1=1, dim2=2).zero_()  # but for rounding it is
    return weights
