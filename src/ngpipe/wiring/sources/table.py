"""All sources of a connectome: the config section of each, with the reader that it describes."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ngpipe.config.wiring import (
    CelegansSource,
    GeneratedSource,
    OpticLobeSource,
    Source,
    SynapseSource,
    SyntheticSource,
    TableSource,
)
from ngpipe.wiring.container import Connectome
from ngpipe.wiring.sources.generated import generated
from ngpipe.wiring.sources.named import celegans, optic_lobe
from ngpipe.wiring.sources.synapses import RELEASES, read_synapses
from ngpipe.wiring.sources.synthetic_synapses import synthetic
from ngpipe.wiring.sources.tables import read


def read_source(source: Source) -> Connectome:
    """The connectome that a section `connectome.source` describes, read or drawn.

    Raises:
        StoreError: a file that is not there or cannot be read, with the ways to get it.
        ConnectomeError: a connectome that contradicts itself.
    """
    return SOURCES[type(source)](source)


def _table(source: TableSource) -> Connectome:
    named = source.model_fields_set - {"kind", "path", "neurons", "unit"}
    layout = {name: getattr(source, name) for name in named}
    return read(source.path, source.neurons, unit=source.unit, **layout)


def _synapses(source: SynapseSource) -> Connectome:
    columns: dict[str, Any] = {str(name): value for name, value in source.columns.items()}
    release = replace(RELEASES[source.release], **columns)
    return read_synapses(
        source.synapses,
        source.cells,
        release,
        source.filters,
        weight=source.weight,
        verify=source.verify,
    )


def _synthetic(source: SyntheticSource) -> Connectome:
    options = source.model_dump(exclude={"kind", "seed", "filters"})
    return synthetic(np.random.default_rng(source.seed), source.filters, **options)


SOURCES: Mapping[type, Callable[[Any], Connectome]] = {
    GeneratedSource: lambda s: generated(np.random.default_rng(s.seed), radius=s.radius),
    OpticLobeSource: lambda s: optic_lobe(s.path, radius=s.radius, fill=s.fill),
    CelegansSource: lambda s: celegans(s.path, positions=s.positions),
    TableSource: _table,
    SynapseSource: _synapses,
    SyntheticSource: _synthetic,
}
"""Readers by section; a kind of the union `Source` is read by the one here."""
