"""Frames of arrays on disk: the same values however they are cut, each chunk read once."""

import itertools

import numpy as np
import pytest

from ngpipe.acquisition.formats import chunked
from ngpipe.acquisition.formats.chunked import Chunked, by_frames, in_memory


class Counted:
    """An array of which every reading counts the chunks that it touches."""

    def __init__(self, values, chunks):
        self.values, self.chunks, self.touched, self.largest = values, chunks, [], 0

    def read(self, rows, columns):
        spans = [
            range(s.indices(n)[0] // c, -(-s.indices(n)[1] // c))
            for s, n, c in zip((rows, columns), self.values.shape, self.chunks, strict=True)
        ]
        self.touched += itertools.product(*spans)
        found = self.values[rows, columns]
        self.largest = max(self.largest, found.nbytes)
        return found

    @property
    def array(self):
        return Chunked(self.values.shape, self.values.dtype, self.read, self.chunks)


@pytest.mark.quick
@pytest.mark.parametrize(
    "chunks", [(10, 5), (7, 5), (100, 1), (100, 3), (33, 2), (1, 5), (100, 5), (64, 64)]
)
@pytest.mark.parametrize("step", [1, 9, 40, 100])
@pytest.mark.parametrize("held", [200, 1000, 10**6])
def test_every_chunk_is_read_once(rng, monkeypatch, chunks, step, held):
    monkeypatch.setattr(chunked, "HELD", held)
    counted = Counted(rng.normal(size=(100, 5)), chunks)
    block = by_frames(counted.array)
    found = np.concatenate([block(k, k + step) for k in range(0, 100, step)])
    np.testing.assert_array_equal(found, counted.values)
    assert len(counted.touched) == len(set(counted.touched))
    assert counted.largest <= max(held, 8 * min(chunks[0], 100) * min(chunks[1], 5))


def test_turned_is_the_transpose(rng):
    values = rng.normal(size=(6, 4))
    turned = in_memory(values).turned
    assert turned.shape == (4, 6)
    np.testing.assert_array_equal(turned.read(slice(1, 3), slice(2, 6)), values.T[1:3, 2:6])
    assert Chunked((6, 4), values.dtype, lambda r, c: values[r, c], (3, 2)).turned.chunks == (2, 3)
