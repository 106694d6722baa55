"""Survey of every frame of a recording before any work: absent, constant or changed values.

Imports no torch: what compares results with the truth asks here whether they are of one recording.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Int

from ngpipe.artifacts.sampling import Breaks
from ngpipe.config.assembly.training import Training
from ngpipe.errors import StaleError, StoreError

RESOLUTION = 1e-5
"""Least range of a neuron, relative to its largest value, that single precision still resolves."""
BLOCK_BYTES = 64 * 2**20
"""Read at once, if the store does not say its chunks."""

LONG = ("activity", "drift", "rate")
"""Variables over time and neurons."""

Identity = Mapping[str, str]
"""SHA-256 of the values of every variable that training sees, by name."""


@dataclass(frozen=True)
class Survey:
    """Summary of all frames of a recording."""

    finite: Bool[np.ndarray, " time"]
    """Frames at which every neuron that their session sees has a finite value."""
    absent: Int[np.ndarray, " neuron"]
    """Frames at which a neuron has no finite value, though their session sees it."""
    low: Float[np.ndarray, " neuron"]
    """Least finite activity, NaN if there is none."""
    high: Float[np.ndarray, " neuron"]
    identity: Identity
    session: Int[np.ndarray, " time"] | None = None
    """Number of the session of every frame, if sessions lack neurons."""
    seen: Bool[np.ndarray, "session neuron"] | None = None
    """Neurons that every session sees."""


def seen(cfg: Training) -> list[str]:
    """Variables of a recording that training sees: none of them is the truth."""
    names = ["activity", "time", "segment", "session"]
    names += {"drift": ["drift"], "estimated": ["rate"]}.get(cfg.target, [])
    names.append("activity_noise")
    if cfg.input == "field":
        names += ["driven", "position"]
    if cfg.input == "fitted":
        names += ["inputs"]
    if cfg.input == "known":
        names += ["external_input", "input_frame"]
    return names


def survey(dataset: xr.Dataset, path: Path, names: Iterable[str]) -> Survey:
    """Read every frame once; twice, if some sessions lack some neurons.

    A session lacks a neuron that has no finite value at any of its frames. Anywhere else, a value
    that is not finite is a missing one.

    Args:
        dataset: the recording.
        path: where it is, for errors.
        names: what of it training sees, as :func:`seen` says.

    Raises:
        StoreError: activity or its rate does not hold real numbers, or a session lies in several
            pieces.
    """
    n, neurons = dataset["activity"].shape
    names = set(names)
    session = _sessions(dataset, path)
    seen = np.zeros((session.max() + 1, neurons), dtype=bool)
    finite, absent = np.ones(n, dtype=bool), np.zeros(neurons, dtype=np.int64)
    low, high = np.full(neurons, np.inf), np.full(neurons, -np.inf)
    identity = identified(dataset, set(names) - set(LONG))
    for name in LONG:
        if name not in names or name not in dataset:
            continue
        _check_numbers(dataset[name], path)
        digest, lost = _Digest(dataset[name]), np.zeros_like(absent)
        for start, block in _blocks(dataset[name]):
            digest.add(block)
            with np.errstate(over="ignore"):
                here = np.isfinite(block.astype(np.float32, copy=False))
            finite[start : start + len(block)] &= here.all(axis=1)
            lost += (~here).sum(axis=0)
            if name == "activity":
                _note(seen, session[start : start + len(block)], here)
                whole = here.all()  # then no copy is needed
                least = block if whole else np.where(here, block, np.inf)
                most = block if whole else np.where(here, block, -np.inf)
                low = np.minimum(low, least.min(axis=0))
                high = np.maximum(high, most.max(axis=0))
        identity[name] = digest.text
        # Activity and its rate mostly lack the same frames.
        absent = np.maximum(absent, lost)
    if seen[:, seen.any(axis=0)].all():
        return Survey(finite, absent, low, high, identity)
    finite, absent = _missing(dataset, names, session, seen)
    return Survey(finite, absent, low, high, identity, session, seen)


def _sessions(dataset: xr.Dataset, path: Path) -> Int[np.ndarray, " time"]:
    """Number of the session of every frame: all zero if the store names none."""
    n = dataset.sizes["time"]
    if "session" not in dataset:
        return np.zeros(n, dtype=np.int64)
    values = dataset["session"].values
    first = np.append(True, values[1:] != values[:-1])
    names = values[first].tolist()
    if len(set(names)) < len(names):
        again = next(name for k, name in enumerate(names) if name in names[:k])
        raise StoreError(
            f"{path}: session {again!r} lies in several pieces, between them frames of other "
            "sessions; put the frames of every session together, or name the pieces by a "
            "coordinate `segment`"
        )
    return np.cumsum(first) - 1


def _note(
    seen: Bool[np.ndarray, "session neuron"],
    session: Int[np.ndarray, " frame"],
    here: Bool[np.ndarray, "frame neuron"],
) -> None:
    """Neurons with a value in the sessions of a block."""
    for k in np.unique(session):
        seen[k] |= here[session == k].any(axis=0)


def _missing(
    dataset: xr.Dataset,
    names: set[str],
    session: Int[np.ndarray, " time"],
    seen: Bool[np.ndarray, "session neuron"],
) -> tuple[Bool[np.ndarray, " time"], Int[np.ndarray, " neuron"]]:
    """Frames that have all values of the neurons that their session sees, and those without."""
    finite, absent = np.ones(len(session), dtype=bool), np.zeros(seen.shape[1], dtype=np.int64)
    for name in set(LONG) & names & set(map(str, dataset.variables)):
        lost = np.zeros_like(absent)
        for start, block in _blocks(dataset[name]):
            part = slice(start, start + len(block))
            with np.errstate(over="ignore"):
                here = np.isfinite(block.astype(np.float32, copy=False))
            lacks = ~here & seen[session[part]]
            finite[part] &= ~lacks.any(axis=1)
            lost += lacks.sum(axis=0)
        absent = np.maximum(absent, lost)
    return finite, np.where(seen.any(axis=0), absent, len(session))


def identified(dataset: xr.Dataset, names: Iterable[str]) -> dict[str, str]:
    """Digest of each of the variables that are there, and of ``dt``."""
    found = {"dt": repr(dataset.attrs.get("dt"))}
    for name in sorted(set(names) & set(map(str, dataset.variables))):
        digest = _Digest(dataset[name])
        for _, block in _blocks(dataset[name]):
            digest.add(block)
        found[name] = digest.text
    return found


def text(identity: Identity) -> str:
    """An identity as an attribute of a store."""
    return json.dumps(dict(identity), sort_keys=True)


def compare(before: Identity, now: Identity, result: Path, path: Path) -> None:
    """Refuse a result of another recording.

    Args:
        before: identity of the recording that it was made from.
        now: that of the recording as it is.
        result: what was made, for the message.
        path: where the recording is.

    Raises:
        StaleError: naming what of the recording is another.
    """
    changed = sorted(n for n in {*before, *now} if before.get(n) != now.get(n))
    if changed:
        raise StaleError(
            f"{result} was made from another recording than {path} is now ({', '.join(changed)} "
            "differ); train again on this one, or put the other one back"
        )


def stretches(finite: Bool[np.ndarray, " time"], breaks: Breaks) -> tuple[range, ...] | None:
    """Frames that hang together: no break between them, all of them finite; None: all do."""
    joined = finite[:-1] & finite[1:] & ~breaks
    starts = np.flatnonzero(finite & ~np.append(False, joined))
    stops = np.flatnonzero(finite & ~np.append(joined, False)) + 1
    if len(starts) == 1 and stops[0] - starts[0] == len(finite):
        return None
    return tuple(range(int(a), int(b)) for a, b in zip(starts, stops, strict=True))


def check_moving(found: Survey, dataset: xr.Dataset, path: Path) -> None:
    """Refuse neurons of which nothing can be learned.

    Raises:
        StoreError: a neuron has no value, never moves, or moves too little for single precision.
    """
    ever = found.absent < len(found.finite)
    if not ever.all():
        raise _unusable(dataset, path, ~ever, "has no finite value at any frame")
    still = found.high == found.low
    if still.any():
        first = found.low[still][0]
        raise _unusable(dataset, path, still, f"never moves: it is {first:g} at all frames")
    size = np.maximum(np.abs(found.high), np.abs(found.low))
    small = found.high - found.low < RESOLUTION * size
    if small.any() and dataset["activity"].dtype != np.float32:
        k = int(np.flatnonzero(small)[0])
        moves = f"moves by {found.high[k] - found.low[k]:g} around {found.low[k]:g}"
        raise StoreError(
            f"{path}: activity of {named(dataset, k)} {moves}, which single precision does not "
            f"resolve ({small.sum()} such neurons); subtract every neuron's mean"
        )


def named(dataset: xr.Dataset, neuron: int) -> str:
    """A neuron by its number, and its label if it has one."""
    labels = dataset.coords.get("neuron", dataset.coords.get("name"))
    return f"neuron {neuron}" + ("" if labels is None else f" ({labels.values[neuron]})")


def _unusable(dataset: xr.Dataset, path: Path, which: np.ndarray, what: str) -> StoreError:
    several = np.flatnonzero(which).tolist()
    return StoreError(
        f"{path}: activity of {named(dataset, several[0])} {what}, so nothing can be learned about "
        f"it ({len(several)} such neurons: "
        f"{', '.join(map(str, several[:10]))}{', ...' if len(several) > 10 else ''}); leave such "
        "neurons out of the recording"
    )


def _check_numbers(variable: xr.DataArray, path: Path) -> None:
    if variable.dtype.kind not in "iuf":
        raise StoreError(
            f"{path}: `{variable.name}` holds values of type {variable.dtype}, expected real "
            "numbers; write it as float32"
        )


def _blocks(variable: xr.DataArray) -> Iterator[tuple[int, np.ndarray]]:
    """A variable along its first dimension, as it is stored."""
    if variable.ndim == 0:
        yield 0, np.atleast_1d(variable.values)
        return
    row = max(1, variable.dtype.itemsize * int(np.prod(variable.shape[1:], dtype=int)))
    length = (variable.encoding.get("chunks") or (BLOCK_BYTES // row,))[0]
    length = max(1, length * max(1, BLOCK_BYTES // (length * row)))
    for start in range(0, len(variable), length):
        yield start, variable[start : start + length].values


class _Digest:
    """SHA-256 of the values of a variable, their type and shape; not of how they are stored."""

    def __init__(self, variable: xr.DataArray) -> None:
        self._total = hashlib.sha256(repr((variable.dtype.str, variable.shape)).encode())

    def add(self, block: np.ndarray) -> None:
        """The next values."""
        if block.dtype.kind in "OTU":
            block = np.asarray(block, dtype=str)
            self._total.update("\0".join(block.ravel().tolist()).encode() + b"\0")
        else:
            self._total.update(np.ascontiguousarray(block).reshape(-1).view(np.uint8).data)

    @property
    def text(self) -> str:
        """64 hexadecimal digits."""
        return self._total.hexdigest()
