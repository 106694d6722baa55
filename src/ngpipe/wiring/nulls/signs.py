"""Signs of senders drawn from what is known of their transmitters: uncertainty as a null."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from jaxtyping import Float

from ngpipe.config.nulls import NullKind
from ngpipe.errors import ConnectomeError
from ngpipe.wiring.container import Connectome
from ngpipe.wiring.edges import few
from ngpipe.wiring.nulls import swaps

KINDS = (
    NullKind(
        "signs",
        keeps="which neurons are connected; sizes of all weights; one sign a sender",
        renews="the sign of each sender, so the balance of excitation and inhibition",
        draws="uncertain_signs",
        takes=("certainty",),
        needs=("signs",),
        changes_signs=True,
    ),
)


def uncertain_signs(
    connectome: Connectome, rng: np.random.Generator, *, certainty: float = 0.9
) -> Connectome:
    """Each sender keeps its sign with a probability, and has the other one else.

    Args:
        connectome: signed.
        rng: source of all draws.
        certainty: probability that a known sign is right.

    Raises:
        ConnectomeError: a certainty that is not in [0, 1], or a neuron that sends both signs.
    """
    excites = swaps.sender_classes(connectome) > 0
    return sampled_signs(connectome, np.where(excites, certainty, 1 - certainty), rng)


def sampled_signs(
    connectome: Connectome,
    excitatory: Mapping[object, float] | Float[np.ndarray, " neuron"],
    rng: np.random.Generator,
    *,
    by: str = "id",
) -> Connectome:
    """Signs of senders drawn from their probabilities; the weights returned have these signs.

    Keeps: which neurons are connected, the sizes of all weights, Dale's law (one sign a sender).
    Does not keep: the signs, hence the balance of excitation and inhibition.

    Args:
        connectome: signed or not; signs it has are dropped.
        excitatory: probability that a neuron excites, for each neuron or, as a mapping, for each
            value of ``by``; :func:`excitatory_probability` makes it from calls of transmitters.
        rng: source of all draws.
        by: column of the neuron table whose values share one draw, such as ``cell_type``.

    Raises:
        ConnectomeError: probabilities that are missing or not in [0, 1], or that differ among
            neurons that share a draw.
    """
    labels = connectome.column(by)
    codes, values = pd.factorize(labels)
    if (codes < 0).any():
        raise ConnectomeError(
            f"{(codes < 0).sum()} neurons have no '{by}', so no probability; fill that column"
        )
    p = _probabilities(connectome, excitatory, codes, values)
    sign = np.where(rng.random(len(values)) < p, 1.0, -1.0)[codes]
    drawn = connectome.mapped(np.abs).described(sign=sign).signed()
    return replace(drawn, origin=connectome.origin.noted(f"signs sampled by {by}"))


def excitatory_probability(
    transmitters: pd.DataFrame, signs: Mapping[str, int]
) -> Float[np.ndarray, " neuron"]:
    """Probability that each neuron excites, from the probabilities of its transmitters.

    The sum over excitatory transmitters, over the sum over all that ``signs`` names.

    Args:
        transmitters: one column of probabilities for each transmitter, one row for each neuron.
        signs: +1 or -1 for each transmitter that counts.

    Raises:
        ConnectomeError: a transmitter without a column, or a neuron without any probability.
    """
    missing = [name for name in signs if name not in transmitters]
    if missing:
        raise ConnectomeError(
            f"no column for the transmitters {missing}; the table has {list(transmitters)}"
        )
    values = transmitters[list(signs)].to_numpy(np.float64, na_value=0.0)
    total = values.sum(axis=1)
    if (total <= 0).any():
        raise ConnectomeError(
            f"{(total <= 0).sum()} rows, the first {np.flatnonzero(total <= 0)[0]}, give no "
            f"probability to any of {list(signs)}; leave those neurons out, or give them one"
        )
    return values @ (np.array(list(signs.values())) > 0) / total


def _probabilities(
    connectome: Connectome,
    given: Mapping[object, float] | np.ndarray,
    codes: np.ndarray,
    values: pd.Index | np.ndarray,
) -> np.ndarray:
    """One probability for each value that shares a draw."""
    if isinstance(given, Mapping):
        p = np.array([given.get(value, np.nan) for value in values], dtype=np.float64)
    else:
        each = np.asarray(given, dtype=np.float64)
        if each.shape != (len(connectome),):
            raise ConnectomeError(
                f"probabilities of shape {each.shape}, expected ({len(connectome)},), one for each "
                "neuron"
            )
        p = np.full(len(values), np.nan)
        p[codes] = each
        if not np.array_equal(p[codes], each, equal_nan=True):
            raise ConnectomeError(
                "neurons that share a draw have different probabilities; give a mapping with one "
                "for each value"
            )
    wrong = ~((p >= 0) & (p <= 1))
    if wrong.any():
        raise ConnectomeError(
            f"the probability to excite of {few(np.asarray(values)[wrong])} is {few(p[wrong])}, "
            "expected a number from 0 to 1"
        )
    return p
