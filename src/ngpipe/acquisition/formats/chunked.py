"""Arrays on disk, read frame by frame without reading a chunk twice or holding all."""

import os
import tempfile
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Shaped

HELD = 64 * 2**20
"""Bytes of a file that are held at a time; a single chunk that is larger is held whole."""

Read = Callable[[slice, slice], Shaped[np.ndarray, "row column"]]


@dataclass(frozen=True)
class Chunked:
    """An array of two dimensions in a file."""

    shape: tuple[int, int]
    dtype: np.dtype
    read: Read
    """Some rows and some columns."""
    chunks: tuple[int, int] | None = None
    """Rows and columns that can only be read together; None: any can be read alone."""

    @property
    def turned(self) -> "Chunked":
        """The same array with rows and columns exchanged."""
        chunks = None if self.chunks is None else self.chunks[::-1]
        return Chunked(self.shape[::-1], self.dtype, lambda r, c: self.read(c, r).T, chunks)


def in_memory(values: Shaped[np.ndarray, "row column"]) -> Chunked:
    """An array that is in memory, or a memory map."""
    return Chunked(values.shape, values.dtype, lambda rows, columns: values[rows, columns])


Block = Callable[[int, int], Shaped[np.ndarray, "frame neuron"]]


def by_frames(array: Chunked) -> Block:
    """Reader of frames ``start`` to ``stop`` of an array (frame, neuron).

    Frames asked for in order cost one reading of each chunk, and about :data:`HELD` bytes of
    memory. Where the chunks of a few frames hold too much for that, because they are long in time,
    the file is first laid out anew in a temporary file.
    """
    if array.chunks is None:
        return lambda start, stop: array.read(slice(start, stop), slice(None))
    frames, neurons = array.shape
    length = min(array.chunks[0], frames)
    row = length * neurons * array.dtype.itemsize
    if row <= HELD:
        return _Windows(array, length * max(1, HELD // max(1, row)))
    return _Relaid(array)


class _Windows:
    """Whole chunks of all neurons over a stretch of time, of which the last is kept."""

    def __init__(self, array: Chunked, length: int) -> None:
        self._array, self._length = array, length
        self._index, self._window = -1, np.empty((0, array.shape[1]))

    def __call__(self, start: int, stop: int) -> np.ndarray:
        stop = min(stop, self._array.shape[0])
        parts = list(self._parts(start, stop))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _parts(self, start: int, stop: int) -> Iterator[np.ndarray]:
        for k in range(start // self._length, max(start, stop - 1) // self._length + 1):
            first = k * self._length
            if k != self._index:
                self._window = np.empty((0, 0))  # two are not held at a time
                rows = slice(first, min(first + self._length, self._array.shape[0]))
                self._window, self._index = self._array.read(rows, slice(None)), k
            yield self._window[max(start - first, 0) : stop - first]


class _Relaid:
    """The array in a temporary file without chunks: a few neurons after the other, all frames."""

    def __init__(self, array: Chunked) -> None:
        self._array = array
        neurons = array.shape[1]
        rows, columns = array.chunks or (1, 1)
        self._width = min(neurons, columns * max(1, HELD // (rows * columns * self._item)))
        self._rows = rows * max(1, HELD // (rows * self._width * self._item))
        self._file = tempfile.TemporaryFile(prefix="ngpipe-")  # noqa: SIM115
        weakref.finalize(self, self._file.close)
        self._filled = False

    @property
    def _item(self) -> int:
        return self._array.dtype.itemsize

    def _slabs(self) -> Iterator[slice]:
        neurons = self._array.shape[1]
        return (slice(k, min(k + self._width, neurons)) for k in range(0, neurons, self._width))

    def _fill(self) -> None:
        for columns in self._slabs():
            for start in range(0, self._array.shape[0], self._rows):
                rows = slice(start, min(start + self._rows, self._array.shape[0]))
                part = np.ascontiguousarray(self._array.read(rows, columns), self._array.dtype)
                os.pwrite(self._file.fileno(), part.data, self._place(columns, start))
        self._filled = True

    def _place(self, columns: slice, frame: int) -> int:
        width = columns.stop - columns.start
        return (self._array.shape[0] * columns.start + frame * width) * self._item

    def __call__(self, start: int, stop: int) -> np.ndarray:
        if not self._filled:
            self._fill()
        stop = min(stop, self._array.shape[0])
        found = np.empty((stop - start, self._array.shape[1]), self._array.dtype)
        for columns in self._slabs():
            width = columns.stop - columns.start
            size = (stop - start) * width * self._item
            raw = os.pread(self._file.fileno(), size, self._place(columns, start))
            found[:, columns] = np.frombuffer(raw, self._array.dtype).reshape(-1, width)
        return found
