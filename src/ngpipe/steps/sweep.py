"""The metrics of all points of a sweep, one after another, as a table with its manifest."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from ngpipe import store
from ngpipe.config.sweep import Point, spelled, unit_of_key


def run(points: Mapping[str, Point], runs: Path, target: Path, *, key: str) -> None:
    """Collect ``metrics.csv`` of an experiment and of every point of its sweep.

    The table has the columns of ``metrics.csv`` after ``experiment`` (name of the point),
    ``parameter`` (path of the key), ``setting`` (its value) and ``unit``; all but the first are
    empty for the experiment itself. Digests of all results of all points stand in the notes of
    the manifest.

    Args:
        points: by name, the experiment itself first.
        runs: holds the results of each.
        target: the table; its manifest goes beside it.
        key: chain key.

    Raises:
        StoreError: a point without metrics.
    """
    section = {name: {p.parameter: p.value} for name, p in points.items() if p.parameter}
    digests = {name: store.digests(runs / name) for name in points}
    provenance = store.Provenance("sweep", key, section, notes={"runs": digests})
    tables = []
    for name, point in points.items():
        table = store.read_csv(runs / name / "metrics.csv")
        labels = {"experiment": name, "parameter": point.parameter, "setting": "", "unit": ""}
        if point.parameter:
            labels["setting"] = spelled(point.value)
            labels["unit"] = unit_of_key(point.experiment, point.parameter)
        for place, (column, text) in enumerate(labels.items()):
            table.insert(place, column, text)
        tables.append(table)
    store.write_table(pd.concat(tables, ignore_index=True), target, provenance)
