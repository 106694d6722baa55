"""The notebook's model, written out in loops over rows and steps: what the library is held to."""

import networkx as nx
import numpy as np

from ngpipe.circuit.blocks import NOTEBOOK, Circuit, circuit, notebook_draw


def notebook_weights(syn_mat, seed, *, r=0.15, g=0.002, p=0.25, b=0.15):
    """W[post, pre] of synapse sizes [pre, post]; one neuron after the other."""
    n_exc = len(syn_mat)
    n = int(n_exc / (1 - r))
    edges = nx.to_numpy_array(nx.erdos_renyi_graph(n, p, seed=seed, directed=True))
    W = g * 10 ** np.abs(np.random.RandomState(seed).normal(1, 0.2, (n, n)))
    for i in range(n):
        for j in range(n):
            W[i, j] = W[i, j] * edges[i, j]
            if i < n_exc and j < n_exc:
                W[i, j] = syn_mat[j, i]
            if j >= n_exc:
                W[i, j] = -W[i, j]
    if b is not None:
        excitation, inhibition = W[:, :n_exc].sum(axis=1), W[:, n_exc:].sum(axis=1)
        for i in range(n):
            if inhibition[i]:
                W[i, n_exc:] *= excitation[i] / -inhibition[i] * b
    return W


def notebook_rates(W, n_exc, impulse, tau=0.25, f=lambda v: np.maximum(0, v)):
    """Activity (neuron, time), and the smallest input of any neuron at each step."""
    steps, dt = impulse.n_steps, impulse.dt
    r, lowest = np.zeros((len(W), steps)), np.zeros(steps - 1)
    for k in range(steps - 1):
        received = W @ r[:, k]
        if impulse.start <= k * dt <= impulse.end:
            received[:n_exc] += impulse.strength
        lowest[k] = received.min()
        r[:, k + 1] = r[:, k] + (-r[:, k] + f(received)) * dt / tau
    return r, lowest


def notebook_time(mean, impulse, ratio=0.01):
    """Time back to baseline; an IndexError where there is none."""
    t = np.arange(len(mean)) * impulse.dt
    on = np.flatnonzero((t >= impulse.start) & (t <= impulse.end))
    threshold = impulse.strength * ratio + mean[on[0] - 1]
    after = t[on[-1] :]
    return after[mean[on[-1] :] < threshold][0] - on[-1] * impulse.dt


def measured(rng, n=40, *, row_sum=0.8, density=0.2):
    """Synapse sizes [post, pre]: log-normal, without autapses, with this mean summed weight."""
    sizes = rng.lognormal(8.6, 0.9, (n, n)) * (rng.random((n, n)) < density)
    np.fill_diagonal(sizes, 0)
    return np.rint(sizes * row_sum * NOTEBOOK.ee_unit / sizes.sum(axis=1).mean())


def small_circuit(rng, seed=0, parameters=NOTEBOOK, **sizes) -> Circuit:
    """Random measured sizes within the notebook's blocks."""
    ee = measured(rng, **sizes)
    return circuit(ee, notebook_draw(len(ee), parameters, seed), parameters)
