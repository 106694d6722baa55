"""Experiments of the connectome system: which system a file is of, and what contradicts itself."""

from pathlib import Path

import pytest

from ngpipe.config.assembly.experiment import Experiment
from ngpipe.config.connectome.experiment import ConnectomeExperiment
from ngpipe.config.load import validate
from ngpipe.config.systems import load_experiment
from ngpipe.errors import ConfigError
from ngpipe.study import stages

GOOD = {
    "system": "connectome",
    "network": {"layers": 4},
    "stimuli": {
        "flash": {"kind": "pulse", "levels": {"I1": 1}},
        "best": {"kind": "search", "drive": {"O1": 1, "O2": -0.5}, "layers": [2, 3]},
    },
    "readouts": {"out": {"stimulus": "flash", "groups": ["O1"], "layers": [3]}},
}


def changed(path: str, value: object) -> dict:
    """The good experiment with one key, named by its path, set to another value."""
    *way, last = path.split(".")
    whole = {k: dict(v) if isinstance(v, dict) else v for k, v in GOOD.items()}
    place = whole
    for part in way:
        place[part] = dict(place.get(part, {}))
        place = place[part]
    place[last] = value
    return whole


def read(content: dict) -> ConnectomeExperiment:
    return validate(content, ConnectomeExperiment, where="bad.yaml")


def test_a_whole_experiment_is_read():
    cfg = read(GOOD)
    assert cfg.stimuli["best"].drive == {"O1": 1, "O2": -0.5}
    assert cfg.fit is None
    assert cfg.readouts["out"].layers == (3,)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("readouts.out.stimulus", "flush", "readouts.out.stimulus is 'flush', expected one of"),
        ("readouts.out.layers", [4], "readouts.out.layers has step 4, but network.layers is 4"),
        ("stimuli.best.layers", [9], "stimuli.best.layers has step 9"),
        ("stimuli.flash.start", 4, "stimuli.flash.start has step 4"),
        ("fit", {"targets": "t.csv", "held_out": ["x"]}, r"fit.held_out.0 is 'x'"),
        (
            "fit",
            {"targets": "t.csv", "held_out": ["best"]},
            r"one of the given stimuli \['flash'\]",
        ),
        ("readouts.out.layers", [], "readouts.out.layers: Tuple should have at least 1"),
        ("network.tau", 0.5, "network.tau: Input should be greater than or equal to 1"),
        ("network.sensors", {"role": ["a"], "side": ["b"]}, "network.sensors"),
        ("stimuli.flash.levels", {}, "stimuli.flash.levels: Dictionary should have at least 1"),
        ("stimuli.flash.kind", "flash", "stimuli.flash"),
        ("connectome.source", {"kind": "celegans", "radius": 2}, "connectome.source.radius: there"),
        (
            "control.model",
            "any",
            "control.model: there is no 'any'; config/README.md lists all",
        ),
        ("readouts", {}, "readouts: Dictionary should have at least 1"),
        ("simulation", {}, "simulation: there is no such key"),
    ],
)
def test_what_is_wrong_is_named(path, value, message):
    with pytest.raises(ConfigError, match=message):
        read(changed(path, value))


def test_several_contradictions_are_named_at_once():
    content = changed("readouts.out.stimulus", "flush") | {"network": {"layers": 2}}
    with pytest.raises(ConfigError, match=r"flush.*readouts.out.layers.*stimuli.best.layers"):
        read(content)


class TestSystem:
    def write(self, directory: Path, text: str) -> Path:
        path = directory / "one.yaml"
        path.write_text(text)
        return path

    def test_a_file_that_does_not_say_is_an_assembly(self, tmp_path):
        assert isinstance(load_experiment(self.write(tmp_path, "training: {seed: 3}")), Experiment)

    def test_a_file_that_says_so_is_a_connectome(self, tmp_path):
        text = (
            "system: connectome\n"
            "stimuli: {a: {kind: pulse, levels: {I1: 1}}}\n"
            "readouts: {a: {stimulus: a, groups: [O1]}}\n"
        )
        cfg = load_experiment(self.write(tmp_path, text))
        assert list(stages.stage_keys(cfg)) == [
            *("wire", "fit", "search", "attribute", "control", "tabulate")
        ]
        with pytest.raises(ConfigError, match="'train' is none of system connectome"):
            stages.key_of(cfg, "train")

    def test_another_system_is_refused(self, tmp_path):
        with pytest.raises(ConfigError, match="system is 'brain', expected one of"):
            load_experiment(self.write(tmp_path, "system: brain"))


class TestKeys:
    """A stage's key changes with what it reads, and with nothing else."""

    @pytest.mark.parametrize(
        ("path", "value", "stale"),
        [
            ("connectome.source", {"kind": "generated", "seed": 1}, "wfsact"),
            ("network.slope", 2.0, "fsact"),
            ("stimuli.best.seed", 1, "sact"),
            ("stimuli.flash.start", 1, "sact"),
            ("attribution.steps", 3, "at"),
            ("control.draws", 3, "ct"),
            ("paths.strongest", 1, "t"),
            ("readouts.out.groups", ["O2"], "act"),
        ],
    )
    def test_only_what_is_below_becomes_stale(self, path, value, stale):
        before, after = (stages.stage_keys(read(c)) for c in (GOOD, changed(path, value)))
        assert "".join(name[0] for name in before if before[name] != after[name]) == stale

    def test_stimuli_count_for_a_fit_only_where_there_is_one(self, tmp_path):
        targets = tmp_path / "t.csv"
        targets.write_text("stimulus,group,value\nflash,O1,0.5\n")
        fitted = changed("fit", {"targets": str(targets)})
        other = {**fitted, "stimuli": {**fitted["stimuli"], "flash": {"levels": {"I2": 1}}}}
        other["stimuli"]["flash"] |= {"kind": "pulse"}
        assert stages.stage_keys(read(fitted))["fit"] != stages.stage_keys(read(other))["fit"]
        before = stages.stage_keys(read(fitted))
        targets.write_text("stimulus,group,value\nflash,O1,0.25\n")
        assert stages.stage_keys(read(fitted))["fit"] != before["fit"]
