"""Series in a file of activity, each with the section `source` of a config that reads it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ngpipe.acquisition.formats.contents import Candidate, Contents, described
from ngpipe.acquisition.formats.naming import NEURONS, TIMES, TRIALS, means, unit_in
from ngpipe.acquisition.formats.nwb_series import LABELS
from ngpipe.acquisition.series import Series
from ngpipe.config.assembly.source import JITTER, WIDE_JITTER, Recorded
from ngpipe.errors import RecordingError

_NAMING = {*LABELS, *NEURONS, "cell_id", "roi_id", "neuron_id"}
FEW = 0.01
"""Share of the times between frames that may be odd where frames are even."""
ASKED = {
    "axes": "time_neuron or neuron_time: the file does not say it",
    "rate": "[Hz] or time: the file does not say it",
    "time_unit": "s, ms, us or min: the file does not say it",
    "units": "of the activity, such as dF/F: the file does not say it",
}
"""Keys that a user must fill in where the file says nothing, with what to write."""


@dataclass(frozen=True)
class Suggestion:
    """One series, and how to read it."""

    name: str
    source: Mapping[str, Any]
    """Keys of the section `source`; None: to be filled in."""
    series: Series | None = None
    """The series, if the file says which axis is time."""
    shape: tuple[int, int] | None = None
    """Shape as it is stored."""
    trouble: str = ""
    """Message of the error that it gives, if it cannot be read."""

    @property
    def missing(self) -> list[str]:
        """Keys that a user must fill in."""
        return [key for key, value in self.source.items() if value is None]

    def section(self) -> str:
        """The section as it stands in a config."""
        lines = ["source:"]
        for key, value in self.source.items():
            lines.append(f"  {key}:" + (f"   # <- {ASKED[key]}" if value is None else _yaml(value)))
        return "\n".join(lines) + "\n"


def suggested(contents: Contents, files: list[str]) -> Iterator[Suggestion]:
    """All series of an open file.

    Args:
        contents: of the file.
        files: its path, as the config is to have it.
    """
    for name in contents.candidates:
        source: dict[str, Any] = {"kind": "recording", "files": files}
        if len(contents.candidates) > 1:
            source["series"] = name
        try:
            yield _of(contents, contents.candidates[name](), source)
        except RecordingError as error:
            yield Suggestion(name, source, trouble=str(error))


def _of(contents: Contents, found: Candidate, source: dict[str, Any]) -> Suggestion:
    """What the file says, and what columns of it seem to say; the rest is asked for."""
    shape = found.values.shape
    named = {**contents.columns, **found.own}
    if found.times is None and found.rate is None:
        source |= _time(_like(named, TIMES, shape, "iufmM"))
    if found.labels is None and not (found.columns and "time" in source):
        source |= dict(zip(("labels",), _like(named, _NAMING, shape, "OUST"), strict=False))
    if found.segments is None and ("time" in source or found.times is not None):
        source |= dict(zip(("segment",), _like(named, TRIALS, shape, "iuOUST"), strict=False))
    series, trouble = None, ""
    try:
        whole = {key: value for key, value in source.items() if value is not None}
        series = described(contents, Recorded(**whole), in_order=False)
    except RecordingError as error:
        if "source.axes" not in (trouble := str(error)):
            raise
        source["axes"], trouble = None, ""
    if found.rate is None and found.times is None and "time" not in source:
        source["rate"] = None
    if found.units is None:
        source["units"] = None
    source |= {"intervals": "measured"} if is_uneven(series) else {}
    return Suggestion(found.name, source, series, shape, trouble)


def is_uneven(series: Series | None) -> bool:
    """True if frames come at uneven times, which is more than rounding and dropped frames.

    Times between frames are then shorter than the typical one, or lie between one and two of it.
    """
    if series is None or series.times is None:
        return False
    steps = np.diff(series.times)
    steps = steps[steps > 0]
    if not len(steps):
        return False
    share = steps / np.median(steps)
    between = (share > 1 + JITTER) & (share < 1 + WIDE_JITTER)
    return bool((share < 1 - JITTER).any() or between.mean() > FEW)


def _time(named: list[str]) -> dict[str, str | None]:
    """Keys for the column of times, with the unit that its name gives."""
    if not named:
        return {}
    return {"time": named[0], "time_unit": unit_in(named[0])}


def _like(
    columns: Mapping[str, Any], words: set[str], shape: tuple[int, int], kinds: str
) -> list[str]:
    """The first column with one of some names, and an entry for each row or column."""
    for name, column in columns.items():
        if not means(name, words):
            continue
        values = np.asarray(column())
        if values.ndim == 1 and values.dtype.kind in kinds and len(values) in shape:
            return [name]
    return []


def _yaml(value: object) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
    return " " + text.removesuffix("\n").removesuffix("\n...")


def files_as(path: Path) -> list[str]:
    """A path as the list `files` of a config has it."""
    return [path.as_posix()]
