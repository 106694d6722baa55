"""Circuits of exclusive or in a table of two layers, under connectome_interpreter's names."""

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import pandas as pd

from ngpipe.connectome.checks import check_columns
from ngpipe.errors import ArgumentError


@dataclass
class XORCircuit:
    """Two inputs, each exciting an output through one neuron, both inhibiting it through another.

    Attributes:
        input1: neurons that excite ``exciter1`` and the inhibitor, and not ``exciter2``.
        input2: neurons that excite ``exciter2`` and the inhibitor, and not ``exciter1``.
        exciter1: passes on the first input.
        exciter2: passes on the second input.
        inhibitor: passes on both.
        output: neurons that all three reach.
    """

    input1: list
    input2: list
    exciter1: Any
    exciter2: Any
    inhibitor: Any
    output: list


def find_xor(paths: pd.DataFrame) -> list[XORCircuit]:
    r"""Circuits that answer one of two inputs, but not both together.

    With U(m) the neurons before m in layer 1 and D(m) those behind it in layer 2: two excitatory
    neurons a, b and an inhibitory one c of the middle with

    .. math::
        (U(a) \setminus U(b)) \cap U(c) \ne \emptyset, \qquad
        (U(b) \setminus U(a)) \cap U(c) \ne \emptyset, \qquad
        D(a) \cap D(b) \cap D(c) \ne \emptyset

    Excitatory neurons of the middle that get both inputs are not looked at. Signs of layer 1 do not
    count.

    Differs from connectome_interpreter: neurons of a circuit are in the order of the table.

    Args:
        paths: columns pre, post, sign (1 or -1), layer (1 and 2).

    Returns:
        One for each a, b, c, by the order in which these are met.

    Raises:
        ArgumentError: missing columns, other layers or signs.

    Source: Wang et al. 2024, bioRxiv 2024.09.24.614724.
    """
    check_columns(paths, ["pre", "post", "sign", "layer"], "paths: DataFrame")
    for name, expected in (("layer", {1, 2}), ("sign", {1, -1})):
        found = set(paths[name])
        if not found <= expected or (name == "layer" and found != expected):
            raise ArgumentError(
                f"paths have {sorted(found)} as {name}, expected {sorted(expected)}; number the "
                "layers from 1 and give senders their signs"
            )
    before = _listed(paths[paths["layer"] == 1], "post", "pre")
    second = paths[paths["layer"] == 2]
    behind = _listed(second, "pre", "post")
    exciters, inhibitors = (second["pre"][second["sign"] == s].unique() for s in (1, -1))
    circuits = []
    for a, b in combinations(exciters, 2):
        first, last = before.get(a, []), before.get(b, [])
        both = [node for node in behind[a] if node in behind[b]]
        for c in inhibitors if both else []:
            inputs = before.get(c, [])
            input1 = [node for node in first if node in inputs and node not in last]
            input2 = [node for node in last if node in inputs and node not in first]
            output = [node for node in both if node in behind[c]]
            if input1 and input2 and output:
                circuits.append(XORCircuit(input1, input2, a, b, c, output))
    return circuits


def _listed(edges: pd.DataFrame, at: str, other: str) -> dict[Any, list]:
    """Neurons at the other end of each neuron's edges, each once."""
    return {node: list(dict.fromkeys(rows)) for node, rows in edges.groupby(at)[other]}
