"""``recovery.zarr`` and a known connectome -> ``agreement.csv`` and its metrics."""

from pathlib import Path

from ngpipe import store
from ngpipe.artifacts.null_agreement import compared_with
from ngpipe.config.agreement import CompareWith
from ngpipe.metrics.wiring_agreement import score_agreement
from ngpipe.schemas import assembly as schemas


def run(cfg: CompareWith, directory: Path, *, key: str) -> None:
    """Compare recovered W with a connectome of the same neurons, and with its nulls.

    Args:
        cfg: the connectome, and its nulls.
        directory: holds the recovery; ``agreement.csv`` (every draw of every measure) and
            ``agreement_metrics.csv`` go there.
        key: chain key.

    Raises:
        StoreError: a connectome that is not there, with the ways to get it.
        ConnectomeError: too few pairs in common, or a null that the connectome cannot have.
    """
    provenance = store.Provenance("compare_with", key, cfg.model_dump(mode="json"))
    recovery = store.read(directory / "recovery.zarr", schemas.RECOVERY)
    draws, counts = compared_with(recovery["connectivity"].load(), cfg)
    metrics = directory / "agreement_metrics.csv"
    store.write_csv(score_agreement(draws, counts), metrics)
    store.write_table(draws, directory / "agreement.csv", provenance, beside=[metrics])
