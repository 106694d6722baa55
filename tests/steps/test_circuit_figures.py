"""From the steps of a circuit to its panels: what is written is what they read."""

from pathlib import Path

import pytest
import torch

from ngpipe.artifacts import materials
from ngpipe.config.circuit.experiment import CircuitExperiment
from ngpipe.config.figures import KINDS, Panel, Style
from ngpipe.config.load import validate
from ngpipe.figures.drawing import compose
from ngpipe.steps import compare, motifs, respond, wire

KEY = "k" * 64
SWEEPS = {"network.balance": [None, 0.15], "network.probability": [0.0, 0.3]}


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    """Results of a small experiment in which some runs have no time to baseline."""
    one = validate(
        {
            "system": "circuit",
            "connectome": {
                "source": {
                    "kind": "synthetic",
                    "n_neurons": 60,
                    "n_others": 4,
                    "filters": {"min_synapses": 1},
                }
            },
            "network": {"gain": 0.01},
            "impulse": {"start": 0.5, "end": 2, "duration": 6},
            "runs": {"seeds": 2},
            "conditions": {"shuffled": {"shuffle": "degree"}},
            "sweep": SWEEPS,
            "measures": {"threshold_ratio": 0.02},
            "motifs": {"samples": 2},
        },
        CircuitExperiment,
        where="test",
    )
    directory = tmp_path_factory.mktemp("circuit")
    wire.run(one.connectome, directory, key=KEY)
    respond.run(one, directory, key=KEY, device=torch.device("cpu"))
    motifs.run(one.motifs, directory, key=KEY)
    compare.run(one.measures, one.reference, one.impulse, one.conditions, directory, key=KEY)
    return directory


def load(results: Path, kind: str, **spec):
    return materials.load(results, Panel(kind=kind, of="one", **spec), Style(dpi=60))


@pytest.mark.slow
@pytest.mark.parametrize("kind", [k for k, one in KINDS.items() if one.system == "circuit"])
def test_every_kind_draws_what_the_steps_wrote(results, kind):
    spec = {"parameter": "network.probability"} if kind == "response_sweep" else {}
    ax = compose.panel_figure(load(results, kind, **spec)).axes[0]
    assert ax.get_title(loc="left").endswith("(synthetic)")


@pytest.mark.slow
def test_pulse_and_threshold_are_those_that_were_run_and_measured(results):
    material = load(results, "impulse_response")
    assert (material.impulse.end, material.impulse.duration) == (2, 6)
    assert material.threshold == pytest.approx(0.2)


@pytest.mark.slow
def test_an_empty_value_is_a_place_of_its_own(results):
    """The table holds null as an empty field, like the value of runs without a sweep."""
    material = load(results, "response_sweep", parameter="network.balance")
    ax = compose.panel_figure(material).axes[0]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["none", "0.15"]
