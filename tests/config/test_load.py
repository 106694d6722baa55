"""Configs: every mistake at once, with its YAML path, what was found and what was expected."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from ngpipe.config.assembly.experiment import Experiment
from ngpipe.config.assembly.simulation import Simulation
from ngpipe.config.figures import Figures
from ngpipe.config.load import load, validate
from ngpipe.config.sweep import base_of
from ngpipe.config.systems import load_experiment
from ngpipe.errors import ConfigError, NgpipeError
from ngpipe.study import stages

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "config" / "experiments").glob("*.yaml"))
PHI = {"kind": "phi", "of": "one"}


def mistakes(content: dict, model=Experiment) -> list[str]:
    """The lines of the message, without its headline."""
    with pytest.raises(ConfigError) as caught:
        validate(content, model, where="bad.yaml")
    headline, *lines = str(caught.value).split("\n  ")
    assert headline == "bad.yaml is not a valid config:"
    return lines


def figure_mistakes(**figure) -> list[str]:
    return mistakes(
        {"figures": {"F": {"panels": {"a": PHI, "b": PHI, "c": PHI}, **figure}}}, Figures
    )


class TestEveryMistakeAtOnce:
    def test_with_its_path_and_value(self):
        content = {
            "simulation": {
                "n_neurons": 0,
                "n_neuron": 30,
                "dt": -1,
                "types": [{}, {"leak": -1, "gain": "much"}],
                "connectivity": {"kind": "lorentz", "cutoff": 0, "rank": 3},
            },
            "training": {"network": {"hidden": 2.5}, "target": "speed"},
            "trainning": {},
        }
        assert mistakes(content) == [
            "simulation.n_neurons: Input should be greater than or equal to 1 (got 0)",
            "simulation.types.1.leak: Input should be greater than or equal to 0 (got -1)",
            "simulation.types.1.gain: Input should be a valid number, unable to parse string as a "
            "number (got 'much')",
            "simulation.connectivity.cutoff: Input should be greater than 0 (got 0)",
            "simulation.connectivity.rank: there is no such key (got 3)",
            "simulation.dt: Input should be greater than 0 (got -1)",
            "simulation.n_neuron: there is no such key; did you mean 'n_neurons'? (got 30)",
            "training.target: there is no 'speed'; expected one of 'drift', 'finite_difference' or "
            "'estimated' (got 'speed')",
            "training.network.hidden: Input should be a valid integer, got a number with a "
            "fractional part (got 2.5)",
            "trainning: there is no such key; did you mean 'training'? (got {})",
        ]

    def test_what_is_missing_is_named(self):
        assert mistakes({"simulation": {"connectivity": {"kind": "file"}}}) == [
            "simulation.connectivity.path: Field required"
        ]
        assert mistakes({}, Figures) == ["figures: Field required"]

    def test_a_list_is_called_too_short_only_if_it_is(self):
        assert mistakes({"simulation": {"types": [{"leak": -1}]}}) == [
            "simulation.types.0.leak: Input should be greater than or equal to 0 (got -1)"
        ]
        assert mistakes({"simulation": {"types": []}}) == [
            "simulation.types: Tuple should have at least 1 item after validation, not 0 (got [])"
        ]

    @pytest.mark.parametrize("kind", ["lorentzian", None, 3])
    def test_an_unknown_kind_of_connectivity_lists_the_known_ones(self, kind):
        (line,) = mistakes({"simulation": {"connectivity": {"kind": kind}}})
        assert line.startswith("simulation.connectivity: ")
        assert "'lorentz', 'gaussian', 'low_rank', 'block', 'file'" in line

    @pytest.mark.parametrize("kind", ["film", None, 3])
    def test_an_unknown_kind_of_input_lists_the_known_ones(self, kind):
        (line,) = mistakes({"simulation": {"input": {"kind": kind}}})
        assert line.startswith("simulation.input: ")
        assert "'movie', 'video', 'oscillation', 'pulses'" in line

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
    @pytest.mark.parametrize(
        "path",
        [
            ("simulation", "dt"),
            ("simulation", "noise"),
            ("simulation", "connectivity", "cutoff"),
            ("training", "learning_rate", "latent"),
            ("reference", "phi", "r2"),
        ],
    )
    def test_numbers_are_finite(self, path, value):
        content = {"kind": "lorentz"} if "cutoff" in path else {}
        whole = content
        content[path[-1]] = value
        for name in path[-2::-1]:
            whole = {name: whole}
        (line,) = mistakes(whole)
        assert line == f"{'.'.join(path)}: Input should be a finite number (got {value})"

    def test_long_values_are_shortened(self):
        (line,) = mistakes({"simulation": {"n_neurons": "many " * 100}})
        assert line.endswith("...)")
        assert len(line) < 200


class TestFiles:
    def write(self, tmp_path, text):
        path = tmp_path / "experiment.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def test_only_what_differs_from_the_defaults_need_be_written(self, tmp_path):
        path = self.write(tmp_path, "simulation: {n_neurons: 7, dt: 1e-3}\n")
        cfg = load(path, Experiment)
        assert (cfg.simulation.n_neurons, cfg.simulation.dt) == (7, 1e-3)
        assert cfg.training == Experiment().training

    def test_an_empty_file_is_all_defaults(self, tmp_path):
        assert load(self.write(tmp_path, ""), Experiment) == Experiment()

    def test_a_key_given_twice_is_refused_where_it_stands(self, tmp_path):
        text = "simulation:\n  dt: 0.1\ntraining:\n  seed: 1\n  steps: 90\n  seed: 2\n"
        with pytest.raises(ConfigError, match=r"(?s)'seed' is given twice.*line 6, column 3"):
            load(self.write(tmp_path, text), Experiment)

    def test_anchors_and_merged_keys_are_plain_yaml(self, tmp_path):
        text = "simulation:\n  types:\n  - &a {leak: 3, gain: 5}\n  - {<<: *a, leak: 4}\n"
        types = load(self.write(tmp_path, text), Experiment).simulation.types
        assert [(t.leak, t.gain) for t in types] == [(3, 5), (4, 5)]

    @pytest.mark.parametrize(
        "text", ["a: [1", "a: *nowhere", "simulation: {{ n }}", "? [a]\n: 1\n", b"\xff\xfe\x00"]
    )
    def test_what_is_no_yaml_is_named(self, tmp_path, text):
        with pytest.raises(ConfigError, match=r"experiment\.yaml is not valid YAML"):
            load(self.write(tmp_path, text), Experiment)

    @pytest.mark.parametrize(("text", "kind"), [("- 1\n", "list"), ("tiny\n", "str")])
    def test_what_is_no_mapping_is_named(self, tmp_path, text, kind):
        with pytest.raises(ConfigError, match=rf"experiment\.yaml must hold a mapping, got {kind}"):
            load(self.write(tmp_path, text), Experiment)

    def test_an_absent_file_names_its_neighbours(self, tmp_path):
        self.write(tmp_path, "")
        with pytest.raises(ConfigError, match=r"no config at .*tin\.yaml; .*: experiment$"):
            load(tmp_path / "tin.yaml", Experiment)

    def test_mistakes_can_be_caught_as_what_they_are(self):
        assert issubclass(ConfigError, NgpipeError)
        assert issubclass(ConfigError, ValueError)


class TestSections:
    def test_are_frozen(self):
        cfg = Experiment()
        with pytest.raises(ValidationError, match="frozen"):
            cfg.simulation.dt = 0.5
        with pytest.raises(ValidationError, match="frozen"):
            cfg.simulation.types[0].leak = 2.0
        assert cfg == Experiment()

    def test_survive_the_way_through_json(self):
        content = {"connectivity": {"kind": "block", "within": 0.3}, "types": [{}, {"leak": 2}]}
        cfg = Simulation.model_validate(content)
        assert Simulation.model_validate_json(cfg.model_dump_json()) == cfg


class TestExperiment:
    def test_more_types_than_neurons(self):
        assert mistakes({"simulation": {"n_neurons": 2, "types": [{}, {}, {}]}}) == [
            "simulation.types has 3 types for 2 neurons; lower one or raise the other"
        ]
        validate({"simulation": {"n_neurons": 3, "types": [{}] * 3}}, Experiment, where="good")

    def test_a_type_whose_share_is_no_neuron(self):
        assert mistakes({"simulation": {"n_neurons": 9, "types": [{}, {"share": 0.01}]}}) == [
            "simulation.types.1.share (0.01) gives this type none of the 9 neurons; raise it, or "
            "simulation.n_neurons"
        ]

    def test_a_share_is_a_positive_number(self):
        (line,) = mistakes({"simulation": {"types": [{}, {"share": 0}]}})
        assert line.startswith("simulation.types.1.share: Input should be greater than 0")

    def test_a_rollout_that_outlasts_the_held_out_frames(self):
        content = {"simulation": {"n_frames": 10_000}, "training": {"held_out": 0.1}}
        (line,) = mistakes({**content, "rollout": {"n_frames": 1000}})
        assert line == (
            "rollout.n_frames (1000) needs more frames than the 500 that training.held_out leaves "
            "for scoring (half of the held-out frames of 10000); lower rollout.n_frames or raise "
            "training.held_out"
        )
        validate({**content, "rollout": {"n_frames": 499, "at": [400]}}, Experiment, where="good")

    def test_a_frame_beyond_the_rollout(self):
        (line,) = mistakes({"rollout": {"n_frames": 500, "at": [500, 501, 700]}})
        assert line == "rollout.at [501, 700] lies beyond rollout.n_frames (500)"

    def test_among_held_out_blocks_a_rollout_may_start_anywhere(self):
        training = {"held_out_as": "blocks", "held_out": 0.1}
        content = {"simulation": {"n_frames": 2000}, "training": training}
        (line,) = mistakes({**content, "rollout": {"n_frames": 1000}})
        assert line.startswith("rollout.n_frames (1000) must stay below half of the 2000 frames")
        validate({**content, "rollout": {"n_frames": 999}}, Experiment, where="good")

    @pytest.mark.parametrize("kind", ["known", "field"])
    def test_an_input_to_learn_needs_one_that_drives(self, kind):
        content = {"training": {"input": kind, "held_out_as": "blocks"}}
        assert mistakes(content) == [
            f"training.input is '{kind}', but there is no simulation.input; describe one, or set "
            "training.input: none"
        ]
        driven = {"simulation": {"input": {"kind": "movie", "n_inputs": 16}}}
        validate(content | driven, Experiment, where="good")

    @pytest.mark.parametrize(
        "mode", [("additive", "multiplicative"), ("multiplicative", "additive")]
    )
    def test_the_model_must_know_how_the_input_acts(self, mode):
        simulation = {"input": {"kind": "movie", "n_inputs": 16, "mode": mode[0]}}
        training = {"input": "known", "input_mode": mode[1]}
        (line,) = mistakes({"simulation": simulation, "training": training})
        assert line.startswith(
            f"training.input_mode is '{mode[1]}', but simulation.input.mode is '{mode[0]}'"
        )
        for same in ({**training, "input_mode": mode[0]}, {"input_mode": mode[1]}):
            content = {"simulation": simulation, "training": same}
            validate(content, Experiment, where="good")

    def test_all_three_at_once(self):
        simulation = {"n_neurons": 1, "types": [{}, {}], "n_frames": 100}
        lines = mistakes({"simulation": simulation, "rollout": {"n_frames": 50, "at": [60]}})
        words = ("simulation.types has", "rollout.n_frames (50)", "rollout.at [60]")
        assert [line.startswith(w) for line, w in zip(lines, words, strict=True)] == [True] * 3

    def test_disagreements_stand_beside_other_mistakes(self):
        """A section with a mistake of its own is not asked; the others are."""
        simulation = {"n_neurons": 1, "types": [{}, {}], "n_frames": 100}
        rollout = {"n_frames": 50, "at": [60]}
        lines = mistakes(
            {"simulation": simulation, "rollout": rollout, "training": {"steps": 0, "evals": 3}}
        )
        assert [line.split(" ")[0] for line in lines] == [
            "training.steps:",
            "training.evals:",
            "simulation.types",
            "rollout.at",
        ]
        lines = mistakes({"simulation": {**simulation, "dt": 0}, "rollout": rollout, "system": "x"})
        assert [line.split(" ")[0] for line in lines] == [
            "system:",
            "simulation.dt:",
            "rollout.at",
        ]

    def test_more_evaluations_than_steps(self):
        (line,) = mistakes({"training": {"steps": 10, "evaluations": 11}})
        assert line.startswith("training: evaluations (11) exceeds steps (10); lower it")


class TestFigures:
    def test_a_mosaic_places_every_panel_once(self):
        assert figure_mistakes(mosaic=[["a", "b"], ["d"]])[0].startswith(
            "figures.F: mosaic places ['d'] that are no panels and leaves out ['c'] "
        )
        (line,) = figure_mistakes(mosaic=[["a", "."], ["b", "b"]])
        assert line.startswith(
            "figures.F: mosaic places [] that are no panels and leaves out ['c']"
        )

    @pytest.mark.parametrize(
        "mosaic", [[["a", "b"], ["a", "c"]], [["a", "b", "a"], ["c"]], [["a", ".", "a", "b", "c"]]]
    )
    def test_a_panel_takes_neighbouring_places_of_one_row(self, mosaic):
        (line,) = figure_mistakes(mosaic=mosaic)
        assert line.startswith("figures.F: mosaic names a panel in more than one place")

    def test_a_good_mosaic_is_the_layout(self):
        rows = [["a", "a", "b"], ["c", "."]]
        panels = {"a": PHI, "b": PHI, "c": PHI}
        content = {"figures": {"F": {"panels": panels, "mosaic": rows}}}
        assert validate(content, Figures, where="good").figures["F"].layout() == rows

    def test_without_a_mosaic_there_are_three_panels_a_row(self):
        content = {"figures": {"F": {"panels": dict.fromkeys("abcd", PHI)}}}
        layout = validate(content, Figures, where="good").figures["F"].layout()
        assert layout == [["a", "b", "c"], ["d", ".", "."]]

    def test_a_scatter_of_a_rollout_needs_its_frame(self):
        (line,) = figure_mistakes(panels={"a": {"kind": "rollout_scatter", "of": "one"}})
        assert line.startswith("figures.F.panels.a: a rollout_scatter panel needs `frame`")

    @pytest.mark.parametrize("name", ["", "Fig 2", "../Fig2", "Fig.2", "-f", "figüre"])
    def test_names_are_safe_as_file_names(self, name):
        (line,) = mistakes({"figures": {name: {"panels": {"a": PHI}}}}, Figures)
        assert line.startswith(f"figures.{name}.[key]: String should match pattern")
        (line,) = figure_mistakes(panels={"a": {"kind": "phi", "of": name}})
        assert line.startswith("figures.F.panels.a.of: String should match pattern")

    def test_a_figure_cannot_take_the_place_of_other_results(self):
        """results/runs holds all simulations; a figure of that name would replace them."""
        (line,) = mistakes({"figures": {"runs": {"panels": {"a": PHI, "runs": PHI}}}}, Figures)
        assert line.startswith("figures.runs, figures.runs.panels.runs: the name is taken")
        for name in ("panels", "sweeps"):
            (line,) = mistakes({"figures": {name: {"panels": {"a": PHI}}}}, Figures)
            assert line.startswith(f"figures.{name}: the name is taken")


class TestShipped:
    @pytest.mark.parametrize("path", SHIPPED, ids=[p.stem for p in SHIPPED])
    def test_every_experiment_is_valid(self, path):
        load_experiment(path)

    def test_there_are_experiments(self):
        assert {"tiny", "fig2"} <= {p.stem for p in SHIPPED}

    def test_the_figures_are_valid_with_all_they_draw_on(self):
        study = stages.open_study(ROOT / "config")
        assert set(map(base_of, study.experiments)) <= {p.stem for p in SHIPPED}
        for figure in study.figures.figures.values():
            for panel in figure.panels.values():
                if panel.kind == "rollout_scatter":
                    assert panel.frame in study.experiments[panel.of].rollout.at


class TestStudy:
    def test_the_mistakes_of_all_experiments_come_at_once(self, study):
        panels = {"a": {"kind": "phi", "of": "one"}, "b": {"kind": "phi", "of": "two"}}
        directory = study(
            {"F": {"panels": panels}},
            one={"simulation": {"dt": 0}},
            two={"training": {"step": 3}},
        )
        with pytest.raises(ConfigError) as caught:
            stages.open_study(directory)
        for words in ("one.yaml", "simulation.dt", "two.yaml", "training.step"):
            assert words in str(caught.value)

    def test_an_experiment_without_a_file_is_named(self, study):
        directory = study({"F": {"panels": {"a": {"kind": "phi", "of": "on"}}}}, one={})
        with pytest.raises(ConfigError, match=r"no config at .*on\.yaml; .*configs beside it: one"):
            stages.open_study(directory)

    def test_a_connectivity_file_that_is_gone_is_named(self, study):
        """Its old simulation would otherwise pass for what the config says."""
        missing = {"kind": "file", "path": "gone.npy"}
        directory = study(
            {"F": {"panels": {"a": {"kind": "phi", "of": "one"}}}},
            one={"simulation": {"connectivity": missing}},
        )
        with pytest.raises(ConfigError, match=r"experiment one: no file at gone\.npy"):
            stages.open_study(directory)

    def test_a_frame_that_is_not_scored_is_named(self, study):
        panel = {"kind": "rollout_scatter", "of": "one", "frame": 300}
        directory = study({"F": {"panels": {"a": panel}}}, one={})
        with pytest.raises(ConfigError, match=r"F\.panels\.a\.frame: 300 .*\[400, 800\]; add it"):
            stages.open_study(directory)

    def test_an_override_is_refused(self, study):
        """Snakemake's --config would change the figure but not the file that explains it."""
        directory = study({"F": {"panels": {"a": PHI}}}, one={})
        same = {"figures": {"F": {"panels": {"a": PHI}}}}
        assert stages.open_study(directory, same).experiments_of("F") == ["one"]
        other = {"figures": {"F": {"panels": {"a": {"kind": "psi", "of": "one"}}}}}
        with pytest.raises(ConfigError, match="write the change into"):
            stages.open_study(directory, other)
