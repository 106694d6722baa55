"""Section `sweep`: what it may say, what its points are called, and under which keys they run."""

import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ngpipe.config.assembly.experiment import Experiment
from ngpipe.config.circuit.experiment import CircuitExperiment
from ngpipe.config.connectome.experiment import ConnectomeExperiment
from ngpipe.config.load import validate
from ngpipe.config.sweep import LABEL, base_of, label, named_points, spelled, varied
from ngpipe.config.systems import load_experiment
from ngpipe.errors import ConfigError
from ngpipe.study import stages

ASSEMBLY = {
    "simulation": {
        "n_neurons": 20,
        "noise": 0.5,
        "types": [{"leak": 1}, {"leak": 2}],
        "connectivity": {"kind": "gaussian", "std": 0.1},
    },
    "training": {"seed": 3},
    "reference": {"connectivity": {"r2": 1.0}},
}
CONNECTOME = {
    "system": "connectome",
    "connectome": {"source": {"kind": "generated", "radius": 1}},
    "network": {"layers": 4},
    "stimuli": {
        "flash": {"kind": "pulse", "levels": {"I1": 1}},
        "best": {"kind": "search", "drive": {"O1": 1}},
    },
    "readouts": {"out": {"stimulus": "flash", "groups": ["O1"]}},
}
CONTENT = {"assembly": ASSEMBLY, "connectome": CONNECTOME, "circuit": {"system": "circuit"}}
MODELS = {
    "assembly": Experiment,
    "connectome": ConnectomeExperiment,
    "circuit": CircuitExperiment,
}
PHI = {"kind": "phi", "of": "one"}


def swept(system: str, sweep: dict):
    return validate(CONTENT[system] | {"sweep": sweep}, MODELS[system], where="one.yaml")


def refused(system: str, sweep: dict) -> str:
    with pytest.raises(ConfigError) as caught:
        swept(system, sweep)
    return str(caught.value)


def written_out(system: str, path: str, value: object):
    """The experiment with one value, as somebody would write it into a file by hand."""
    content = yaml.safe_load(yaml.safe_dump(CONTENT[system]))
    *above, last = path.split(".")
    part = content
    for name in above:
        part = part[int(name)] if isinstance(part, list) else part.setdefault(name, {})
    part[last] = value
    return validate(content, MODELS[system], where="by hand")


POINTS = [
    ("assembly", "simulation.noise", 0),
    ("assembly", "simulation.noise", 0.1),
    ("assembly", "simulation.noise", "1e-3"),  # how YAML reads a number without a point
    ("assembly", "simulation.types.1.leak", 2.5),
    ("assembly", "simulation.connectivity.filling", 0.25),
    ("assembly", "training.solver", "closed_form"),
    ("assembly", "training.network.one_type", True),
    ("assembly", "recovery.n_types", None),
    ("assembly", "rollout.n_frames", 900),
    ("connectome", "connectome.source.seed", 4),
    ("connectome", "network.tau", 2),
    ("connectome", "stimuli.flash.levels.I1", 0.5),
    ("connectome", "control.model", "degree"),
    ("connectome", "attribution.steps", 7),
    ("circuit", "network.gain", 0.003),
]


PAIRS = [
    ("assembly", "simulation.noise", 0.1, 0.2),
    ("connectome", "network.tau", 2, 3),
]
"""Two values of a key of each system whose points are experiments."""


class TestWhatMayBeSwept:
    @pytest.mark.parametrize(
        ("system", "sweep", "message"),
        [
            ("assembly", {"system": ["assembly"]}, "sweep.system is of none of the sections ['so"),
            ("assembly", {"sweep.a": [1]}, "sweep.sweep.a is of none of the sections"),
            ("assembly", {"reference.a.b": [1]}, "sweep.reference.a.b is of none of the sections"),
            ("connectome", {"simulation.noise": [1]}, "of none of the sections ['connectome', 'n"),
            ("connectome", {"reference.a.b": [1]}, "sweep.reference.a.b is of none of the"),
            ("circuit", {"runs.seeds": [1]}, "sections ['network', 'neurons'], which can be swept"),
            ("assembly", {"simulation.nois": [1]}, "there is no key 'nois'; the keys there are ["),
            ("assembly", {"simulation.types.2.leak": [1]}, "no key '2'; the keys there are ['0', "),
            ("assembly", {"simulation.noise.a": [1]}, "no key 'a'; the keys there are none"),
            ("assembly", {"simulation.input.mode": ["additive"]}, "the keys there are none"),
            ("assembly", {"simulation.noise": []}, "sweep.simulation.noise: Tuple should have at"),
            ("assembly", {"simulation.noise": [-1]}, "with -1, simulation.noise: Input should be"),
            ("assembly", {"simulation.n_neurons": [1]}, "with 1, experiment: simulation.types has"),
            (
                "connectome",
                {"stimuli.flash.start": [9]},
                "with 9, experiment: stimuli.flash.start h",
            ),
            ("assembly", {"training.seed": [1, 2, 1]}, "a value twice in [1, 2, 1]; name each on"),
            ("assembly", {"simulation.noise": [0, 0.0]}, "a value twice in [0, 0.0]; name each"),
            ("assembly", {"simulation.noise": ["1e-1", 0.1]}, "has a value twice in ['1e-1', 0.1]"),
            (
                "connectome",
                {"connectome.source.path": ["a/b.csv"]},
                "'a/b.csv' cannot be part of a dir",
            ),
            (
                "connectome",
                {"connectome.source.kind": ["a b"]},
                "'a b' cannot be part of a directory",
            ),
            ("connectome", {"control.model": ["~"]}, "'~' cannot be part of a directory"),
            ("connectome", {"control.model": [""]}, "with '', control.model"),
            ("connectome", {"control.model": ["a" * 150]}, "expected at most 150 of the characte"),
        ],
    )
    def test_what_cannot_is_named_with_the_reason(self, system, sweep, message):
        assert message in refused(system, sweep)

    @pytest.mark.parametrize(
        ("system", "name", "message"),
        [
            (
                "assembly",
                "simulation.noise=0.01",
                "there is no point 'simulation.noise=0.01'; did you mean 'simulation.noise=0.1'?; "
                "the points of the sweep are ['simulation.noise=0.1', 'simulation.noise=0']",
            ),
            ("connectome", "network.tau=1", "there is no point 'network.tau=1'"),
        ],
    )
    def test_a_published_value_is_of_a_point(self, system, name, message):
        sweep = {"simulation.noise": [0.1, 0]} if system == "assembly" else {}
        content = CONTENT[system] | {"sweep": sweep, "sweep_reference": {name: {}}}
        with pytest.raises(ConfigError, match=re.escape(f"sweep_reference: {message}")):
            validate(content, MODELS[system], where="one.yaml")

    def test_values_that_mean_the_same_stay_a_mistake(self):
        reference = {"training.seed=1": {"connectivity": {"r2": 0.5}}}
        content = {"sweep": {"training.seed": [1, 1.0]}, "sweep_reference": reference}
        with pytest.raises(ConfigError, match="a value twice"):
            validate(ASSEMBLY | content, Experiment, where="one.yaml")

    def test_all_mistakes_come_at_once(self):
        text = refused("assembly", {"simulation.noise": [-1, "x"], "training.steps": [0]})
        assert text.count("\n") == 3

    def test_an_experiment_with_other_mistakes_is_mended_first(self):
        """Each value would repeat them."""
        content = ASSEMBLY | {"simulation": {"n_neurons": 0}, "sweep": {"training.seed": [1, 2]}}
        with pytest.raises(ConfigError) as caught:
            validate(content, Experiment, where="one.yaml")
        assert str(caught.value).count("\n") == 1

    @pytest.mark.parametrize(("system", "path", "value"), POINTS)
    def test_what_can(self, system, path, value):
        assert swept(system, {path: [value]}).sweep == {path: (value,)}


class TestNames:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (0, "0"),
            (0.1, "0.1"),
            (-2.5, "-2.5"),
            (1e-07, "1e-07"),
            (1e20, "1e+20"),
            (True, "true"),
            (False, "false"),
            (None, "null"),
            ("closed_form+gradient", "closed_form+gradient"),
        ],
    )
    def test_a_value_is_spelled_as_in_yaml(self, value, text):
        assert spelled(value) == text
        assert label("a.b", value) == f"a.b={text}"

    @given(
        st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.none()
    )
    def test_every_number_can_be_a_name_and_be_read_from_it(self, value):
        text = label("training.seed", value)
        assert re.fullmatch(LABEL, text) or len(text) > 150
        read = text.rpartition("=")[2]
        if isinstance(value, float):
            assert float(read) == value
        else:
            assert yaml.safe_load(read) == value

    @pytest.mark.parametrize("system", ["assembly", "connectome"])
    def test_a_point_has_its_own_published_values(self, system):
        path, values = next((p, [v, w]) for s, p, v, w in PAIRS if s == system)
        own = {"connectivity": {"r2": 0.45}}
        content = {"sweep": {path: values}, "sweep_reference": {label(path, values[0]): own}}
        one = validate(CONTENT[system] | content, MODELS[system], where="one.yaml")
        first, second = list(named_points("one", one).values())[1:]
        assert first.experiment.reference == own
        assert second.experiment.reference == one.reference == CONTENT[system].get("reference", {})
        assert not first.experiment.sweep_reference
        without = validate(
            CONTENT[system] | {"sweep": {path: values}}, MODELS[system], where="one.yaml"
        )
        keys, plain = (stages.stage_keys(varied(each, path, values[0])) for each in (one, without))
        assert [stage for stage in keys if keys[stage] != plain[stage]] == [stages.scored(one)]

    def test_points_come_in_order_after_the_experiment(self):
        points = named_points(
            "one", swept("assembly", {"training.seed": [5, 4], "rollout.n_frames": [900]})
        )
        assert list(points) == [
            "one",
            "one~training.seed=5",
            "one~training.seed=4",
            "one~rollout.n_frames=900",
        ]
        assert [base_of(name) for name in points] == ["one"] * 4
        assert [p.experiment.training.seed for p in points.values()] == [3, 5, 4, 3]
        assert points["one"].parameter == ""
        assert points["one~training.seed=4"][:2] == ("training.seed", 4)

    @pytest.mark.parametrize(("system", "path", "value"), POINTS[:-1])
    def test_a_point_is_loaded_by_its_name(self, study, system, path, value):
        content = CONTENT[system] | {"sweep": {path: [value]}}
        directory = study({}, one=content) / "experiments"
        read = load_experiment(directory / "one.yaml").sweep[path][0]
        found = load_experiment(directory / f"one~{label(path, read)}.yaml")
        assert found == varied(swept(system, {path: [value]}), path, value)
        assert found.sweep == {}
        assert spelled(read) == spelled(float(value) if value == "1e-3" else value)

    @pytest.mark.parametrize(
        ("system", "sweep", "known"),
        [
            ("assembly", {"training.seed": [1]}, "['one~training.seed=1']"),
            ("assembly", {}, "none"),
            ("circuit", {"network.gain": [0.003]}, "none"),
        ],
    )
    def test_a_point_that_is_not_swept_is_named(self, study, system, sweep, known):
        directory = study({}, one=CONTENT[system] | {"sweep": sweep}) / "experiments"
        with pytest.raises(ConfigError) as caught:
            load_experiment(directory / "one~network.gain=0.003.yaml")
        assert (
            f"no point one~network.gain=0.003; the points of the sweep of one are {known}"
            in str(caught.value)
        )

    def test_the_file_of_the_experiment_is_missed_not_that_of_the_point(self, study):
        directory = study({}, one=ASSEMBLY) / "experiments"
        with pytest.raises(ConfigError, match=r"no config at .*/two\.yaml; .*: one"):
            load_experiment(directory / "two~training.seed=1.yaml")


class TestKeys:
    @pytest.mark.parametrize(("system", "path", "value"), POINTS[:-1])
    def test_of_a_point_are_those_of_an_experiment_written_out(self, system, path, value):
        experiment = swept(system, {path: [value]})
        _, point = named_points("one", experiment).values()
        assert point.experiment == written_out(system, path, value)
        by_hand = stages.stage_keys(written_out(system, path, value))
        assert stages.stage_keys(point.experiment) == by_hand
        changed = {s for s, key in stages.stage_keys(experiment).items() if key != by_hand[s]}
        assert changed or value is None

    @pytest.mark.parametrize("system", ["assembly", "connectome"])
    def test_of_an_experiment_do_not_know_of_its_sweep(self, system):
        path = {"assembly": "training.seed", "connectome": "network.tau"}[system]
        plain = validate(CONTENT[system], MODELS[system], where="plain")
        assert stages.stage_keys(swept(system, {path: [7]})) == stages.stage_keys(plain)

    def test_of_a_table_cover_the_metrics_of_all_points_their_names_and_order(self):
        def key(sweep: dict, name: str = "one", **other: object) -> str:
            experiment = validate(ASSEMBLY | other | {"sweep": sweep}, Experiment, where="one")
            return stages.sweep_key(stages.swept(name, experiment))

        first = {"training.seed": [1, 2]}
        found = [
            key(first),
            key({"training.seed": [2, 1]}),
            key({"training.seed": [1, 2, 3]}),
            key({"training.seed": [1]}),
            key(first, name="two"),
            key(first, reference={}),
            key(first, recovery={"n_types": 2}),
        ]
        assert len(set(found)) == len(found)
        assert key(first) == found[0]


class TestStudy:
    def open(self, study, sweep: dict, of: str = "one", system: str = "assembly"):
        kind = {"assembly": "phi", "connectome": "control"}[system]
        panels = {"a": {"kind": kind, "of": of}}
        return stages.open_study(
            study({"F": {"panels": panels}}, one=CONTENT[system] | {"sweep": sweep})
        )

    def test_holds_the_points_of_what_its_figures_name(self, study):
        found = self.open(study, {"training.seed": [3, 4]})
        names = ["one", "one~training.seed=3", "one~training.seed=4"]
        assert list(found.experiments) == names
        assert found.experiments_of("F") == ["one"]

    def test_a_panel_may_show_a_point(self, study):
        of = "one~network.tau=3"
        found = self.open(study, {"network.tau": [2, 3]}, of, "connectome")
        assert list(found.experiments) == ["one", "one~network.tau=2", of]
        assert found.experiments_of("F") == [of]
        assert found.experiments[of].network.tau == 3
        other = self.open(study, {"network.tau": [2, 3]}, "one~network.tau=2", "connectome")
        assert found.panel_key("F", "a") != other.panel_key("F", "a")

    def test_a_panel_of_a_point_that_is_not_swept_is_refused(self, study):
        with pytest.raises(ConfigError, match=r"no point one~training\.seed=5; .* are .'one~tra"):
            self.open(study, {"training.seed": [3]}, "one~training.seed=5")

    @pytest.mark.parametrize("of", ["one~", "~a=1", "one~a/b=1", "one~a=1~b=2", "one~a=1 2"])
    def test_a_panel_of_what_is_no_name_is_refused(self, study, of):
        with pytest.raises(ConfigError, match="String should match pattern"):
            self.open(study, {}, of)

    def test_a_file_that_only_a_point_reads_is_missed_by_name(self, study):
        wired = ASSEMBLY | {"simulation": {"connectivity": {"kind": "file", "path": "is.csv"}}}
        sweep = {"simulation.connectivity.path": ["gone.csv"], "training.seed": [1]}
        directory = study({"F": {"panels": {"a": PHI}}}, one=wired | {"sweep": sweep})
        with pytest.raises(ConfigError) as caught:
            stages.open_study(directory)
        one, other = str(caught.value).splitlines()
        assert one.startswith("experiment one: no file at is.csv")
        assert other.startswith(
            "experiment one~simulation.connectivity.path=gone.csv: no file at g"
        )

    @pytest.mark.parametrize(
        ("system", "path", "value", "reused"),
        [
            ("assembly", "simulation.noise", 0.1, []),
            (
                "assembly",
                "simulation.noise",
                0.5,
                ["simulate", "train", "recover", "rollout", "score"],
            ),
            ("assembly", "training.seed", 4, ["simulate"]),
            ("assembly", "recovery.n_types", 2, ["simulate", "train", "rollout"]),
            ("assembly", "rollout.n_frames", 900, ["simulate", "train", "recover"]),
            ("connectome", "connectome.source.seed", 4, []),
            ("connectome", "network.tau", 2, ["wire"]),
            ("connectome", "stimuli.best.starts", 3, ["wire", "fit"]),
            ("connectome", "attribution.steps", 7, ["wire", "fit", "search", "control"]),
            (
                "connectome",
                "paths.activity",
                0.3,
                ["wire", "fit", "search", "attribute", "control"],
            ),
        ],
    )
    def test_stages_that_a_point_shares_with_its_experiment(
        self, study, system, path, value, reused
    ):
        found = self.open(study, {path: [value]}, system=system)
        assert found.reused(f"one~{label(path, value)}") == reused
        assert found.reused("one") == []


class TestTable:
    def test_an_experiment_without_a_sweep_has_none(self):
        with pytest.raises(ConfigError, match="experiment one has no sweep; give it values of"):
            stages.swept("one", swept("assembly", {}))

    def test_that_of_a_circuit_is_elsewhere(self):
        with pytest.raises(ConfigError, match=r"is a row of results/runs/one/measures\.csv"):
            stages.swept("one", swept("circuit", {"network.gain": [0.003]}))


class TestPanel:
    def panel(self, of: str = "one", parameter: str = "training.seed") -> dict:
        shown = {"quantity": "connectivity", "metric": "r2"}
        return {"F": {"panels": {"a": {"kind": "sweep", "of": of, "parameter": parameter} | shown}}}

    def test_shows_experiments_of_every_system_with_points(self, study):
        for system, path in (("assembly", "training.seed"), ("connectome", "network.tau")):
            content = CONTENT[system] | {"sweep": {path: [7]}}
            assert stages.open_study(study(self.panel(parameter=path), one=content))

    @pytest.mark.parametrize(
        ("system", "sweep", "asked", "message"),
        [
            ("assembly", {}, {}, r"F\.panels\.a\.of: experiment one has no sweep"),
            ("circuit", {"network.gain": [1]}, {}, r"a\.of: .* of system circuit, whose step"),
            (
                "assembly",
                {"simulation.noise": [1]},
                {},
                r"a\.parameter: training\.seed is not swept",
            ),
            (
                "assembly",
                {"training.seed": [1]},
                {"of": "one~training.seed=1"},
                "one~training.seed=1 has no sweep",
            ),
        ],
    )
    def test_of_what_is_not_swept_is_refused(self, study, system, sweep, asked, message):
        directory = study(self.panel(**asked), one=CONTENT[system] | {"sweep": sweep})
        with pytest.raises(ConfigError, match=message):
            stages.open_study(directory)

    def test_is_as_old_as_the_table(self, study):
        def key(sweep: dict) -> str:
            content = ASSEMBLY | {"sweep": sweep}
            return stages.open_study(study(self.panel(), one=content)).panel_key("F", "a")

        first = key({"training.seed": [1]})
        assert key({"training.seed": [1], "simulation.noise": [2]}) != first
        assert key({"training.seed": [1]}) == first
