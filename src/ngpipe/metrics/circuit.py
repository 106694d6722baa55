"""Times to baseline of a circuit and of what it is compared with, as tidy metrics."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ngpipe.metrics.tidy import scores
from ngpipe.wiring.container import Connectome
from ngpipe.wiring.nulls.motifs import pair_counts


def score_connectome(connectome: Connectome) -> pd.DataFrame:
    """Numbers of neurons, connections and reciprocal pairs, and the density without autapses."""
    n, pairs = len(connectome), pair_counts(connectome).to_dict()
    between = connectome.n_edges - pairs["autapse"]
    values = {
        "neurons": n,
        "connections": connectome.n_edges,
        "autapses": pairs["autapse"],
        "reciprocal_pairs": pairs["reciprocal"],
        "density": between / max(1, n * (n - 1)),
    }
    return scores("connectome", values, n)


def score_condition(name: str, runs: pd.DataFrame) -> pd.DataFrame:
    """Mean and spread of the times of the runs of one condition that are ok, and how many are not.

    Args:
        name: of the condition.
        runs: of :func:`ngpipe.circuit.measures.measure`.
    """
    known = runs["time_to_baseline"].dropna()
    status = runs["status"].value_counts()
    values = {
        "time_to_baseline": known.mean() if len(known) else np.nan,
        "time_to_baseline_std": known.std() if len(known) > 1 else np.nan,
        "eigenvalue": runs["eigenvalue"].mean(),
        **{
            word: int(status.get(word, 0))
            for word in ("ok", "censored", "diverging", "no_response")
        },
    }
    return scores(f"condition_{name}", values, len(runs))


def score_comparison(compared: Mapping[str, Any]) -> pd.DataFrame:
    """Circuits of one condition (``of``) beside those of another (``condition``), in pairs.

    Args:
        compared: both names, and what :func:`ngpipe.circuit.measures.compare` says of them.
    """
    wanted = ("difference", "difference_std", "effect", "dominance", "p")
    quantity = f"{compared['of']}_against_{compared['condition']}"
    return scores(quantity, {word: compared[word] for word in wanted}, int(compared["pairs"]))
