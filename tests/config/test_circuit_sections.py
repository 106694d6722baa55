"""Experiments of the circuit system: what contradicts itself, sweeps, defaults, keys."""

import inspect
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from ngpipe.circuit import blocks, measures, rates, respond
from ngpipe.circuit import impulse as circuit_impulse
from ngpipe.circuit.impulse import Impulse
from ngpipe.config import wiring
from ngpipe.config.circuit.conditions import Condition
from ngpipe.config.circuit.experiment import CircuitExperiment
from ngpipe.config.circuit.measures import Measures
from ngpipe.config.circuit.runs import SWEPT, Runs
from ngpipe.config.load import validate
from ngpipe.config.nulls import null_kinds
from ngpipe.config.sweep import points, varied
from ngpipe.config.systems import load_experiment
from ngpipe.errors import ConfigError
from ngpipe.study import stages
from ngpipe.wiring.nulls import NULLS, ablations
from ngpipe.wiring.sources import synapses, synthetic_synapses

FILES = {"kind": "synapses", "synapses": "s.feather", "cells": "c.feather"}


def read(content: dict | None = None, **sections: object) -> CircuitExperiment:
    return validate({**(content or {}), **sections}, CircuitExperiment, where="bad.yaml")


def changed(path: str, value: object) -> dict:
    """An experiment with one key, named by its path, set."""
    *above, last = path.split("/")
    content: object = {last: value}
    for part in reversed(above):
        content = {part: content}
    return content


def refusal(content: dict) -> str:
    with pytest.raises(ConfigError) as caught:
        read(content)
    return str(caught.value)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("impulse/strength", -10, "impulse.strength: Input should be greater than 0 (got -10)"),
        ("impulse/strength", None, "impulse.strength: is empty; give it a value"),
        (
            "impulse/end",
            50,
            "impulse: the pulse ends at 50 s and the run at 50 s, which le",
        ),
        (
            "impulse/end",
            49.99,
            "impulse: the pulse ends at 49.99 s and the run at 50 s, w",
        ),
        ("impulse/start", 20, "impulse: the pulse from 20 to 15 s is on at none of the 5000 steps"),
        ("impulse/dt", 0.3, "impulse.dt (0.3 s) exceeds neurons.tau (0.25 s): such steps overs"),
        (
            "impulse/dt",
            20,
            "impulse: the pulse from 1 to 15 s is on at none of the 2 steps of",
        ),
        ("network/probability", 1.2, "network.probability: Input should be less than or equal"),
        ("network/inhibitory", 1, "network.inhibitory: Input should be less than or equal to 0.99"),
        ("network/balance", -1, "network.balance: Input should be greater than or equal to 0"),
        ("network/ee_unit", 0, "network.ee_unit: Input should be greater than 0"),
        ("network/gian", 1, "network.gian: there is no such key; did you mean 'gain'?"),
        (
            "neurons/response",
            "relu",
            "neurons.response: there is no 'relu'; expected one of ",
        ),
        ("neurons/response", "saturating", "runs.engine is 'linear', but a saturating response"),
        ("runs/seeds", 0, "runs.seeds: Input should be greater than or equal to 1"),
        ("runs/seed", 2**31, "runs.seed: Input should be less than 2147483648"),
        (
            "runs/draws",
            "mine",
            "runs.draws: there is no 'mine'; expected one of",
        ),
        ("conditions/mine", {}, "conditions.mine: a condition needs `shuffle`, `remove` or both"),
        (
            "conditions/mine",
            {"shuffle": "degree", "match": "count"},
            "conditions.mine: `match` needs `remove`, which says how much is taken",
        ),
        ("conditions/mine", {"shuffle": "shape"}, "conditions.mine.shuffle: there is no 'shape'; "),
        (
            "conditions/mine",
            {"shuffle": "signs"},
            "the null 'signs' changes signs",
        ),
        (
            "motifs",
            {"nulls": ["degree", "signs"]},
            "the null 'signs' changes signs",
        ),
        ("conditions/observed", {"shuffle": "degree"}, "conditions.observed: reserved for the c"),
        ("conditions/a b", {"shuffle": "degree"}, "conditions.a b"),
        ("measures/threshold_ratio", 0, "measures.threshold_ratio: Input should be greater than"),
        ("motifs/nulls", ["any"], "motifs.nulls.0: there is no 'any'; "),
        ("motifs/nulls", ["degree", "degree"], "motifs.nulls: a null is named twice; name each"),
        ("motifs/samples", 1, "motifs.samples: Input should be greater than or equal to 2"),
        ("sweep/network.gian", [1], "sweep.network.gian: there is no key 'gian'; the keys there"),
        ("sweep/network.gain.x", [1], "sweep.network.gain.x: there is no key 'x'; the keys there"),
        ("sweep/nework.gain", [1], "sweep.nework.gain is of none of the sections ['network',"),
        ("sweep/impulse.dt", [0.02], "sweep.impulse.dt is of none of the sections ['network', 'n"),
        ("sweep/runs.seeds", [2, 3], "sweep.runs.seeds is of none of the sections"),
        (
            "sweep/network",
            [0.1],
            "sweep.network: with 0.1, network: Input should be a dictionar",
        ),
        (
            "sweep/network.probability",
            [0.2, 1.2],
            "sweep.network.probability: with 1.2, network.probability: Input should be less than",
        ),
        (
            "sweep/neurons.tau",
            [0.5, 0.001],
            "sweep.neurons.tau: with 0.001, experiment: impulse.dt (0.01 s) exceeds neurons.tau",
        ),
        (
            "sweep/neurons.response",
            ["linear", "saturating"],
            "sweep.neurons.response: with 'saturating', experiment: runs.engine is 'linear', but",
        ),
        ("sweep/network.gain", [], "sweep.network.gain: Tuple should have at least 1 item"),
        ("sweep/network.gain", [0.1, 0.1], "sweep.network.gain has a value twice in [0.1, 0.1]"),
        ("sweep/network.gain", [1, 1.0], "sweep.network.gain has a value twice in [1, 1.0]"),
        ("connectome/source", {**FILES, "columns": {"sise": "x"}}, "connectome.source.columns.sis"),
        (
            "connectome/source",
            {**FILES, "columns": {"size": None}},
            "connectome.source.columns: size is None, expected the name of a column",
        ),
        (
            "connectome/source",
            {**FILES, "columns": {"pre": ["a", "b", "c"]}},
            "connectome.source.columns: pre is ('a', 'b', 'c'), expected the name of a column",
        ),
        (
            "connectome/source",
            {**FILES, "columns": {"position": ["x", "y"]}},
            "connectome.source.columns.position",
        ),
        (
            "connectome/source",
            {**FILES, "columns": {"position": None}},
            "connectome.source.columns: position is None, expected",
        ),
        ("connectome/source", {"kind": "synapses", "cells": "c"}, "connectome.source.synapses: F"),
        ("connectome/source", {"kind": "synthetic", "n_neurons": 1}, "connectome.source.n_neurons"),
        ("stimuli", {}, "stimuli: there is no such key"),
    ],
)
def test_what_is_wrong_is_named(path, value, message):
    assert message in refusal(changed(path, value))


def test_several_contradictions_are_named_at_once():
    content = changed("conditions/observed", {"remove": "both"})
    content |= {"impulse": {"dt": 0.3}, "sweep": {"runs.seed": [1], "network.gain": [-1]}}
    text = refusal(content)
    for words in ("conditions.observed", "impulse.dt", "sweep.runs.seed is", "network.gain: with"):
        assert words in text


@pytest.mark.parametrize(
    "pulse",
    [
        {"duration": 5.004, "end": 4.995},
        {"duration": 5.0, "end": 4.99},
        {"start": 1.001, "end": 1.009},
        {"dt": 0.2, "duration": 1.45, "start": 0.1, "end": 1.21},
        {"start": 0.3, "end": 0.7, "duration": 1.0, "dt": 0.1},
        {"start": 0.3, "end": 0.9, "duration": 1.0, "dt": 0.1},
        {"duration": 1.096, "end": 1.085},
    ],
    ids=str,
)
def test_a_pulse_is_refused_where_its_steps_leave_nothing_to_measure(pulse):
    """Steps are counted as they are run, so nothing fails after an hour."""
    whole = {**asdict(Impulse()), **pulse}
    times = np.arange(round(whole["duration"] / whole["dt"])) * whole["dt"]
    on = np.flatnonzero((times >= whole["start"]) & (times <= whole["end"]))
    if len(on) and on[-1] < len(times) - 1:
        found = read(impulse=pulse).impulse
        assert (found.first, found.last) == (on[0], on[-1])
    else:
        assert "impulse: the pulse" in refusal({"impulse": pulse})


class TestSweep:
    def test_points_differ_from_the_experiment_in_one_key(self):
        cfg = read(sweep={"network.gain": [0.001, 0.003], "neurons.response": ["linear"]})
        found = list(points(cfg))
        assert [point[:2] for point in found] == [
            ("", None),
            ("network.gain", 0.001),
            ("network.gain", 0.003),
            ("neurons.response", "linear"),
        ]
        base, low, high, linear = (point.experiment for point in found)
        assert base == cfg
        assert low == read(network={"gain": 0.001})
        assert high == read(network={"gain": 0.003})
        assert linear == read(neurons={"response": "linear"})

    def test_a_key_that_may_be_null_can_be_swept(self):
        cfg = read(sweep={"network.balance": [None, 0.3]})
        assert [p.experiment.network.balance for p in points(cfg)] == [0.15, None, 0.3]

    def test_what_is_varied_stays_as_it_was(self):
        cfg = read(sweep={"network.gain": [0.1]})
        before = cfg.model_dump()
        assert varied(cfg, "network.gain", 0.5).network.gain == 0.5
        assert cfg.model_dump() == before


class TestNames:
    """Names and numbers that stand in the config and in the library are the same."""

    def test_nulls(self):
        assert list(null_kinds()) == list(NULLS)

    @pytest.mark.parametrize(
        ("model", "field", "expected"),
        [
            (Condition, "remove", ablations.REMOVE),
            (Condition, "match", ablations.MATCH),
            (Runs, "engine", respond.ENGINES),
            (wiring.SynapseSource, "release", tuple(synapses.RELEASES)),
        ],
        ids=lambda value: getattr(value, "__name__", str(value)),
    )
    def test_choices(self, model, field, expected):
        annotation = model.model_fields[field].annotation
        inner = [get_args(part) for part in get_args(annotation) if get_args(part)]
        assert set(inner[0] if inner else get_args(annotation)) == set(expected)

    def test_columns_are_those_of_a_release(self):
        names = get_args(get_args(wiring.SynapseSource.model_fields["columns"].annotation)[0])
        assert set(names) <= {field.name for field in fields(synapses.Release)}

    def test_sections_that_can_be_swept(self):
        assert set(SWEPT) <= set(CircuitExperiment.model_fields)


class TestDefaults:
    def test_a_config_has_the_objects_of_scripts(self):
        cfg = read()
        assert cfg.network == blocks.NOTEBOOK
        assert type(cfg.network) is blocks.CircuitParameters
        assert type(cfg.neurons) is rates.Neurons
        assert type(cfg.impulse) is circuit_impulse.Impulse
        assert type(cfg.connectome.source.filters) is synapses.Filters

    @pytest.mark.parametrize(
        ("written", "expected"),
        [
            ({}, synapses.NOTEBOOK),
            (None, synapses.NOTEBOOK),
            ({"min_synapses": 5}, replace(synapses.NOTEBOOK, min_synapses=5)),
            ({"region": None}, replace(synapses.NOTEBOOK, region=None)),
            ({"cell_type": ["4P", "BC"]}, replace(synapses.NOTEBOOK, cell_type=("4P", "BC"))),
        ],
    )
    def test_filters_that_are_not_written_are_those_of_the_notebook(self, written, expected):
        """A script that gives none filters nothing."""
        source = {"kind": "synthetic", "filters": written}
        assert read(connectome={"source": source}).connectome.source.filters == expected
        assert read(connectome={"source": {"kind": "synthetic"}}).connectome == read().connectome
        assert read().connectome.source.filters == synapses.NOTEBOOK
        assert synapses.Filters() == synapses.Filters(False, None, None, (), "keep", 1, False)

    def test_of_functions(self):
        tables = inspect.signature(synthetic_synapses.synthetic_tables).parameters
        source = wiring.SyntheticSource().model_dump(exclude={"kind", "seed", "filters"})
        assert source == {n: p.default for n, p in tables.items() if p.default is not p.empty}
        ratio = inspect.signature(measures.measure).parameters["threshold_ratio"].default
        assert Measures().threshold_ratio == ratio

    def test_a_file_that_only_says_circuit_is_whole(self, tmp_path: Path):
        path = tmp_path / "one.yaml"
        path.write_text("system: circuit\n")
        cfg = load_experiment(path)
        assert isinstance(cfg, CircuitExperiment)
        assert cfg.connectome.source.kind == "synthetic"
        assert cfg.runs.seeds == 10
        assert list(cfg.conditions) == ["permuted_connections"]
        assert list(stages.stage_keys(cfg)) == ["wire", "respond", "motifs", "compare"]
        with pytest.raises(ConfigError, match="'fit' is none of system circuit"):
            stages.key_of(cfg, "fit")


class TestKeys:
    """A stage's key changes with what it reads, and with nothing else."""

    @pytest.mark.parametrize(
        ("path", "value", "stale"),
        [
            ("connectome/source", {"kind": "synthetic", "seed": 1}, "wrmc"),
            ("connectome/without_sign", "drop", "wrmc"),
            ("network/gain", 0.003, "rc"),
            ("neurons/tau", 0.3, "rc"),
            ("impulse/strength", 5, "rc"),
            ("runs/seeds", 11, "rc"),
            ("conditions/a", {"remove": "weaker"}, "rc"),
            ("sweep/network.gain", [0.1], "rc"),
            ("motifs/samples", 20, "m"),
            ("measures/threshold_ratio", 0.02, "c"),
            ("reference/connectome", {"neurons": 3}, "c"),
        ],
    )
    def test_only_what_is_below_becomes_stale(self, path, value, stale):
        before, after = (stages.stage_keys(read(c)) for c in ({}, changed(path, value)))
        assert "".join(name[0] for name in before if before[name] != after[name]) == stale

    @pytest.mark.parametrize("name", ["s.csv", "c.csv"])
    def test_the_content_of_named_tables_counts(self, tmp_path: Path, name):
        for one in ("s.csv", "c.csv"):
            (tmp_path / one).write_text("a,b\n1,2\n")
        paths = {"synapses": str(tmp_path / "s.csv"), "cells": str(tmp_path / "c.csv")}
        cfg = read(connectome={"source": {**FILES, **paths}})
        assert [path.name for _, path in stages.named_files(cfg)] == ["s.csv", "c.csv"]
        before = stages.stage_keys(cfg)
        (tmp_path / name).write_text("a,b\n1,3\n")
        after = stages.stage_keys(cfg)
        assert all(before[stage] != after[stage] for stage in before)
