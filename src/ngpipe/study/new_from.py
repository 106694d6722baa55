"""A starting study of a recording: its config, made from what the file says of itself."""

import os
from pathlib import Path

import numpy as np
from jaxtyping import Float

from ngpipe.acquisition.formats import table
from ngpipe.acquisition.suggestions import Suggestion, files_as, suggested
from ngpipe.config.assembly.source import JITTER
from ngpipe.errors import RecordingError, did_you_mean

NAME, FIGURE = "recording", "Recording"
"""The experiment, and its figure."""
HELD_OUT = 0.1
"""Share of the frames that is held out."""
LONGEST = 200
"""Frames that are predicted, if so many are held out."""

_CONFIG = f"""# Which figure is made of which panels of which experiments.

figures:
  {FIGURE}:
    about: connectivity and functions of the neurons of a recording
    panels:
      diagnosis: {{kind: diagnosis, of: {NAME}}}
      activity: {{kind: activity, of: {NAME}}}
      spectrum: {{kind: spectrum, of: {NAME}}}
      estimates: {{kind: connectivity_estimates, of: {NAME}}}
      errors: {{kind: connectivity_errors, of: {NAME}}}
      halves: {{kind: halves, of: {NAME}}}
      latents: {{kind: latents, of: {NAME}}}
      phi: {{kind: phi, of: {NAME}}}
      psi: {{kind: psi, of: {NAME}}}
      prediction: {{kind: prediction_baselines, of: {NAME}}}
      rollout: {{kind: rollout, of: {NAME}}}
"""
_ANALYSIS = """training:
  solver: closed_form
  target: finite_difference
  held_out: {held_out}
  accept_worse_than_zero: true   # draw the figure even if it says that nothing was learned
rollout: {{n_frames: {n}, at: [{first}, {n}]}}
"""


def written(directory: Path, recording: Path, series: str | None) -> tuple[str, str]:
    """Write the config of a study; returns its figure, and what there is to say of it.

    Args:
        directory: the study, without a ``config/``.
        recording: a file or directory with activity.
        series: which one, where there are several.

    Raises:
        RecordingError: it cannot be read, or holds several series and none is named.
    """
    recording = recording.resolve()
    place = Path(os.path.relpath(recording, directory.resolve()))
    with table.reads(recording) as contents:
        found = _chosen(list(suggested(contents, files_as(place))), recording, series)
    experiment = directory / "config" / "experiments" / f"{NAME}.yaml"
    experiment.parent.mkdir(parents=True)
    (directory / "config" / "config.yaml").write_text(_CONFIG)
    experiment.write_text(
        f"# {found.name} of {recording.name}; tau, the unit of time of the model, is 1 s unless "
        f"source.tau says otherwise.\n{found.section()}{_analysis(found)}"
    )
    told = f"{experiment} reads {found.name} of {recording.name} for the figure {FIGURE}."
    if found.missing:
        told += f" Before the first run, fill in source.{', source.'.join(found.missing)} there."
    return FIGURE, told


def _chosen(found: list[Suggestion], recording: Path, series: str | None) -> Suggestion:
    names = [one.name for one in found]
    if series is None and len(found) > 1:
        raise RecordingError(
            f"{recording} holds several series, {names}; name the one with the activity by "
            "--series. `ngpipe inspect` shows them"
        )
    if not found or series not in (None, *names):
        asked = "no array of time and neurons" if not found else f"no series '{series}'"
        raise RecordingError(
            f"{recording} holds {asked}"
            + (f", but {names}{did_you_mean(series, names)}; name one by --series" if found else "")
            + ("" if found else "; name another file")
        )
    one = found[0] if series is None else found[names.index(series)]
    if one.trouble:
        raise RecordingError(one.trouble)
    return one


def _longest(times: Float[np.ndarray, " frame"]) -> int:
    """Frames of the longest stretch without a gap."""
    steps = np.diff(times)
    ends = np.flatnonzero(steps > (1 + JITTER) * np.median(steps)) + 1
    return int(np.diff([0, *ends, len(times)]).max())


def _analysis(found: Suggestion) -> str:
    """Sections that suit the length of the recording."""
    frames = max(found.shape or (0,)) if found.series is None else found.series.n_frames
    tail = int(frames * HELD_OUT) // 2
    if found.series is not None and found.series.times is not None:
        tail = _longest(found.series.times[-2 * tail :])
    n = max(2, min(LONGEST, tail - 1))
    return _ANALYSIS.format(held_out=HELD_OUT, n=n, first=max(1, n // 2))
