r"""Stability of W: its rows from either half of the training frames, psi* as it was learned.

For a given psi*, least squares for W and phi of all rows is a few matrix products
(:mod:`.all_rows`), so W can be found again from the first and from the second half of the training
frames, whichever solver found psi*. If the recording determines W, the halves agree, but for noise,
which is twice that of W in squares. Where sessions see different neurons, the halves are those of
every session, so that both see the same pairs (:mod:`.session_rows`).
"""

import torch
from jaxtyping import Float
from torch import Tensor

from ngpipe.assembly.closed_form.accumulate import gram_moment, solve_rows
from ngpipe.assembly.closed_form.chosen_frames import Equations
from ngpipe.assembly.closed_form.rows import Gram
from ngpipe.assembly.closed_form.session_parts import halves_of, session_parts
from ngpipe.assembly.closed_form.session_rows import Parts, solved
from ngpipe.assembly.closed_form.session_weights import weighed
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

    Returns:
        W; where sessions see different neurons, NaN for pairs that none sees together.

    Raises:
        DivergenceError: half of the recording has too few frames, or directions, for a row of W.
    """
    axis = {"unit": model.scales.bend, "reach": model.scales.reach}
    phi, psi = Spline(PHI_BASIS, **axis), Spline(PSI_BASIS, **axis)
    if recording.sessions is None:
        weights = _of_all(model, frames_of(model, recording, phi), psi, ridge)
    else:
        weights = _of_sessions(model, recording, phi, psi, ridge)
    weights.diagonal(dim1=1, dim2=2).zero_()  # but for rounding it is
    return weights


def _of_all(
    model: AssemblyGNN, whole: Equations, psi: Spline, ridge: float
) -> Float[Tensor, "half post pre"]:
    """The same of a recording in which every frame sees all neurons."""
    middle = len(whole) // 2
    _refuse_few(middle, len(whole), model)
    weights = torch.zeros(2, *model.V.shape, dtype=torch.float64, device=model.V.device)
    groups = receiver_groups(model)
    for k in range(int(groups.max()) + 1):
        members = torch.nonzero(groups == k)[:, 0]
        transfer = transfer_of(model, members, psi)
        for half, part in enumerate((slice(0, middle), slice(middle, None))):
            equations = whole.part(part)
            gram = Gram(gram_moment(equations, transfer), ridge)
            for rows, normal in solve_rows(equations, transfer, members, gram):
                weights[half, rows] = normal.solve().weights
    return weights


def _of_sessions(
    model: AssemblyGNN, recording: Recording, phi: Spline, psi: Spline, ridge: float
) -> Float[Tensor, "half post pre"]:
    """The same from the first and from the second half of every session."""
    counts = recording.pairs_seen()
    fewest = int(counts.diagonal().min())
    _refuse_few(fewest // 2, fewest, model)
    everyone = torch.arange(model.n_neurons, device=model.V.device)
    transfer = transfer_of(model, everyone, psi)
    whole = session_parts(recording, recording.training_frames, phi, transfer)
    parts = weighed(Parts(whole, len(everyone), ridge), recording)
    # What is expected of unseen senders in both halves would miss in either the opposite.
    each = [Parts(half, len(everyone), ridge) for half in halves_of(whole)]
    halved = [half.under(parts.shrinkage, parts.persistence) for half in each]
    weights = torch.stack([solved(half, everyone)[0] for half in halved])
    weights[:, counts.to(weights.device) == 0] = torch.nan
    return weights


def _refuse_few(half: int, n_frames: int, model: AssemblyGNN) -> None:
    if half < FEWEST * (model.n_neurons + PHI_BASIS):
        raise DivergenceError(
            f"half of the {n_frames} training frames are too few for the {model.n_neurons} "
            "weights of a row"
        )
