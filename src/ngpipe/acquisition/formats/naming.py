"""Names by which files say that a dimension, variable or column is time, neurons or trials."""

import re

TIMES = {"time", "times", "t", "timestamp", "timestamps", "frame", "frames", "num_times"} | {
    *("sample", "samples", "timepoint", "timepoints", "step", "time_s", "volume", "volumes")
}
NEURONS = {"neuron", "neurons", "cell", "cells", "roi", "rois", "num_rois", "unit", "units"} | {
    *("channel", "channels", "component", "components", "region", "regions", "electrode", "node")
}
TRIALS = {"trial", "trials", "sweep", "sweeps", "segment", "segments", "repeat", "repeats"}
_UNIT = re.compile(r"^(.*?)[ _]*[\[(]?(ms|us|min|s)[\])]?$")


def means(name: str, words: set[str]) -> bool:
    """True of a name that is one of the words, within a group or not, with a unit or not."""
    last = re.split(r"[/.]", name)[-1].lower()
    unit = _UNIT.match(last)
    return last in words or bool(unit and unit[1] in words)


def unit_in(name: str) -> str | None:
    """Unit of time at the end of a name such as ``time_ms`` or ``t (s)``; None: there is none."""
    unit = _UNIT.match(re.split(r"[/.]", name)[-1].lower())
    return unit[2] if unit and unit[1] else None
