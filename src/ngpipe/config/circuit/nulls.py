"""Nulls that sections of the circuit system name."""

from collections.abc import Mapping
from typing import Literal

NullName = Literal[
    "permuted_connections",
    "permuted_without_autapses",
    "permuted_weights",
    "degree",
    "degree_and_reciprocity",
    "distance",
    "erdos_renyi",
]
EXCHANGING: Mapping[NullName, str] = {"degree": "degree", "degree_and_reciprocity": "reciprocity"}
"""Nulls that exchange partners, by what they keep in :func:`ngpipe.wiring.nulls.models.mixing`."""
SWEEPS = (
    "Sweeps of exchanges for the nulls `degree` and `degree_and_reciprocity`. Null: 10 to 80, as "
    "long as more sweeps lower the overlap with the connectome."
)
