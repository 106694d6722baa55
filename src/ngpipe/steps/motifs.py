"""Motifs of a connectome against nulls, and how well the nulls are mixed, as tables."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from ngpipe import store
from ngpipe.artifacts.progress import progress
from ngpipe.config.circuit.motifs import Motifs
from ngpipe.wiring.container import Connectome
from ngpipe.wiring.nulls.motifs import motif_counts, motif_scores
from ngpipe.wiring.nulls.rewiring import MOST_SWEEPS, mixing
from ngpipe.wiring.nulls.table import NULLS

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
                    yield NULLS[name].sample(connectome, rng, sweeps=cfg.sweeps)
                    bar.update()

            tables.append(motif_scores(connectome, samples()).reset_index().assign(null=name))
            if NULLS[name].kind.exchanges:
                mixed.append(_mixed(connectome, rng, name, cfg.sweeps))
    scores = pd.concat(tables[1:] or [tables[0].assign(null="")], ignore_index=True)
    overlap = pd.concat(mixed)[MIXING] if mixed else pd.DataFrame(columns=MIXING)
    store.write_csv(overlap, directory / "mixing.csv")
    store.write_table(
        scores, directory / "motifs.csv", provenance, beside=[directory / "mixing.csv"]
    )


def _mixed(
    connectome: Connectome, rng: np.random.Generator, name: str, sweeps: int | None
) -> pd.DataFrame:
    """Mixing of a null; warns if it does not leave the connectome, or not far enough."""
    keep = NULLS[name].kind.exchanges
    table = mixing(connectome, rng, keep=keep, sweeps=sweeps).assign(null=name)
    taken = len(table) - 1
    if table["overlap"].iloc[-1] == 1:
        said = "no connection can move, so every sample is connected as the connectome is"
    elif sweeps is None and taken == MOST_SWEEPS:
        said = f"overlap may still fall after {taken} sweeps; see mixing.csv, and set motifs.sweeps"
    else:
        return table
    tqdm.write(f"{name}: {said}", file=sys.stderr)
    return table
