"""The same code on CUDA: fits, searches, attribution and noise agree with the CPU."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from networks import GROUPS, weights

from ngpipe.connectome import (
    MultilayeredNetwork,
    ablation,
    find_stimuli,
    integrated_edge_attribution,
    integrated_gradients,
    robustness,
    silence,
    smoothgrad,
)
from ngpipe.connectome.optimisation.fit import fit
from ngpipe.connectome.optimisation.objectives import activity
from ngpipe.connectome.optimisation.penalties import group_sparsity, l1

MultilayeredNetwork = partial(MultilayeredNetwork, preset="current")

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
LAYERS = 4


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def networks(rng) -> list[MultilayeredNetwork]:
    """One network on the CPU and one on CUDA, in double precision, with divisive inhibition."""
    W = weights(rng)
    members = np.array([GROUPS[i] for i in range(12)])
    between = np.ix_(members == "b", members == "d")
    W[between] = -np.abs(W[between])
    options = {
        "idx_to_group": GROUPS,
        "tau": 2.0,
        "dtype": torch.float64,
        "divisive_normalization": {"d": ["b"]},
    }
    return [
        MultilayeredNetwork(W, [0, 1, 2], LAYERS, device=device, **options)
        for device in ("cpu", "cuda")
    ]


@pytest.fixture
def inputs(generator) -> torch.Tensor:
    return torch.rand(3, 3, LAYERS, generator=generator, dtype=torch.float64)


def agree(networks: list[MultilayeredNetwork], call, tolerance: float = 1e-8) -> None:
    """A result on both devices, as arrays by name."""
    one, other = (call(network) for network in networks)
    for name in one:
        np.testing.assert_allclose(one[name], other[name], atol=tolerance, err_msg=str(name))


def test_attribution(networks, inputs):
    agree(
        networks,
        lambda n: {
            "gradients": integrated_gradients(n, inputs, activity(n, "c"), steps=8)["attribution"],
            "edges": integrated_edge_attribution(n, inputs, activity(n, "c"), steps=8)[
                "attribution"
            ],
            "ablation": ablation(n, inputs, activity(n, "c")),
        },
    )


def test_search(networks):
    agree(
        networks,
        lambda n: find_stimuli(
            n,
            activity(n, "c") - activity(n, "b"),
            penalty=0.01 * l1() + 0.001 * group_sparsity(n),
            starts=3,
            diversity=0.1,
            iterations=10,
            schedule=silence("a", layers=1),
            generator=seeded(),
        )[["stimulus", "objective", "penalty"]],
        tolerance=1e-6,
    )


def test_fit_of_all_that_can_be_trained(networks, inputs):
    table = pd.DataFrame({"batch": [0, 1, 2], "neuron_idx": [5, 6, 7], "value": [0.2, 0.4, 0.1]})
    everything = ("slopes", "biases", "divisive_strength", "tau", "strengths")
    agree(
        networks,
        lambda n: fit(
            n, inputs, table, generator=seeded(), held_out=[2], epochs=5, train=everything
        ),
        tolerance=1e-6,
    )


def test_noise_of_inputs_and_synapses(networks, inputs):
    """Noise is drawn on the CPU, so that it is the same on every device."""
    agree(
        networks,
        lambda n: {
            "smoothgrad": smoothgrad(
                n, inputs, activity(n, "c"), noise=0.1, samples=4, generator=seeded()
            )["gradient"],
            "robustness": robustness(
                n, inputs, activity(n, "c"), [0.0, 0.2], draws=3, generator=seeded()
            ),
        },
    )
