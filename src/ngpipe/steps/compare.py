"""What is measured in the responses of a circuit, and how its conditions differ, as tables."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd
import xarray as xr

from ngpipe import schemas, store
from ngpipe.circuit.impulse import Impulse
from ngpipe.circuit.measures import compare, measure
from ngpipe.config.circuit import OBSERVED, Measures
from ngpipe.config.circuit import Impulse as ImpulseConfig
from ngpipe.metrics import circuit as scores
from ngpipe.metrics import reference
from ngpipe.wiring.connectome import Connectome

POINT = ["parameter", "value"]
LABELS = [*POINT, "condition", "seed"]
COMPARED = [
    *(*POINT, "condition", "observed", "null", "pairs"),
    *("difference", "difference_std", "effect", "dominance", "p"),
]


def run(
    cfg: Measures,
    given: ImpulseConfig,
    published: Mapping[str, Mapping[str, float]],
    directory: Path,
    *,
    key: str,
) -> None:
    """Write ``measures.csv`` (a row a run), ``comparison.csv`` and ``metrics.csv``.

    Args:
        cfg: what is measured.
        given: the pulse of the responses.
        published: ``{quantity: {metric: value}}``.
        directory: holds connectome and responses; the tables go there.
        key: chain key.

    Raises:
        ConfigError: a published value of no metric.
    """
    section = {"measures": cfg.model_dump(), "reference": published}
    provenance = store.Provenance("compare", key, section)
    responses = store.read(directory / "responses.zarr", schemas.RESPONSES).load()
    table = measured(responses, Impulse(**given.model_dump()), cfg.threshold_ratio)
    comparison = pd.DataFrame(_compared(table), columns=COMPARED)
    base = table[table["parameter"] == ""]
    metrics = [scores.score_connectome(Connectome.load(directory / "connectome.zarr"))]
    for name, runs in base.groupby("condition", sort=False):
        metrics.append(scores.score_condition(str(name), runs))
    for row in comparison[comparison["parameter"] == ""].to_dict("records"):
        metrics.append(scores.score_comparison(row["condition"], row, row["pairs"]))
    store.write_csv(table, directory / "measures.csv")
    store.write_csv(comparison, directory / "comparison.csv")
    store.write_table(
        reference.beside(pd.concat(metrics, ignore_index=True), published),
        directory / "metrics.csv",
        provenance,
        beside=[directory / "measures.csv", directory / "comparison.csv"],
    )


def measured(responses: xr.Dataset, impulse: Impulse, threshold_ratio: float) -> pd.DataFrame:
    """A row a run: its labels, its measures, and the time to baseline that mean field predicts."""
    options = {"threshold_ratio": threshold_ratio}
    table = measure(responses, impulse, **options)
    predicted = responses[["predicted", "eigenvalue"]].rename(predicted="excitatory")
    expected = measure(predicted, impulse, **options)["time_to_baseline"]
    labels = responses[LABELS].to_dataframe()[LABELS]
    return pd.concat([labels, table.assign(predicted_time=expected)], axis=1)


def _compared(table: pd.DataFrame) -> Iterator[dict[str, object]]:
    """The observed circuit beside every condition, at every point of the sweep."""
    for (parameter, value), point in table.groupby(POINT, sort=False):
        runs = dict(list(point.groupby("condition", sort=False)))
        observed = runs.pop(OBSERVED)
        for name, others in runs.items():
            labels = {"parameter": parameter, "value": value, "condition": name}
            yield labels | compare(observed, others)
