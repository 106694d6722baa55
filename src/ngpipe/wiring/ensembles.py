"""Random connectivity ensembles: draw ``W[post, pre]`` as a config section describes it."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from ngpipe.config.assembly.connectivity import (
    Block,
    Connectivity,
    File,
    Gaussian,
    Lorentz,
    LowRank,
)
from ngpipe.wiring.matrix import read_noted

Weights = Float[np.ndarray, "post pre"]


def weights(cfg: Connectivity, n_neurons: int) -> Weights:
    """The weights of :func:`noted_weights`, without its notes."""
    return noted_weights(cfg, n_neurons)[0]


def noted_weights(cfg: Connectivity, n_neurons: int) -> tuple[Weights, tuple[str, ...]]:
    """Draw or read the weights: shape ``(n_neurons, n_neurons)``, zero diagonal, float32 [1].

    Draws come in a fixed order (values, then which connections exist), so that a filling factor
    or Dale's law changes nothing but what it names. Notes say what was added up or is doubtful in
    a file.

    Raises:
        ConfigError: a file that is missing, unreadable or of another size.
    """
    if isinstance(cfg, File):
        return read_noted(cfg, n_neurons)
    rng = np.random.default_rng(cfg.seed)
    matrix = ENSEMBLES[type(cfg)](cfg, n_neurons, rng)
    if cfg.filling < 1:
        matrix = np.where(rng.random(matrix.shape) < cfg.filling, matrix, 0.0)
    if cfg.excitatory is not None:
        matrix = _dale(matrix, cfg.excitatory)
    np.fill_diagonal(matrix, 0.0)
    return matrix.astype(np.float32), ()


def _gaussian(cfg: Gaussian, n: int, rng: np.random.Generator) -> Weights:
    return rng.normal(0.0, cfg.std or n**-0.5, (n, n))


def _low_rank(cfg: LowRank, n: int, rng: np.random.Generator) -> Weights:
    left, right = rng.normal(size=(2, n, cfg.rank))
    return left @ right.T / np.sqrt(cfg.rank * n)


def _lorentz(cfg: Lorentz, n: int, rng: np.random.Generator) -> Weights:
    r"""Cauchy weights :math:`C_{ij} / N^p`, with :math:`|C_{ij}|` beyond the cutoff set to 0."""
    exponent = cfg.exponent or lorentz_exponent(n)
    draws = rng.standard_cauchy((n, n))
    return np.where(np.abs(draws) > cfg.cutoff, 0.0, draws) / n**exponent


def lorentz_exponent(n_neurons: int) -> float:
    """The paper's exponent p for an assembly of this size (reference implementation)."""
    for below, exponent in [(2000, 0.7), (4000, 0.675), (8000, 0.67), (8001, 0.66)]:
        if n_neurons < below:
            return exponent
    return 0.5


def _block(cfg: Block, n: int, rng: np.random.Generator) -> Weights:
    block = np.arange(n) * cfg.n_blocks // n
    probability = np.where(block[:, None] == block[None, :], cfg.within, cfg.between)
    values = rng.normal(0.0, cfg.std or n**-0.5, (n, n))
    return np.where(rng.random((n, n)) < probability, values, 0.0)


ENSEMBLES: Mapping[type, Callable[[Any, int, np.random.Generator], Weights]] = {
    Lorentz: _lorentz,
    Gaussian: _gaussian,
    LowRank: _low_rank,
    Block: _block,
}
"""Draws by section: (section, number of neurons, generator) -> weights."""


def _dale(matrix: Weights, excitatory: float) -> Weights:
    """Dale's law: every column (sender) has one sign, the first ``excitatory`` share positive."""
    n = len(matrix)
    sign = np.where(np.arange(n) < round(excitatory * n), 1.0, -1.0)
    return np.abs(matrix) * sign[None, :]
