"""A connectome, named, generated or read -> ``connectome.zarr``."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ngpipe.artifacts.progress import say_notes
from ngpipe.config.wiring import (
    CelegansSource,
    GeneratedSource,
    OpticLobeSource,
    Source,
    SynapseSource,
    SyntheticSource,
    TableSource,
    Wiring,
)
from ngpipe.wiring.container import Connectome
from ngpipe.wiring.sources.generated import generated
from ngpipe.wiring.sources.named import celegans, optic_lobe
from ngpipe.wiring.sources.opened import noting
from ngpipe.wiring.sources.synapses import RELEASES, read_synapses
from ngpipe.wiring.sources.synthetic_synapses import synthetic
from ngpipe.wiring.sources.tables import read


def run(cfg: Wiring, directory: Path, *, key: str) -> None:
    """Write a connectome, each weight with the sign of its sender.

    Args:
        cfg: where it comes from, and what senders without a known sign do.
        directory: the store goes there.
        key: chain key.

    Raises:
        StoreError: a source that is not there, with the ways to get it.
        ConnectomeError: one that contradicts itself.
    """
    with noting() as shown:
        connectome = _read(cfg.source).signed(cfg.without_sign)
    say_notes("wire", connectome.notes, shown)
    connectome.save(directory / "connectome.zarr", key, cfg.model_dump(mode="json"))


def _read(source: Source) -> Connectome:
    match source:
        case GeneratedSource():
            return generated(np.random.default_rng(source.seed), radius=source.radius)
        case OpticLobeSource():
            return optic_lobe(source.path, radius=source.radius, fill=source.fill)
        case CelegansSource():
            return celegans(source.path)
        case TableSource():
            named = source.model_fields_set - {"kind", "path", "neurons", "unit"}
            layout = {name: getattr(source, name) for name in named}
            return read(source.path, source.neurons, unit=source.unit, **layout)
        case SyntheticSource():
            options = source.model_dump(exclude={"kind", "seed", "filters"})
            rng = np.random.default_rng(source.seed)
            return synthetic(rng, source.filters, **options)
        case SynapseSource():
            columns: dict[str, Any] = {str(name): value for name, value in source.columns.items()}
            release = replace(RELEASES[source.release], **columns)
            options = {"weight": source.weight, "verify": source.verify}
            return read_synapses(source.synapses, source.cells, release, source.filters, **options)
    raise TypeError(f"no reader of {type(source).__name__}")
