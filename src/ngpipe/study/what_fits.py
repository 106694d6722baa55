"""What of an experiment would fit into the memory at hand, and by how many jobs."""

from pydantic import ValidationError

from ngpipe.config.sweep import varied
from ngpipe.config.systems import AnyExperiment
from ngpipe.study.records import Stage, parts_of, stage_called

MOST_JOBS = 1024
"""Jobs that a training is at most suggested to be shared by."""


def what_fits(name: str, experiment: AnyExperiment, size: tuple[int, int], available: int) -> str:
    """What to do with a stage that does not fit.

    Args:
        name: of the stage.
        experiment: its config.
        size: neurons and frames; 0 and 0 if they are not known.
        available: memory that a process may use [MB].

    Returns:
        Part of a sentence.
    """
    n_neurons, n_frames = size
    gatherer = stage_called(name).part_of or name
    if not n_neurons:
        return "use fewer neurons or frames, or a machine with more memory"
    asked = stage_called(name).megabytes(*size)
    told = (
        f"step `{name}` asks for {asked:,} MB for {n_neurons:,} neurons and {n_frames:,} frames, "
        f"and this process may use {available:,} MB, enough for "
        f"{_most_neurons(stage_called(name), n_frames, available):,} neurons"
    )
    if not parts_of(gatherer) or not _can_be_shared(experiment):
        return f"{told}; use fewer neurons or frames, or a machine with more memory"
    jobs = next((j for j in _numbers() if shared(gatherer, size, j) <= available), None)
    if jobs is None:
        least = shared(gatherer, size, MOST_JOBS)
        return f"{told}; shared by many jobs (training.closed_form.jobs) each takes {least:,} MB"
    return (
        f"{told}; with training.closed_form.jobs: {jobs} the largest job asks for "
        f"{shared(gatherer, size, jobs):,} MB"
    )


def shared(name: str, size: tuple[int, int], jobs: int) -> int:
    """Memory of the largest job of a stage that several jobs share [MB]."""
    return max(stage_called(one).megabytes(*size, jobs) for one in (name, *parts_of(name)))


def _numbers() -> list[int]:
    return [2, 3, 4, 6, *(2**k for k in range(3, MOST_JOBS.bit_length()))]


def _most_neurons(stage: Stage, n_frames: int, available: int) -> int:
    """Most neurons with which a stage fits."""
    low, high = 0, 1
    while stage.megabytes(high, n_frames) <= available:
        low, high = high, 2 * high
        if high > 2**30:
            return low  # its memory does not depend on them
    while high - low > 1:
        middle = (low + high) // 2
        fits = stage.megabytes(middle, n_frames) <= available
        low, high = (middle, high) if fits else (low, middle)
    return low


def _can_be_shared(experiment: AnyExperiment) -> bool:
    try:
        varied(experiment, "training.closed_form.jobs", 2)
    except (KeyError, ValidationError):
        return False
    return True
