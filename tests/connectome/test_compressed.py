"""Powers of a connectivity matrix, chunk by chunk, against products of dense matrices."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from versions import recorded

from ngpipe.connectome import (
    add_first_n_matrices,
    compress_paths,
    compress_paths_dense_chunked,
    compress_paths_not_chunked,
    compress_paths_signed,
    compress_paths_signed_no_chunking,
)
from ngpipe.errors import ArgumentError, ArgumentTypeError
from ngpipe.wiring.container import Connectome

N = 9
ALL = {"output_threshold": 0, "density_threshold": 1}
ROW, COLUMN = np.indices((6, 6))
LISTED = (3 * ROW + 5 * COLUMN + ROW * COLUMN) % 4 < 2
FIXED = np.where(LISTED & (ROW != COLUMN), ((7 * ROW + 3 * COLUMN) % 10 + 1) / 20, 0)
"""Whose numbers were recorded, ``[pre, post]``."""
FIXED_SIGNS = dict(enumerate([1, -1, 1, 1, -1, 1]))
RECORDED = recorded("paths")
"""Of the head; the release gives the same where it has these functions."""


@pytest.fixture
def weights(rng):
    return rng.normal(size=(N, N)) * (rng.random((N, N)) < 0.5)


def dense(matrix):
    return matrix.toarray() if sparse.issparse(matrix) else matrix


def cut(matrix, threshold):
    return np.where(np.abs(matrix) < threshold, 0, matrix)


def rooted(matrix, hops):
    return np.sign(matrix) * np.abs(matrix) ** (1 / hops)


@pytest.mark.parametrize("width", [1, 4, N, 100])
@pytest.mark.parametrize("root", [False, True])
def test_powers_are_products(weights, width, root):
    found = compress_paths(weights, 4, root=root, chunkSize=width, device="cpu", **ALL)
    assert len(found) == 4
    for hops, matrix in enumerate(found, start=1):
        expected = np.linalg.matrix_power(weights, hops)
        expected = rooted(expected, hops) if root else expected
        assert matrix.dtype == np.float32
        np.testing.assert_allclose(dense(matrix), expected, rtol=1e-5, atol=1e-6)


def test_what_is_small_is_not_passed_on_or_not_told(weights):
    state = told = cut(weights, 0.8)
    left = compress_paths(weights, 3, 0.8, device="cpu", **ALL)
    for hops, matrix in enumerate(left, start=1):
        state = told if hops == 1 else cut(weights @ state, 0.8)
        np.testing.assert_allclose(dense(matrix), state, rtol=1e-5)
    state = told
    right = compress_paths_dense_chunked(weights, 3, 0.8, output_threshold=0, device="cpu")
    for hops, matrix in enumerate(right, start=1):
        state = told if hops == 1 else cut(state @ weights, 0.8)
        np.testing.assert_allclose(dense(matrix), state, rtol=1e-5)
    assert abs(dense(left[2]) - dense(right[2])).max() > 0.1
    shown = compress_paths(weights, 3, output_threshold=0.8, device="cpu")[2]
    whole = np.linalg.matrix_power(weights, 3)
    np.testing.assert_allclose(dense(shown), cut(whole, 0.8), rtol=1e-5)


def test_the_threshold_of_a_root_is_on_the_product_or_on_the_root(weights):
    options = {"output_threshold": 0.8, "root": True, "device": "cpu"}
    square = weights @ weights
    of_product = np.where(np.abs(square) < 0.8, 0, rooted(square, 2))
    np.testing.assert_allclose(dense(compress_paths(weights, 2, **options)[1]), of_product, 1e-5)
    of_root = cut(rooted(square, 2), 0.8)
    assert (of_root != 0).sum() > (of_product != 0).sum()
    for function in (compress_paths_dense_chunked, compress_paths_not_chunked):
        np.testing.assert_allclose(dense(function(weights, 2, **options)[1]), of_root, rtol=1e-5)


def test_dense_results_are_arrays_and_others_sparse(weights):
    first, second = compress_paths(weights, 2, density_threshold=0.6, device="cpu")
    assert isinstance(first, sparse.csc_matrix)
    assert isinstance(second, np.ndarray)


def test_a_connectome_is_turned_round(weights):
    connectome = Connectome(sparse.csr_array(weights.T), pd.DataFrame({"id": range(N)}))
    for one, other in zip(
        compress_paths(connectome, 2, device="cpu", **ALL),
        compress_paths(weights, 2, device="cpu", **ALL),
        strict=True,
    ):
        np.testing.assert_allclose(dense(one), dense(other), rtol=1e-5, atol=1e-6)


def test_doubles_keep_their_digits(weights):
    (found,) = compress_paths_not_chunked(weights, 3, output_threshold=0, device="cpu")[2:]
    np.testing.assert_allclose(found.toarray(), np.linalg.matrix_power(weights, 3), rtol=1e-13)
    dtype = compress_paths_dense_chunked(weights, 1, dtype=torch.float32, device="cpu")[0].dtype
    assert dtype == np.float32


@pytest.mark.parametrize("function", [compress_paths_signed, compress_paths_signed_no_chunking])
def test_signed_powers_of_two_parts(weights, function):
    """E - I is the power of the signed matrix, E + I that of its magnitudes."""
    signs = np.array([1, -1, 1, 1, -1, 1, -1, 1, 1])
    size = np.abs(weights)
    excites, inhibits = function(size, dict(enumerate(signs)), 3, output_threshold=0)
    for hops, (e, i) in enumerate(zip(excites, inhibits, strict=True), start=1):
        assert e.data.min() > 0
        assert i.data.min() > 0
        signed = np.linalg.matrix_power(size * signs[:, None], hops)
        np.testing.assert_allclose((e - i).toarray(), signed, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose((e + i).toarray(), np.linalg.matrix_power(size, hops), rtol=1e-9)


def test_neurons_of_sign_0_send_nothing(weights):
    signs = dict(enumerate([1] * (N - 1) + [0]))
    (first, second), inhibited = compress_paths_signed(np.abs(weights), signs, 2, chunkSize=2)
    silent = np.abs(weights)
    silent[-1] = 0
    np.testing.assert_allclose(second.toarray(), silent @ silent, rtol=1e-5)
    assert first[[N - 1]].nnz == 0
    assert not any(matrix.nnz for matrix in inhibited)


def test_numbers_of_connectome_interpreter():
    given = sparse.csc_matrix(FIXED.astype(np.float32))
    options = {"output_threshold": 0.09}
    powers = compress_paths(given, 3, threshold=0.05, root=True, device="cpu", **options)
    from_the_right = compress_paths_dense_chunked(given, 3, 0.1, device="cpu", **options)
    signed = compress_paths_signed(given, FIXED_SIGNS, 3, threshold=0.05, **options)
    for found, case in ((powers, "powers"), (from_the_right, "from_the_right")):
        np.testing.assert_allclose([dense(m) for m in found], RECORDED[case], atol=2e-6)
    found = [[dense(matrix) for matrix in part] for part in signed]
    np.testing.assert_allclose(found, RECORDED["signed"], atol=2e-6)


def test_sums_of_matrices(weights):
    powers = compress_paths(weights, 3, density_threshold=1, device="cpu")
    before = powers[0].copy()
    total = add_first_n_matrices(powers, 2)
    np.testing.assert_allclose(total.toarray(), (powers[0] + powers[1]).toarray())
    assert (powers[0] != before).nnz == 0
    with pytest.raises(ArgumentError, match="n is 4, expected at most the number of matrices, 3"):
        add_first_n_matrices(powers, 4)
    with pytest.raises(ArgumentError, match=r"shapes \[\(2, 2\), \(3, 3\)\], expected one for all"):
        add_first_n_matrices([np.eye(2), np.eye(3)], 2)


def test_refusals(weights):
    with pytest.raises(ArgumentError, match="step_number is 0, expected at least 1"):
        compress_paths(weights, 0)
    with pytest.raises(ArgumentError, match="chunkSize is 0, expected at least 1"):
        compress_paths(weights, 1, chunkSize=0, device="cpu")
    with pytest.raises(ArgumentError, match=r"save_to_disk=True was given.*scipy.sparse.save_npz"):
        compress_paths(weights, 1, save_to_disk=True)
    with pytest.raises(ArgumentError, match="return_results=False was given"):
        compress_paths_signed(weights, {}, 1, return_results=False)
    with pytest.raises(ArgumentError, match="expected magnitudes, as idx_to_sign has the signs"):
        compress_paths_signed(weights, dict.fromkeys(range(N), 1), 1)
    size = np.abs(weights)
    with pytest.raises(ArgumentError, match="idx_to_sign has None for neuron 8, expected 1, -1"):
        compress_paths_signed(size, dict.fromkeys(range(N - 1), 1), 1)
    with pytest.raises(ArgumentTypeError, match="idx_to_sign: key must be whole numbers, got '0'"):
        compress_paths_signed(size, {str(k): 1 for k in range(N)}, 1)
    with pytest.raises(ArgumentTypeError, match="idx_to_sign is a list, expected a mapping"):
        compress_paths_signed(size, [1] * N, 1)
