"""Circuits of an experiment: one for every condition and seed."""

from collections.abc import Iterator

import numpy as np

from ngpipe.circuit.blocks import (
    Circuit,
    RandomPart,
    circuit,
    draw,
    notebook_draw,
)
from ngpipe.config.base import OBSERVED
from ngpipe.config.circuit.blocks import CircuitParameters
from ngpipe.config.circuit.conditions import Condition
from ngpipe.config.circuit.runs import CircuitRuns, Runs
from ngpipe.errors import ConnectomeError
from ngpipe.wiring.container import Connectome
from ngpipe.wiring.nulls.ablations import matched_removal, without_reciprocal
from ngpipe.wiring.nulls.drawn import Rng
from ngpipe.wiring.nulls.table import NULLS

SHUFFLES = ("permuted_connections", "permuted_weights")
"""The notebook's own nulls, which it draws from a RandomState."""


Drawn = dict[tuple[str, int], Connectome]
"""Connectomes by condition and seed."""


def connectomes(connectome: Connectome, experiment: CircuitRuns) -> Drawn:
    """Connectomes to run: the observed one, and those of all conditions.

    Raises:
        ConnectomeError: a null or an ablation that cannot be had of this connectome.
    """
    found: Drawn = {(OBSERVED, seed): connectome for seed in seeds(experiment.runs)}
    for name, condition in experiment.conditions.items():
        for seed in seeds(experiment.runs):
            try:
                found[name, seed] = altered(connectome, condition, experiment.runs, seed)
            except ConnectomeError as error:
                raise ConnectomeError(f"conditions.{name}, seed {seed}: {error}") from error
    return found


def circuits(
    drawn: Drawn, parameters: CircuitParameters, runs: Runs
) -> Iterator[tuple[str, int, Circuit]]:
    """Condition, seed and circuit of every run, seed by seed.

    Runs of one seed share the random part of the network: they are pairs.

    Raises:
        ArgumentError: connections that inhibit.
    """
    conditions = list(dict.fromkeys(name for name, _ in drawn))
    n_exc = len(drawn[OBSERVED, runs.seed])
    for seed in seeds(runs):
        part = random_part(n_exc, parameters, runs, seed)
        for name in conditions:
            measured = drawn[name, seed].weights.toarray()
            yield name, seed, circuit(measured, part, parameters)


def seeds(cfg: Runs) -> range:
    """Seeds of all runs of a condition."""
    return range(cfg.seed, cfg.seed + cfg.seeds)


def random_part(n_exc: int, parameters: CircuitParameters, cfg: Runs, seed: int) -> RandomPart:
    """The random connections of one seed."""
    if cfg.draws == "notebook":
        return notebook_draw(n_exc, parameters, seed)
    return draw(n_exc, parameters, np.random.default_rng(seed))


def altered(connectome: Connectome, condition: Condition, cfg: Runs, seed: int) -> Connectome:
    """The connectome of a condition: shuffled, then ablated.

    The other way round, a shuffle of connections would make reciprocal pairs anew. What is drawn
    depends on the seed and on what is done, so conditions that share a shuffle or an ablation are
    pairs; only the notebook's shuffles draw what the notebook draws.

    Args:
        connectome: the one observed.
        condition: what is done to it.
        cfg: whose streams are drawn from.
        seed: of the run.

    Raises:
        ConnectomeError: the null or the ablation cannot be had of this connectome.
    """
    if condition.shuffle is not None:
        as_notebook = cfg.draws == "notebook" and condition.shuffle in SHUFFLES
        rng: Rng = np.random.RandomState(seed) if as_notebook else _rng(seed, condition.shuffle)
        connectome = NULLS[condition.shuffle].sample(connectome, rng, sweeps=condition.sweeps)
    if condition.remove is None:
        return connectome
    rng = _rng(seed, condition.remove)
    ablated = without_reciprocal(connectome, rng, remove=condition.remove)
    if condition.match is None:
        return ablated
    rng = _rng(seed, f"match {condition.match}")
    return matched_removal(connectome, ablated, rng, match=condition.match)


def _rng(seed: int, what: str) -> np.random.Generator:
    """A stream of its own for whatever is done."""
    return np.random.default_rng([seed, *what.encode()])
