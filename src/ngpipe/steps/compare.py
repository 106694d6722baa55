"""Tables of measures of a circuit's responses, and of differences between conditions."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from ngpipe import store
from ngpipe.circuit.measures import compare, measure
from ngpipe.config.base import OBSERVED
from ngpipe.config.circuit.conditions import Condition
from ngpipe.config.circuit.impulse import Impulse
from ngpipe.config.circuit.measures import Measures
from ngpipe.metrics import circuit as scores
from ngpipe.metrics import reference
from ngpipe.schemas import circuit as schemas
from ngpipe.wiring.container import Connectome

POINT = ["parameter", "value"]
LABELS = [*POINT, "condition", "seed"]
COMPARED = [
    *(*POINT, "of", "condition", "observed", "null", "pairs"),
    *("difference", "difference_std", "effect", "dominance", "p"),
]


def run(
    measures: Measures,
    published: reference.Reference,
    impulse: Impulse,
    conditions: Mapping[str, Condition],
    directory: Path,
    *,
    key: str,
) -> None:
    """Write ``measures.csv`` (a row a run), ``comparison.csv`` and ``metrics.csv``.

    Args:
        measures: definition of a return to baseline.
        published: published values, ``{quantity: {metric: value}}``.
        impulse: the pulse of the responses that the directory holds.
        conditions: those that were run.
        directory: holds connectome and responses; the tables go there.
        key: chain key.

    Raises:
        ConfigError: a published value of no metric.
    """
    section = {"measures": measures.model_dump(mode="json"), "reference": published}
    provenance = store.Provenance("compare", key, section)
    responses = store.read(directory / "responses.zarr", schemas.RESPONSES).load()
    table = measured(responses, impulse, measures.threshold_ratio)
    comparison = pd.DataFrame(_compared(table, conditions), columns=COMPARED)
    base = table[table["parameter"] == ""]
    metrics = [scores.score_connectome(Connectome.load(directory / "connectome.zarr"))]
    for name, runs in base.groupby("condition", sort=False):
        metrics.append(scores.score_condition(str(name), runs))
    for row in comparison[comparison["parameter"] == ""].to_dict("records"):
        metrics.append(scores.score_comparison(row))
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


def _compared(
    table: pd.DataFrame, conditions: Mapping[str, Condition]
) -> Iterator[dict[str, object]]:
    """The observed circuit beside every condition, and ablations beside their controls.

    An ablation is no null, so p is left out where the observed circuit is beside one.
    """
    for (parameter, value), point in table.groupby(POINT, sort=False):
        runs = dict(list(point.groupby("condition", sort=False)))
        for name, condition in conditions.items():
            row = {"parameter": parameter, "value": value, "of": OBSERVED, "condition": name}
            row |= compare(runs[OBSERVED], runs[name])
            yield row if condition.shuffle is not None else row | {"p": np.nan}
        for ablation, control in _controls(conditions):
            row = {"parameter": parameter, "value": value, "of": ablation, "condition": control}
            yield row | compare(runs[ablation], runs[control])


def _controls(conditions: Mapping[str, Condition]) -> Iterator[tuple[str, str]]:
    """Ablations and the conditions that match them."""
    for name, condition in conditions.items():
        if condition.match is not None:
            ablation = condition.model_copy(update={"match": None})
            yield from ((other, name) for other, c in conditions.items() if c == ablation)
