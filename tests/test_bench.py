"""The edge-wise model that the benchmark compares with computes the same rate."""

import importlib.util
from pathlib import Path

import torch

from ngpipe.assembly.gnn import AssemblyGNN, Scales
from ngpipe.config.training import Network

PATH = Path(__file__).parents[1] / "bench" / "edgewise.py"


def test_the_edgewise_model_gives_the_same_rate():
    spec = importlib.util.spec_from_file_location("edgewise", PATH)
    edgewise = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(edgewise)
    generator = torch.Generator().manual_seed(0)
    scales = Scales(activity=4.0, reach=20.0, rate=3.0)
    model = AssemblyGNN(9, Network(hidden=8), scales, None, generator)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
    x = 5 * torch.randn(9, generator=generator)
    expected, found = model(0.0, x), edgewise.rate(model, x, *edgewise.edges(9))
    torch.testing.assert_close(found, expected)
