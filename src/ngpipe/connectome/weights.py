"""Sparse weights of a connectome: read from any matrix, and multiplied with a gradient.

W and its transpose are kept as CSR arrays, so that the product and its gradient are both a product
of CSR rows with a dense matrix, neurons by batch. Where the values of the edges are trained,
:class:`Edges` has their gradient too.
"""

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from ngpipe.errors import ArgumentError, ArgumentTypeError
from ngpipe.wiring.container import Connectome

SPARSE_NOTES = "Sparse (CSR tensor support is in beta|invariant checks are implicitly disabled)"
SPARSE_KINDS = (torch.sparse_coo, torch.sparse_csr, torch.sparse_csc)


def inprop_csr(inprop: Any) -> sparse.csr_array:  # noqa: ANN401
    """Weights with pre neurons in the rows, as :func:`as_csr`; a connectome is turned round.

    Raises:
        ArgumentError: as :func:`as_csr`.
    """
    turned = inprop.weights.T if isinstance(inprop, Connectome) else inprop
    return as_csr(turned, "inprop")


def as_csr(weights: Any, name: str = "all_weights") -> sparse.csr_array:  # noqa: ANN401
    """A square matrix as CSR with sorted indices and no duplicates, in float32 or float64.

    Args:
        weights: dense numpy array, any scipy sparse matrix or array, a dense or sparse tensor, or
            a connectome (``[post, pre]``).
        name: what the caller calls it.

    Raises:
        ArgumentTypeError: not a matrix.
        ArgumentError: not square, or holding NaN or infinity.
    """
    matrix = _scipy(weights.weights if isinstance(weights, Connectome) else weights, name)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ArgumentError(
            f"{name} has shape {tuple(matrix.shape)}, expected a square matrix: one row and one "
            "column a neuron"
        )
    matrix.sum_duplicates()
    bad = int((~np.isfinite(matrix.data)).sum())
    if bad:
        raise ArgumentError(
            f"{name} holds {bad} values that are not finite; set them to 0 where there is no "
            "connection"
        )
    return matrix


def _scipy(weights: Any, name: str) -> sparse.csr_array:  # noqa: ANN401
    if isinstance(weights, Tensor):
        weights = _from_tensor(weights.detach().cpu())
    if not (sparse.issparse(weights) or isinstance(weights, np.ndarray)):
        raise ArgumentTypeError(
            f"{name} is a {type(weights).__name__}, expected a numpy array, a scipy sparse matrix "
            "or a torch tensor"
        )
    if weights.ndim != 2 or weights.dtype.kind not in "fiub":
        raise ArgumentTypeError(
            f"{name} has {weights.ndim} axes of {weights.dtype}, expected a matrix of real numbers"
        )
    kind = np.float64 if weights.dtype.itemsize == 8 else np.float32
    return sparse.csr_array(weights, dtype=kind, copy=True)


def _from_tensor(weights: Tensor) -> sparse.coo_array | np.ndarray:
    if weights.dtype in (torch.float16, torch.bfloat16):
        weights = weights.float()
    if weights.layout not in SPARSE_KINDS:
        return weights.numpy()
    coo = (weights if weights.is_sparse else weights.to_sparse_coo()).coalesce()
    return sparse.coo_array((coo.values().numpy(), coo.indices().numpy()), shape=tuple(coo.shape))


def csr_buffers(matrix: sparse.csr_array, dtype: torch.dtype) -> dict[str, Tensor]:
    """Arrays of W and of its transpose, by name: what a network registers as buffers."""
    buffers = {}
    for prefix, oriented in (("w", matrix), ("wt", sparse.csr_array(matrix.T))):
        oriented.sort_indices()
        buffers[f"{prefix}_rows"] = torch.from_numpy(oriented.indptr.astype(np.int32))
        buffers[f"{prefix}_columns"] = torch.from_numpy(oriented.indices.astype(np.int32))
        buffers[f"{prefix}_values"] = torch.from_numpy(oriented.data).to(dtype)
    return buffers


def turned_order(matrix: sparse.csr_array) -> np.ndarray:
    """Edge of W, in CSR order, that each edge of its transpose is, ``(edge,)``."""
    numbers = np.arange(matrix.nnz, dtype=np.int32)
    numbered = sparse.csr_array((numbers, matrix.indices, matrix.indptr), shape=matrix.shape)
    return sparse.csr_array(numbered.T).data


def sparse_csr(rows: Tensor, columns: Tensor, values: Tensor) -> Tensor:
    """A square CSR tensor of the arrays given, without torch's notes about it.

    Torch 2.11 on CUDA says that invariants are not checked, even where that is asked for.
    """
    n = len(rows) - 1
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=SPARSE_NOTES)
        return torch.sparse_csr_tensor(rows, columns, values, (n, n), check_invariants=False)


class SparseProduct(torch.autograd.Function):
    r"""W x with the gradient :math:`W^\top g`, both as CSR products. W has no gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weights: Tensor, transposed: Tensor) -> Tensor:  # noqa: ANN401
        """The product, ``(neuron, batch)``."""
        ctx.weights, ctx.transposed = weights, transposed
        return weights @ x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        """The gradient of x; itself a sparse product, so that it can be differentiated again."""
        product = SparseProduct.apply(gradient.contiguous(), ctx.transposed, ctx.weights)
        return product, None, None


@dataclass(frozen=True)
class Edges:
    """W and its transpose as CSR patterns, with values that have a gradient; N neurons, E edges."""

    values: Tensor
    """Values of the edges in the order of W, ``(edge,)``."""
    rows: Tensor
    columns: Tensor
    turned_rows: Tensor
    turned_columns: Tensor
    turned_order: Tensor
    """Edge of W that each edge of the transpose is."""

    def product(self, x: Tensor) -> Tensor:
        """W x, ``(neuron, batch)``, with gradients to x and to the values."""
        return _EdgeProduct.apply(x, self.values, self, False)

    @cached_property
    def straight(self) -> Tensor:
        """W without gradient."""
        return sparse_csr(self.rows, self.columns, self.values.detach())

    @cached_property
    def turned(self) -> Tensor:
        """The transpose of W without gradient."""
        values = self.values.detach().index_select(0, self.turned_order)
        return sparse_csr(self.turned_rows, self.turned_columns, values)


class _EdgeProduct(torch.autograd.Function):
    r"""y = V x or, turned, :math:`V^\top x`, of edges with values v.

    .. math:: \partial L / \partial v_e = \sum_b g_{post(e) b} x_{pre(e) b}

    on the pattern alone. Gradients are made of the same two functions, so they can be
    differentiated again.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, values: Tensor, edges: Edges, turned: bool) -> Tensor:  # noqa: ANN401
        """The product, ``(neuron, batch)``."""
        ctx.save_for_backward(x, values)
        ctx.edges, ctx.turned = edges, turned
        return (edges.turned if turned else edges.straight) @ x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        """Gradients of x and of the values."""
        x, values = ctx.saved_tensors
        gradient = gradient.contiguous()
        of_x = of_values = None
        if ctx.needs_input_grad[0]:
            of_x = _EdgeProduct.apply(gradient, values, ctx.edges, not ctx.turned)
        if ctx.needs_input_grad[1]:
            post, pre = (x, gradient) if ctx.turned else (gradient, x)
            of_values = _AtEdges.apply(post, pre, ctx.edges)
        return of_x, of_values, None, None


class _AtEdges(torch.autograd.Function):
    r"""Products at the edges, :math:`\sum_b p_{post(e) b} q_{pre(e) b}`, ``(edge,)``."""

    @staticmethod
    def forward(ctx: Any, post: Tensor, pre: Tensor, edges: Edges) -> Tensor:  # noqa: ANN401
        """One number an edge."""
        ctx.save_for_backward(post, pre)
        ctx.edges = edges
        return torch.sparse.sampled_addmm(edges.straight, post, pre.t(), beta=0.0).values()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:  # noqa: ANN401
        """Gradients of both sides."""
        post, pre = ctx.saved_tensors
        edges = replace(ctx.edges, values=gradient.contiguous())
        of_post = _EdgeProduct.apply(pre, edges.values, edges, False)
        return of_post, _EdgeProduct.apply(post, edges.values, edges, True), None


def digest(buffers: Mapping[str, Tensor], names: Sequence[str]) -> Tensor:
    """SHA-256 of a connectome as 32 bytes: its buffers in the order of their names, and names.

    Weights count in single precision, so that a network has one digest in every dtype.
    """
    sha = hashlib.sha256(repr(list(names)).encode())
    for key in sorted(buffers):
        tensor = buffers[key].detach().cpu()
        tensor = tensor.float() if tensor.is_floating_point() else tensor.long()
        sha.update(f"{key} {tuple(tensor.shape)}".encode())
        sha.update(tensor.contiguous().numpy().tobytes())
    return torch.tensor(list(sha.digest()), dtype=torch.uint8)


def refuse_other_connectome(found: Mapping[str, Tensor | None], expected: Tensor) -> None:
    """Refuse a state whose digests are not those of a network.

    Raises:
        ArgumentError: one differs.
    """
    for what, value in found.items():
        if value is not None and not torch.equal(value.cpu(), expected.cpu()):
            raise ArgumentError(
                f"the state belongs to another connectome: {what} is {_hex(value)}, "
                f"this network's is {_hex(expected)}; build the network from the weights, "
                "sensory_indices and groups that it was saved with"
            )


def _hex(value: Tensor) -> str:
    return bytes(value.cpu().tolist()).hex()[:12]
