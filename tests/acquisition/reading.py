"""What the tests of formats share: read all of a file as a config describes it."""

from types import SimpleNamespace

import numpy as np

from ngpipe.acquisition.formats import table
from ngpipe.config.assembly.source import Recorded


def read(path, step=7, **source):
    """A series with all its values, read some frames at a time, after its file is closed."""
    with table.opened(path, Recorded(files=(str(path),), **source)) as series:
        parts = [series.block(k, k + step) for k in range(0, series.n_frames, step)]
        values = np.concatenate(parts)
        assert values.shape == (series.n_frames, series.n_neurons)
        names = ("name", "units", "rate", "times", "labels", "positions", "segments", "notes")
        return SimpleNamespace(values=values, **{n: getattr(series, n) for n in names})


def names(path):
    """Names of the series in a file."""
    with table.reads(path) as contents:
        return list(contents.candidates)
