"""All nulls by name: records of :mod:`ngpipe.config.nulls`, with the functions that draw them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from ngpipe.config.nulls import NullKind
from ngpipe.wiring.container import Connectome
from ngpipe.wiring.nulls import permuting, rewiring, signs
from ngpipe.wiring.nulls.drawn import Rng


@dataclass(frozen=True)
class Null:
    """A null that can be drawn.

    Attributes:
        kind: its record: what it keeps, draws anew and needs.
        draw: (connectome, rng) -> one sample.
    """

    kind: NullKind
    draw: Callable[..., Connectome]

    def sample(self, connectome: Connectome, rng: Rng, **options: object) -> Connectome:
        """One sample, heeding those options that this null takes.

        Args:
            connectome: the one observed.
            rng: source of all draws.
            **options: ``sweeps`` of exchanges (None: enough), ``certainty`` of a known sign.

        Raises:
            ConnectomeError: the connectome lacks what the null needs.
        """
        taken = {name: options[name] for name in self.kind.takes if name in options}
        return self.draw(connectome, rng, **taken)


NULLS: Mapping[str, Null] = {
    kind.name: Null(kind, partial(getattr(module, kind.draws), **kind.options))
    for module in (permuting, rewiring, signs)
    for kind in module.KINDS
}
"""Every null that needs a connectome and a generator, and nothing else."""


def samples(connectome: Connectome, name: str, draws: int, seed: int) -> Iterator[Connectome]:
    """Samples of a null, drawn as they are asked for; each null has a generator of its own.

    Args:
        connectome: the one observed.
        name: of the null.
        draws: number of samples.
        seed: of all nulls that are compared with together.

    Raises:
        ConnectomeError: the connectome lacks what the null needs.
    """
    rng = np.random.default_rng([seed, *name.encode()])
    for _ in range(draws):
        yield NULLS[name].sample(connectome, rng)
