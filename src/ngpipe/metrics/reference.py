"""Published values beside our own."""

from collections.abc import Mapping

import pandas as pd

from ngpipe.errors import ConfigError

Reference = Mapping[str, Mapping[str, float]]


def beside(table: pd.DataFrame, published: Reference) -> pd.DataFrame:
    """Metrics with a column ``reference``.

    Args:
        table: tidy metrics.
        published: ``{quantity: {metric: value}}``.

    Raises:
        ConfigError: a published value of no metric in the table.
    """
    known = set(zip(table["quantity"], table["metric"], strict=True))
    given = {(quantity, metric) for quantity, metrics in published.items() for metric in metrics}
    if given - known:
        raise ConfigError(
            f"reference: {_named(given - known)} is not a metric of this experiment; it has "
            f"{_named(known)}"
        )
    values = [
        published.get(quantity, {}).get(metric)
        for quantity, metric in zip(table["quantity"], table["metric"], strict=True)
    ]
    return table.assign(reference=values)


def _named(pairs: set[tuple[str, str]]) -> str:
    return ", ".join(f"{quantity}.{metric}" for quantity, metric in sorted(pairs))
