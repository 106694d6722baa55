"""The formulas of connectome_interpreter 2.8.1, as loops over neurons, edges and targets."""

import math

import numpy as np
import torch


def bounded(value, threshold):
    """An input as it counts: 0 below the threshold, at most 1; NaN counts as 0."""
    if not value >= threshold:
        return 0.0
    return min(value, 1.0)


def divisive_edges(W, groups, divisive, strength):
    """(post, pre, weight times strength) of the edges that divide; they are cut out of W."""
    edges = []
    for post in range(len(W)):
        for pre in range(len(W)):
            receives = (divisive or {}).get((groups or {}).get(pre), [])
            if W[post, pre] != 0 and groups and groups[post] in receives:
                edges.append((post, pre, W[post, pre] * strength[groups[pre]]))
                W[post, pre] = 0.0
    return edges


def respond(W, before, edges, slope, bias, threshold):
    """Response of every neuron to the activities before."""
    after = np.zeros(len(W))
    for i in range(len(W)):
        a = slope(i)
        for post, pre, w in edges:
            if post == i:
                a = max(0.0, a * (1 + w * before[pre]))
        z = a * sum(W[i, j] * before[j] for j in range(len(W))) + bias(i)
        after[i] = math.tanh(z) if z >= threshold else 0.0
    return after


def forward(W, sensory, inputs, n_layers, *, threshold=0.01, bias=0.0, groups=None, **options):
    """Activities ``(neuron, layer)`` of one sample ``(sensor, time)``."""
    W = np.array(W, dtype=np.float64)
    edges = divisive_edges(W, groups, options.get("divisive"), options.get("strength"))
    slopes, biases = options.get("slopes"), options.get("biases")

    def slope_of(i):
        return 5.0 if slopes is None else slopes[groups[i]]

    def bias_of(i):
        return bias if biases is None else abs(biases[groups[i]])

    state = np.zeros(len(W))
    for k, neuron in enumerate(sensory):  # an index given twice: both are added
        state[neuron] += bounded(inputs[k][0], threshold)
    layers = []
    for layer in range(n_layers):
        state = respond(W, state, edges, slope_of, bias_of, threshold)
        if layer != n_layers - 1:
            alone = state.copy()
            for k, neuron in enumerate(sensory):  # an index given twice: the last value stays
                state[neuron] = alone[neuron] + bounded(inputs[k][layer + 1], threshold)
            state = np.minimum(state, 1.0)
        layers.append(state)
    return np.stack(layers, axis=1)


def dense_forward(W, sensory, u, n_layers, slope, bias, threshold):
    """The same with dense tensors, for gradients: ``(batch, sensor, time)``, no duplicates."""
    u = torch.where(u >= threshold, u, 0.0)
    u = torch.where(u > 1, 1.0, u)
    place = torch.zeros(W.shape[0], len(sensory), dtype=W.dtype)
    place[sensory, range(len(sensory))] = 1.0
    x = u[:, :, 0] @ place.T
    layers = []
    for layer in range(n_layers):
        z = slope * (x @ W.T) + bias
        x = torch.tanh(torch.where(z >= threshold, z, 0.0))
        if layer != n_layers - 1:
            x = x + u[:, :, layer + 1] @ place.T
            x = torch.where(x > 1, 1.0, x)
        layers.append(x)
    return torch.stack(layers, dim=-1)


def search(W, sensory, start, targets, n_layers, *, iterations, rate, lambdas, threshold=0.01):
    """Stimulus search: targets ``[{(neuron, layer): value}]`` by sample."""
    u = start.clone().requires_grad_(True)
    optimizer = torch.optim.Adam([u], lr=rate)
    history = []
    for _ in range(iterations):
        out = dense_forward(W, sensory, u, n_layers, 5.0, 0.0, threshold)
        act = 0.0
        for b, wanted in enumerate(targets):
            off = [(out[b, n, layer] - v) ** 2 for (n, layer), v in wanted.items()]
            act = act + (sum(off) / len(off) if off else 0.0)
        act = act / len(targets)
        ins = lambdas[0] * (u.abs().sum() + (u**2).sum() ** 0.5)
        outs = lambdas[1] * (out.abs().sum() + (out**2).sum() ** 0.5)
        history.append((act.item(), outs.item(), ins.item()))
        optimizer.zero_grad()
        (act + ins + outs).backward()
        optimizer.step()
    found = torch.tanh(torch.where(u >= threshold, u, 0.0)).detach()
    out = dense_forward(W, sensory, found, n_layers, 5.0, 0.0, threshold)
    return found.numpy(), out.numpy(), history


def train(W, sensory, inputs, rows, groups, n_layers, *, epochs, rate, penalty, trained):
    """Fitting: rows (batch, neuron, layer, value); slopes and biases by group."""
    names = sorted(set(groups))
    of = torch.tensor([names.index(g) for g in groups])
    slope = torch.full((len(names),), 5.0, requires_grad=True)
    raw = torch.full((len(names),), 0.1, requires_grad=True)
    start = [slope.detach().clone(), raw.detach().clone()]
    optimizer = torch.optim.Adam([slope, raw], lr=rate)
    history = []

    def error(samples):
        out = dense_forward(W, sensory, inputs, n_layers, slope[of], raw.abs()[of], 0.01)
        means = []
        for b in samples:
            off = [abs(out[b, n, layer] - v) for (s, n, layer, v) in rows if s == b]
            if off:
                means.append(sum(off) / len(off))
        return sum(means) / len(means)

    held_out = [b for b in range(len(inputs)) if b not in trained]
    for _ in range(epochs):
        loss = error(trained)
        moved = (slope - start[0]).abs().sum() + (raw - start[1]).abs().sum()
        optimizer.zero_grad()
        loss.backward()  # the penalty has no gradient in that version
        value = penalty * moved.item()
        optimizer.step()
        with torch.no_grad():
            history.append((loss.item() + value, loss.item(), value, error(held_out).item()))
    return slope.detach(), raw.detach(), history
