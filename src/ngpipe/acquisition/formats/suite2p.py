"""Folders of suite2p: fluorescence, neuropil and spikes, of ROIs that count as cells."""

import pickletools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ngpipe.acquisition.formats import numpy_files
from ngpipe.acquisition.formats.chunked import Chunked
from ngpipe.acquisition.formats.contents import Candidate, Contents
from ngpipe.errors import RecordingError

CORRECTED = "F - 0.7 Fneu"
"""Fluorescence less neuropil, with the factor that suite2p itself uses by default."""
_OTHER = re.compile(r"F\s*-\s*(\d*\.?\d+)\s*\*?\s*Fneu")
_UNITS = "a.u."
_NUMBERS = {"BINFLOAT", "FLOAT", "BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1"}
"""Instructions of a pickle that give a number."""
_KEEPS = {"MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"}
_CALLS = {"GET", "BINGET", "LONG_BINGET"}
_KIND = re.compile(r"[fiu][1248]")
"""Types of numpy's numbers, as pickles name them."""
_OPTIONS = ("ops.npy", "settings.npy")


def fits(path: Path) -> bool:
    """True of a folder of suite2p, or one with its planes."""
    return path.is_dir() and any((place / "F.npy").is_file() for place in (path, *_planes(path)))


@contextmanager
def reads(path: Path) -> Iterator[Contents]:
    """``F``, ``spks``, and F less a multiple of Fneu: the factor is named with the series.

    Raises:
        RecordingError: there are several planes, or a file is missing or does not fit.
    """
    folder = _folder(path)
    cells, note = _cells(folder)
    rate, told = _rate(folder)
    centres = _centres(folder, len(cells))
    notes = (note, *told)

    def candidate(name: str, values: Chunked, *more: str) -> Candidate:
        if values.shape[0] != len(cells):
            raise RecordingError(
                f"{folder}: {name} has {values.shape[0]} ROIs, but iscell.npy {len(cells)}; copy "
                "the folder again, or run suite2p again"
            )
        keep = np.flatnonzero(cells)
        labels = tuple(f"ROI{k}" for k in keep)
        return Candidate(
            name,
            values,
            1,
            keep=keep,
            units=_UNITS,
            rate=rate,
            labels=labels,
            numbered=True,
            positions=None if centres is None else centres[keep],
            notes=(*notes, *more),
        )

    def plain(name: str) -> Candidate:
        more = ("no neuropil is subtracted",) if name == "F" else ()
        return candidate(name, numpy_files.mapped(folder / f"{name}.npy"), *more)

    candidates: dict[str, Callable[[], Candidate]] = _Named(folder, candidate)
    for name in ("F", "spks"):
        if (folder / f"{name}.npy").is_file():
            candidates[name] = partial(plain, name)
    yield Contents(path, candidates)


class _Named(dict):
    """Candidates, of which one is known for every factor of the neuropil."""

    def __init__(self, folder: Path, candidate: Callable[..., Candidate]) -> None:
        super().__init__()
        self._folder, self._candidate = folder, candidate
        if (folder / "Fneu.npy").is_file():
            self[CORRECTED] = lambda: self._corrected(CORRECTED)

    def get(self, name: str, default: Callable | None = None) -> Callable | None:  # type: ignore[override]
        if name not in self and CORRECTED in self and _OTHER.fullmatch(name):
            return lambda: self._corrected(name)
        return super().get(name, default)

    def _corrected(self, name: str) -> Candidate:
        found = _OTHER.fullmatch(name)
        factor = float(found[1]) if found else 0.7
        raw, around = (numpy_files.mapped(self._folder / f"{n}.npy") for n in ("F", "Fneu"))
        if raw.shape != around.shape:
            raise RecordingError(
                f"{self._folder}: F.npy has shape {raw.shape}, but Fneu.npy {around.shape}; copy "
                "the folder again, or run suite2p again"
            )

        def read(rows: slice, columns: slice) -> np.ndarray:
            return raw.read(rows, columns) - np.float32(factor) * around.read(rows, columns)

        values = Chunked(raw.shape, np.dtype(np.float32), read)
        return self._candidate(name, values, f"{factor:g} times the neuropil is subtracted")


def _planes(path: Path) -> list[Path]:
    return sorted(place for place in path.glob("plane*") if (place / "F.npy").is_file())


def _folder(path: Path) -> Path:
    """The folder with the traces: this one, its only plane, or its planes combined."""
    if (path / "F.npy").is_file():
        return path
    planes = _planes(path)
    if (path / "combined" / "F.npy").is_file():
        return path / "combined"
    if len(planes) == 1:
        return planes[0]
    raise RecordingError(
        f"{path} holds the planes {[p.name for p in planes]}, which suite2p has not combined; "
        f"name one of them, such as {planes[0]}, or set `combined` in suite2p"
    )


def _cells(folder: Path) -> tuple[np.ndarray, str]:
    """Which ROIs count as cells, and a sentence on it."""
    place = folder / "iscell.npy"
    if not place.is_file():
        raise RecordingError(
            f"{folder} has no iscell.npy, so it is not known which ROIs are cells; copy it from "
            "the folder that suite2p wrote"
        )
    flags = numpy_files.mapped(place).read(slice(None), slice(0, 1))[:, 0] > 0
    if not flags.any():
        raise RecordingError(
            f"{place} calls none of the {len(flags)} ROIs a cell; curate them in suite2p"
        )
    return (
        flags,
        f"{flags.sum()} of {len(flags)} ROIs are cells (iscell.npy); the others are left out",
    )


def _rate(folder: Path) -> tuple[float | None, tuple[str, ...]]:
    """The frame rate ``fs`` of one plane [Hz], read without running the pickle around it."""
    found: set[float] = set()
    for name in _OPTIONS:
        place = folder / name
        if place.is_file():
            found |= set(_numbers_of(place, "fs"))
    if len(found) == 1:
        return found.pop(), ()
    said = f"say several rates fs, {sorted(found)}" if found else "say no rate fs that can be read"
    return None, (f"{' and '.join(_OPTIONS)} {said} without running a pickle",)


def _centres(folder: Path, n: int) -> np.ndarray | None:
    """Centre ``med`` of each ROI [pixel], x first; None if it cannot be read of all of them."""
    place = folder / "stat.npy"
    if not place.is_file():
        return None
    found = list(_pairs_of(place, "med"))
    return np.array(found)[:, ::-1] if len(found) == n else None


def _pairs_of(place: Path, key: str) -> Iterator[tuple[float, float]]:
    """Two numbers behind a key in each of some pickled dictionaries. Nothing of it is run."""
    told = _Told()
    pair: list[float] | None = None
    with place.open("rb") as file:
        try:
            numpy_files.header(file)
            for code, argument, _ in pickletools.genops(file):
                found = told.by(code.name, argument)
                if isinstance(found, str):
                    pair = [] if found == key else pair
                elif found is not None and pair is not None:
                    pair.append(found)
                if pair is not None and len(pair) == 2:
                    yield pair[0], pair[1]
                    pair = None
        except ValueError:
            return


@dataclass(frozen=True)
class _Type:
    """A type of numpy in a memo."""

    name: str


class _Told:
    """What instructions of a pickle tell one by one: keys, and numbers.

    Numbers are plain ones or those of numpy, which are bytes behind a type. A type is written once,
    with numbers about itself, and called up from the memo later.
    """

    def __init__(self) -> None:
        self._memo: dict[int, object] = {}
        self._last: object = None
        self._kind, self._in_type = "", False

    def by(self, code: str, argument: object) -> str | float | None:
        """A text or a number, if the instruction gives one."""
        if code in _KEEPS:
            place = len(self._memo) if argument is None else int(argument)  # type: ignore[call-overload]
            self._memo[place] = self._last
            return None
        self._last = self._memo.get(int(argument)) if code in _CALLS else argument  # type: ignore[call-overload]
        if code == "REDUCE":
            self._last = _Type(self._kind)
        if code == "BUILD":
            self._in_type = False
        if isinstance(self._last, _Type):
            self._kind = self._last.name
            return None
        return self._value(code)

    def _value(self, code: str) -> str | float | None:
        value = self._last
        if isinstance(value, str) and _KIND.fullmatch(value):
            self._kind, self._in_type = value, True
            return None
        if self._in_type:
            return None
        if isinstance(value, int | float) and code in _NUMBERS:
            return float(value)
        if isinstance(value, bytes) and self._kind and len(value) == int(self._kind[1:]):
            return float(np.frombuffer(value, f"<{self._kind}")[0])
        return value if isinstance(value, str) else None


def _numbers_of(place: Path, key: str) -> Iterator[float]:
    """Numbers that directly follow a key in a pickled dictionary. Nothing of it is run."""
    memo: dict[int, object] = {}
    before: object = None
    with place.open("rb") as file:
        try:
            numpy_files.header(file)
            for code, argument, _ in pickletools.genops(file):
                if code.name == "MEMOIZE":
                    memo[len(memo)] = before
                elif code.name in ("PUT", "BINPUT", "LONG_BINPUT"):
                    memo[int(argument)] = before  # type: ignore[arg-type]
                elif code.name in ("GET", "BINGET", "LONG_BINGET"):  # a text that stood before
                    before = memo.get(int(argument))  # type: ignore[arg-type]
                else:
                    number = isinstance(argument, int | float) and code.name in _NUMBERS
                    if number and before == key:
                        yield float(argument)  # type: ignore[arg-type]
                    before = argument if isinstance(argument, str) else None
        except ValueError:
            return
