"""Choice of the trained parameters of a network, for the duration of a block."""

import contextlib
from collections.abc import Iterator

from ngpipe.connectome.network import MultilayeredNetwork


@contextlib.contextmanager
def training_mode(
    model: MultilayeredNetwork,
    train_slopes: bool = True,
    train_biases: bool = True,
    divisive_strength: bool = True,
    train_tau: bool | None = None,
    train_strengths: bool = False,
) -> Iterator[MultilayeredNetwork]:
    """Parameters that are trained within a block; what was before comes back after it.

    Without a word on it, tau is trained with ``preset="head"`` and no other.
    """
    train_tau = model.rules.procedure == "head" if train_tau is None else train_tau
    before = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    model.set_param_grads(train_slopes, train_biases, divisive_strength, train_tau, train_strengths)
    try:
        yield model
    finally:
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(before.get(name, False))
