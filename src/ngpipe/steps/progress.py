"""Progress of long steps: a bar with rate and time left on a terminal, a line a minute in a log."""

import sys

from tqdm import tqdm

LINE = "{desc}: {n_fmt}/{total_fmt} {unit}s, {rate_fmt}, {remaining} left{postfix}\n"
SECONDS_BETWEEN_LINES = 60


def progress(total: int, description: str, *, unit: str, initial: int = 0) -> tqdm:
    """A progress display on standard error; a context manager with ``update(n)``."""
    terminal = sys.stderr.isatty()
    return tqdm(
        total=total,
        initial=initial,
        desc=description,
        unit=" " + unit,
        dynamic_ncols=terminal,
        bar_format=None if terminal else LINE,
        mininterval=0.2 if terminal else SECONDS_BETWEEN_LINES,
        maxinterval=10 if terminal else SECONDS_BETWEEN_LINES,
        file=sys.stderr,
    )
