"""NIX files, read with Neo."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ngpipe.acquisition.formats.chunked import in_memory
from ngpipe.acquisition.formats.contents import Candidate, Contents
from ngpipe.acquisition.formats.extras import needed
from ngpipe.errors import RecordingError


@contextmanager
def reads(path: Path) -> Iterator[Contents]:
    """Analog signals of all segments, in their own units; signals of one name are trials.

    Raises:
        RecordingError: neo or nixio is not installed, or the file is none of Neo's.
    """
    needed("nixio", path, "neo")
    neo = needed("neo", path, "neo")
    try:
        with neo.io.NixIO(str(path), "ro") as io:
            blocks = io.read_all_blocks()
    except Exception as error:
        raise RecordingError(
            f"{path} cannot be read by neo ({type(error).__name__}: {error}); write it again"
        ) from error
    signals: dict[str, list[Any]] = {}
    for block in blocks:
        for segment in block.segments:
            for k, signal in enumerate(segment.analogsignals):
                signals.setdefault(signal.name or f"signal{k}", []).append(signal)
    found: dict[str, Callable[[], Candidate]] = {
        name: (lambda n=name, s=several: _candidate(path, n, s))  # type: ignore[misc]
        for name, several in signals.items()
    }
    yield Contents(path, found)


def _candidate(path: Path, name: str, signals: list[Any]) -> Candidate:
    """Signals (time, channel) one after the other.

    Raises:
        RecordingError: their units, rates or channels differ.
    """
    kinds = {
        (s.dimensionality.string, float(s.sampling_rate.rescale("Hz")), s.shape[1]) for s in signals
    }
    if len(kinds) > 1:
        raise RecordingError(
            f"{path}: the segments of '{name}' differ in unit, rate [Hz] or number of channels: "
            f"{sorted(kinds)}; save them under different names"
        )
    unit, rate, _ = kinds.pop()
    notes = signals[0].array_annotations
    named = next((notes[key] for key in ("channel_names", "labels", "names") if key in notes), None)
    several = len(signals) > 1
    return Candidate(
        name,
        in_memory(np.concatenate([np.asarray(s.magnitude) for s in signals])),
        0,
        units=None if unit == "dimensionless" else unit,
        rate=rate,
        labels=None if named is None else tuple(map(str, named)),
        segments=np.repeat(np.arange(len(signals)), list(map(len, signals))) if several else None,
        notes=("each segment of Neo is a trial",) if several else (),
    )
