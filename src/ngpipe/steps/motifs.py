"""Motifs of a connectome against nulls, and how well the nulls are mixed, as tables."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from ngpipe import store
from ngpipe.config.circuit import EXCHANGING, Motifs
from ngpipe.steps.progress import progress
from ngpipe.wiring.connectome import Connectome
from ngpipe.wiring.motifs import motif_counts, motif_scores
from ngpipe.wiring.nulls import NULLS, mixing

MIXING = ["null", "sweep", "overlap"]


def run(cfg: Motifs, directory: Path, *, key: str) -> None:
    """Write ``motifs.csv`` and ``mixing.csv``.

    Args:
        cfg: which nulls, and how many samples.
        directory: holds the connectome; the tables go there.
        key: chain key.

    Raises:
        ConnectomeError: a null that cannot be had of this connectome.
    """
    provenance = store.Provenance("motifs", key, cfg.model_dump(mode="json"))
    connectome = Connectome.load(directory / "connectome.zarr")
    tables, mixed = [motif_counts(connectome).rename_axis("motif").reset_index()], []
    with progress(len(cfg.nulls) * cfg.samples, "motifs", unit="sample") as bar:
        for name in cfg.nulls:
            rng = np.random.default_rng([cfg.seed, *name.encode()])

            def samples(name: str = name, rng: np.random.Generator = rng) -> Iterator[Connectome]:
                for _ in range(cfg.samples):
                    yield NULLS[name].draw(connectome, rng)
                    bar.update()

            tables.append(motif_scores(connectome, samples()).reset_index().assign(null=name))
            if name in EXCHANGING:
                mixed.append(mixing(connectome, rng, keep=EXCHANGING[name]).assign(null=name))
    scores = pd.concat(tables[1:] or [tables[0].assign(null="")], ignore_index=True)
    overlap = pd.concat(mixed)[MIXING] if mixed else pd.DataFrame(columns=MIXING)
    store.write_csv(overlap, directory / "mixing.csv")
    store.write_table(
        scores, directory / "motifs.csv", provenance, beside=[directory / "mixing.csv"]
    )
