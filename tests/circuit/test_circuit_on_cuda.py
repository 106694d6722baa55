"""The same circuits on CUDA: both engines agree with the CPU."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from notebook_loops import small_circuit

from ngpipe.circuit.blocks import NOTEBOOK
from ngpipe.circuit.impulse import Impulse
from ngpipe.circuit.rates import Neurons
from ngpipe.circuit.respond import respond

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


@pytest.mark.parametrize("engine", ["linear", "step"])
def test_responses(rng, engine):
    strong = replace(NOTEBOOK, balance=4.0)
    circuits = [small_circuit(rng, s, p) for s, p in enumerate([NOTEBOOK, strong] * 2)]
    impulse = Impulse(start=0.5, end=4.0, duration=20.0)
    found, expected = (
        respond(circuits, impulse, Neurons(), engine=engine, device=d) for d in ("cuda", "cpu")
    )
    np.testing.assert_allclose(found.excitatory, expected.excitatory, rtol=0, atol=1e-10)
    np.testing.assert_array_equal(found.stepped_from, expected.stepped_from)
