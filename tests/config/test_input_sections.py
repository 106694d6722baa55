"""External inputs in a config: what is allowed, and what is said of the rest."""

import pytest
from pydantic import TypeAdapter

from ngpipe.config.assembly.experiment import Experiment
from ngpipe.config.assembly.inputs import Input, Movie, Oscillation, Pulses, Video
from ngpipe.config.assembly.simulation import Simulation
from ngpipe.config.load import validate
from ngpipe.errors import ConfigError

KINDS = {"movie": Movie, "video": Video, "oscillation": Oscillation, "pulses": Pulses}


def mistakes(**simulation) -> list[str]:
    """The lines of the message, without its headline."""
    with pytest.raises(ConfigError) as caught:
        validate({"simulation": simulation}, Experiment, where="bad.yaml")
    return str(caught.value).split("\n  ")[1:]


def of(kind: str, **content) -> list[str]:
    """The mistakes of an input that drives few neurons."""
    path = {"path": "movie.npy"} if kind == "video" else {}
    return mistakes(input={"kind": kind, "n_inputs": 16, **path, **content})


class TestKinds:
    @pytest.mark.parametrize(("kind", "section"), KINDS.items())
    def test_kind_selects_the_section(self, kind, section):
        path = {"path": "movie.npy"} if kind == "video" else {}
        content = {"kind": kind, "n_inputs": 16, **path}
        cfg = validate({"simulation": {"input": content}}, Experiment, where="good")
        assert type(cfg.simulation.input) is section
        again = TypeAdapter(Input).validate_json(cfg.simulation.input.model_dump_json())
        assert again == cfg.simulation.input

    def test_without_a_word_there_is_none(self):
        assert Simulation().input is None

    def test_a_kind_has_the_keys_of_its_own_alone(self):
        (line,) = of("oscillation", n_blobs=3)
        assert line == "simulation.input.n_blobs: there is no such key (got 3)"
        assert of("video", path=None)[0].startswith("simulation.input.path: ")

    @pytest.mark.parametrize(
        ("kind", "key", "value"),
        [
            ("movie", "mode", "multiply"),
            ("pulses", "burn_in_input", "half"),
            ("video", "interpolation", "cubic"),
            ("movie", "n_inputs", 0),
            ("oscillation", "n_inputs", 0),
            ("movie", "jitter", -0.1),
            ("movie", "n_images", 1),
            ("movie", "static", 1.5),
            ("movie", "n_blobs", 0),
            ("pulses", "every", 0),
            ("pulses", "rate", 0),
            ("pulses", "decay", 0),
            ("pulses", "amplitude", float("nan")),
            ("oscillation", "baseline", float("inf")),
        ],
    )
    def test_values_out_of_range_are_named_by_their_key(self, kind, key, value):
        (line,) = of(kind, **{key: value})
        place = f"simulation.input.{key}: "
        assert line.startswith((f"{place}Input should be ", f"{place}there is no "))
        assert f"(got {value!r})" in line


class TestFields:
    @pytest.mark.parametrize("kind", ["movie", "video"])
    @pytest.mark.parametrize(("value", "near"), [(1000, "961 and 1024"), (15, "9 and 16")])
    def test_driven_neurons_fill_a_square(self, kind, value, near):
        (line,) = of(kind, n_inputs=value)
        assert line.startswith("simulation.input.n_inputs: driven neurons lie on a square grid")
        assert f"the nearest are {near} (got {value})" in line

    @pytest.mark.parametrize("kind", ["oscillation", "pulses"])
    def test_without_a_grid_any_number_will_do(self, kind):
        content = {"simulation": {"input": {"kind": kind, "n_inputs": 17}}}
        assert validate(content, Experiment, where="good").simulation.input.n_inputs == 17

    def test_a_generated_movie_needs_more_than_one_pixel(self):
        """Its static image would be 0 / 0."""
        (line,) = of("movie", n_inputs=1)
        assert "n_inputs (1) = 1 pixel has no static image; raise n_inputs to 4" in line

    @pytest.mark.parametrize("kind", ["movie", "video"])
    @pytest.mark.parametrize(("low", "high"), [(1.5, 0.5), (1, 1)])
    def test_low_lies_below_high(self, kind, low, high):
        (line,) = of(kind, low=low, high=high)
        assert f"low ({low:g}) must lie below high ({high:g})" in line

    @pytest.mark.parametrize("one", ["low", "high"])
    def test_a_file_is_rescaled_at_both_ends_or_not_at_all(self, one):
        (line,) = of("video", **{one: 0.5})
        assert "low and high rescale the movie together: give both, or none" in line


class TestTabulated:
    def test_the_shortest_period_comes_first(self):
        (line,) = of("oscillation", period=[20, 5])
        assert line == (
            "simulation.input.period: the shortest period comes first and must not exceed the "
            "longest (got [20, 5])"
        )
        Oscillation(period=(5, 5))

    @pytest.mark.parametrize(
        ("kind", "key", "values", "name"),
        [
            ("oscillation", "period", (0.19, 20.0), "shortest period of 0.19 tau"),
            ("pulses", "decay", 0.049, "decay of 0.049 tau"),
        ],
    )
    def test_what_changes_within_a_step_of_the_table_is_refused(self, kind, key, values, name):
        """Sampled at half its period a sine is a constant: another input, without a word."""
        (line,) = of(kind, **{key: values})
        assert "input.every (5) tabulates the input each 0.05 tau, expected at most 0.04" in line
        assert name in line
        fine = {"kind": kind, "n_inputs": 16, key: values, "every": 4}
        validate({"simulation": {"input": fine}}, Experiment, where="good")

    def test_just_fine_enough_is_fine(self):
        Simulation(input=Oscillation(period=(0.2, 1.0)), dt=0.01)
        Simulation(input=Pulses(decay=0.05), dt=0.01)


class TestWithTheRest:
    @pytest.mark.parametrize("kind", KINDS)
    def test_more_driven_neurons_than_neurons(self, kind):
        path = {"path": "movie.npy"} if kind == "video" else {}
        content = {"kind": kind, "n_inputs": 121, **path}
        assert mistakes(n_neurons=120, input=content) == [
            "simulation.input.n_inputs (121) exceeds simulation.n_neurons (120); lower one or "
            "raise the other"
        ]
        good = {"simulation": {"n_neurons": 121, "input": content}}
        validate(good, Experiment, where="good")

    @pytest.mark.parametrize("value", [0, -1])
    @pytest.mark.parametrize("key", ["sender_width", "receiver_width", "gain"])
    def test_widths_are_positive(self, key, value):
        assert mistakes(types=[{}, {key: value}]) == [
            f"simulation.types.1.{key}: Input should be greater than 0 (got {value})"
        ]

    def test_all_mistakes_come_at_once(self):
        content = {"kind": "oscillation", "period": [3, 1], "evry": 2, "n_inputs": 0}
        lines = mistakes(dt=0, input=content)
        keys = ("input.n_inputs", "input.period", "input.evry", "dt")
        assert sorted(line.split(":")[0] for line in lines) == sorted(
            f"simulation.{key}" for key in keys
        )
