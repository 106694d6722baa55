r"""Products of a connectivity matrix with itself, under connectome_interpreter's names.

With A ``[pre, post]``, the n-th power holds what all paths of exactly n hops carry from pre to
post. All functions give the list of the powers 1 to n and differ in the order of the product, in
what becomes of small values and in the matrices returned. Columns are taken in chunks.

Nothing is written to disk: :func:`scipy.sparse.save_npz` writes what is returned.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from scipy import sparse

from ngpipe.connectome.construction import device_of
from ngpipe.connectome.groups import check_count, check_indices
from ngpipe.connectome.weights import inprop_csr, sparse_csr
from ngpipe.errors import ArgumentError, ArgumentTypeError

Power: TypeAlias = sparse.csc_matrix | np.ndarray
SIGNS = (1, -1, 0)


@dataclass(frozen=True)
class Kept:
    """Part of a power of W that is kept.

    Attributes:
        threshold: smaller magnitudes become 0 in every power and are not passed on.
        output_threshold: smaller magnitudes are left out of the result alone.
        root: results are the n-th roots of magnitudes, with the sign.
        of_root: whether ``output_threshold`` is on the roots.
    """

    threshold: int | float
    output_threshold: int | float
    root: bool
    of_root: bool = False


def compress_paths(  # noqa: PLR0913 (the signature of existing scripts)
    A: Any,  # noqa: ANN401
    step_number: int,
    threshold: int | float = 0,
    output_threshold: int | float = 1e-4,
    root: bool = False,
    chunkSize: int = 2000,
    device: Any = None,  # noqa: ANN401
    save_to_disk: bool = False,
    save_path: str = "./",
    save_prefix: str = "step_",
    return_results: bool = True,
    high_cpu_ram: bool = True,
    output_dtype: Any = np.float32,  # noqa: ANN401
    density_threshold: int | float = 0.2,
) -> list[Power]:
    r"""The powers 1 to n of a connectivity matrix.

    .. math:: S_1 = T(A), \qquad S_n = T(A \, S_{n-1})

    where T sets magnitudes below ``threshold`` to 0. Results hold
    :math:`\mathrm{sign}(S_n) |S_n|^{1/n}` with ``root``, without it :math:`S_n`.

    Differs from connectome_interpreter: values of just ``output_threshold`` stay, as its
    documentation says; products are in float64 if A is; nothing is written.

    Args:
        A: weights ``[pre, post]``, dense or sparse, or a connectome.
        step_number: highest power n [hops].
        threshold: least magnitude that is passed on; 0: all.
        output_threshold: least magnitude of S that a result holds.
        root: take roots, the mean strength of a hop.
        chunkSize: columns at a time; memory is two dense chunks.
        device: where products are taken; default: CUDA if there is one.
        save_to_disk: refused, as nothing is written.
        save_path: ignored, as is ``save_prefix``.
        save_prefix: ignored.
        return_results: refused if False.
        high_cpu_ram: ignored; results are kept in memory.
        output_dtype: of the results.
        density_threshold: results with a larger share of values that are not 0 are dense arrays.

    Returns:
        A matrix ``[pre, post]`` for each number of hops from 1: ``csc_matrix`` or array.

    Raises:
        ArgumentError: no hops, a chunk without columns, a matrix that is not square or not
            finite, results that are to be written or not returned.
    """
    _refuse_files(save_to_disk, return_results)
    hops = check_count("step_number", step_number, 1)
    kept = Kept(threshold, output_threshold, root)
    matrix = inprop_csr(A)
    powers = _powers(matrix, matrix, hops, kept, chunkSize, device)
    limit = density_threshold * matrix.shape[0] ** 2
    found = (power.astype(output_dtype) for power in powers)
    return [power.toarray() if power.nnz > limit else power for power in found]


def compress_paths_dense_chunked(  # noqa: PLR0913 (the signature of existing scripts)
    inprop: Any,  # noqa: ANN401
    step_number: int,
    threshold: int | float = 0,
    output_threshold: int | float = 1e-4,
    root: bool = False,
    chunkSize: int = 10000,
    dtype: torch.dtype = torch.float32,
    device: Any = None,  # noqa: ANN401
    save_to_disk: bool = False,
    save_path: str = "./",
    save_prefix: str = "step_",
) -> list[sparse.csc_matrix]:
    r"""The powers of a matrix, multiplied from the right, thresholds on their roots.

    As :func:`compress_paths` but for :math:`S_n = T(S_{n-1} A)`, which differs where ``threshold``
    is not 0; ``output_threshold`` is on the root if ``root``; results are always sparse.

    Differs from connectome_interpreter: thresholds are on the magnitude, so that inhibition stays.

    Args:
        inprop: weights ``[pre, post]``.
        step_number: highest power [hops].
        threshold: least magnitude that is passed on.
        output_threshold: least magnitude that a result holds.
        root: take roots.
        chunkSize: rows at a time.
        dtype: of torch, of products and results.
        device: as there.
        save_to_disk: refused.
        save_path: ignored.
        save_prefix: ignored.

    Raises:
        ArgumentError: as :func:`compress_paths`.
    """
    _refuse_files(save_to_disk, True)
    hops = check_count("step_number", step_number, 1)
    kept = Kept(threshold, output_threshold, root, of_root=True)
    turned = inprop_csr(inprop).T.tocsr().astype(torch.empty(0, dtype=dtype).numpy().dtype)
    powers = _powers(turned, turned, hops, kept, chunkSize, device)
    return [power.T.tocsc() for power in powers]


def compress_paths_not_chunked(
    inprop: Any,  # noqa: ANN401
    step_number: int,
    threshold: int | float = 0,
    output_threshold: int | float = 1e-4,
    root: bool = False,
    device: Any = None,  # noqa: ANN401
) -> list[sparse.csc_matrix]:
    """The same as :func:`compress_paths_dense_chunked` in one chunk, in the dtype of ``inprop``."""
    matrix = inprop_csr(inprop)
    dtype = torch.from_numpy(matrix.data[:0]).dtype
    width = max(1, matrix.shape[0])
    how = (threshold, output_threshold, root, width, dtype, device)
    return compress_paths_dense_chunked(matrix, step_number, *how)


def compress_paths_signed(  # noqa: PLR0913 (the signature of existing scripts)
    inprop: Any,  # noqa: ANN401
    idx_to_sign: Any,  # noqa: ANN401
    target_layer_number: int,
    threshold: int | float = 0,
    output_threshold: int | float = 1e-4,
    root: bool = False,
    chunkSize: int = 2000,
    save_to_disk: bool = False,
    save_path: str = "./",
    return_results: bool = True,
) -> tuple[list[sparse.csc_matrix], list[sparse.csc_matrix]]:
    r"""Excitation and inhibition carried by paths, by number of hops.

    With e the rows of A of excitatory neurons and i those of inhibitory ones,

    .. math::
        E_n = T(E_{n-1} e + I_{n-1} i), \qquad I_n = T(E_{n-1} i + I_{n-1} e), \qquad
        E_1 = T(e), \; I_1 = T(i)

    so that paths with an even number of inhibitory hops excite. Outputs of neurons with sign 0 are
    left out. On a :class:`ngpipe.wiring.container.Connectome`,
    :func:`ngpipe.wiring.paths.effective.effective_connectivity` forms only what is asked for.

    Differs from connectome_interpreter: weights below 0 are an error, as the sign is given for
    each neuron; every neuron needs a sign; thresholds and roots hold for one hop too.

    Args:
        inprop: magnitudes of weights ``[pre, post]``.
        idx_to_sign: 1, -1 or 0 for every neuron.
        target_layer_number: highest number of hops.
        threshold: least value that is passed on.
        output_threshold: least value that a result holds, before roots are taken.
        root: take roots.
        chunkSize: pre neurons at a time.
        save_to_disk: refused.
        save_path: ignored.
        return_results: refused if False.

    Returns:
        E and I by number of hops, each ``[pre, post]`` and at least 0.

    Raises:
        ArgumentError: as :func:`compress_paths`; a weight below 0, a neuron without a sign.
    """
    _refuse_files(save_to_disk, return_results)
    kept = Kept(threshold, output_threshold, root)
    return _signed(inprop, idx_to_sign, target_layer_number, kept, chunkSize)


def compress_paths_signed_no_chunking(
    inprop: Any,  # noqa: ANN401
    idx_to_sign: Any,  # noqa: ANN401
    target_layer_number: int,
    threshold: int | float = 0,
    output_threshold: int | float = 1e-4,
    root: bool = False,
) -> tuple[list[sparse.csc_matrix], list[sparse.csc_matrix]]:
    """The same as :func:`compress_paths_signed` in one chunk, ``output_threshold`` on roots."""
    kept = Kept(threshold, output_threshold, root, of_root=True)
    width = max(1, inprop_csr(inprop).shape[0])
    return _signed(inprop, idx_to_sign, target_layer_number, kept, width)


def add_first_n_matrices(matrices: Sequence[Any], n: int) -> Any:  # noqa: ANN401
    """The sum of the first n matrices: what paths of 1 to n hops carry together.

    Args:
        matrices: all dense or all sparse, of one shape, as of :func:`compress_paths`.
        n: how many.

    Raises:
        ArgumentError: fewer than n matrices, or other shapes among them.
    """
    if not 1 <= check_count("n", n, 1) <= len(matrices):
        raise ArgumentError(f"n is {n}, expected at most the number of matrices, {len(matrices)}")
    shapes = {matrix.shape for matrix in matrices[:n]}
    if len(shapes) > 1:
        raise ArgumentError(f"matrices have shapes {sorted(shapes)}, expected one for all")
    total = matrices[0].copy()
    for matrix in matrices[1:n]:
        total = total + matrix
    return total


def _signed(
    inprop: Any,  # noqa: ANN401
    idx_to_sign: Any,  # noqa: ANN401
    hops: int,
    kept: Kept,
    width: int,
) -> tuple[list[sparse.csc_matrix], list[sparse.csc_matrix]]:
    hops = check_count("target_layer_number", hops, 1)
    matrix = inprop_csr(inprop)
    if (matrix.data < 0).any():
        raise ArgumentError(
            f"inprop holds {matrix.data.min():g}, expected magnitudes, as idx_to_sign has the "
            "signs; give abs(inprop)"
        )
    n = matrix.shape[0]
    sign = _signs(idx_to_sign, n)
    excites, inhibits = (matrix.multiply((sign == s)[:, None]).T.tocsr() for s in (1, -1))
    # Acts on E^T above I^T, so that the product is from the left.
    both = sparse.block_array([[excites, inhibits], [inhibits, excites]], format="csr")
    start = sparse.vstack([excites, inhibits], format="csr")
    powers = [power.T.tocsc() for power in _powers(both, start, hops, kept, width, None)]
    return [power[:, :n] for power in powers], [power[:, n:] for power in powers]


def _signs(idx_to_sign: Any, n: int) -> np.ndarray:  # noqa: ANN401
    if not isinstance(idx_to_sign, Mapping):
        raise ArgumentTypeError(
            f"idx_to_sign is a {type(idx_to_sign).__name__}, expected a mapping from the index of "
            "each neuron to 1, -1 or 0; of a list: dict(enumerate(signs))"
        )
    check_indices(list(idx_to_sign), max(n, len(idx_to_sign)), "idx_to_sign: key")
    sign = {int(neuron): value for neuron, value in idx_to_sign.items()}
    wrong = [neuron for neuron in range(n) if sign.get(neuron) not in SIGNS]
    if wrong:
        raise ArgumentError(
            f"idx_to_sign has {sign.get(wrong[0])!r} for neuron {wrong[0]}, expected 1, -1, or 0 "
            "to leave its outputs out"
        )
    return np.array([sign[neuron] for neuron in range(n)])


def _powers(
    matrix: sparse.csr_array,
    start: sparse.csr_array,
    hops: int,
    kept: Kept,
    width: int,
    device: Any,  # noqa: ANN401
) -> list[sparse.csc_matrix]:
    """``start``, matrix @ start, matrix @ matrix @ start ..., with what is small left out."""
    width = check_count("chunkSize", width, 1)
    place = device_of(device)
    square = sparse.csr_array(matrix)
    rows, columns = (torch.from_numpy(a.astype(np.int32)) for a in (square.indptr, square.indices))
    weights = sparse_csr(rows, columns, torch.from_numpy(square.data)).to(place)
    columns_of = sparse.csc_array(start)
    chunks = [
        list(_of_chunk(weights, columns_of[:, first : first + width], hops, kept))
        for first in range(0, start.shape[1], width)
    ]
    return [sparse.csc_matrix(sparse.hstack(parts)) for parts in zip(*chunks, strict=True)]


def _of_chunk(
    weights: torch.Tensor, start: sparse.csc_array, hops: int, kept: Kept
) -> Iterator[sparse.csc_array]:
    state = torch.from_numpy(start.toarray()).to(weights.device)
    for power in range(1, hops + 1):
        if power > 1:
            state = weights @ state
        state[state.abs() < kept.threshold] = 0
        values = state
        if kept.root:
            values = state.sign() * state.abs() ** (1 / power)
        told = values if kept.of_root else state
        at = torch.nonzero((told.abs() >= kept.output_threshold) & (told != 0), as_tuple=True)
        yield sparse.csc_array(
            (values[at].cpu().numpy(), tuple(axis.cpu().numpy() for axis in at)), shape=start.shape
        )


def _refuse_files(save_to_disk: bool, return_results: bool) -> None:
    if save_to_disk or not return_results:
        asked = "save_to_disk=True" if save_to_disk else "return_results=False"
        raise ArgumentError(
            f"{asked} was given, but nothing is written here and results are always returned; "
            "leave it out, and write them by scipy.sparse.save_npz"
        )
