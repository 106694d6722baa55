"""Measured responses against the connectome and its nulls -> ``metrics.csv``, ``agreement.csv``."""

from pathlib import Path

from ngpipe import store
from ngpipe.artifacts.null_agreement import compared
from ngpipe.config.agreement import Agreement
from ngpipe.metrics import reference
from ngpipe.metrics.wiring_agreement import score_agreement
from ngpipe.schemas.atlas import MEASURED
from ngpipe.wiring.container import Connectome


def run(cfg: Agreement, published: reference.Reference, directory: Path, *, key: str) -> None:
    """Write every draw of every measure, and the metrics.

    Args:
        cfg: nulls, hops and draws.
        published: published values, ``{quantity: {metric: value}}``.
        directory: holds connectome and responses; the tables go there.
        key: chain key.

    Raises:
        ConnectomeError: too few pairs in common, or a null that the connectome cannot have.
        ConfigError: a published value of no metric.
    """
    section = {"agreement": cfg.model_dump(mode="json"), "reference": published}
    provenance = store.Provenance("agree", key, section)
    connectome = Connectome.load(directory / "connectome.zarr")
    responses = store.read(directory / "measured.zarr", MEASURED)["response"].load()
    draws, counts = compared(responses, connectome, cfg)
    metrics = reference.beside(score_agreement(draws, counts), published)
    store.write_csv(draws, directory / "agreement.csv")
    store.write_table(
        metrics, directory / "metrics.csv", provenance, beside=[directory / "agreement.csv"]
    )
