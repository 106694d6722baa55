"""What YAML takes for another value than people do, and words that are nearly right."""

import pytest

from ngpipe.config.figures import Figures
from ngpipe.config.load import load
from ngpipe.config.systems import load_experiment
from ngpipe.errors import ConfigError


def experiment(tmp_path, text):
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    return load_experiment(file)


def refused(tmp_path, text):
    with pytest.raises(ConfigError) as error:
        experiment(tmp_path, text)
    return str(error.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3e3", 3000),
        ("3E+3", 3000),
        ("3.0e+3", 3000),
        ("+3e3", 3000),
        ("3_000", 3000),
        ("0x10", 16),
        ("1e3", 1000),
    ],
)
def test_numbers_as_people_write_them(tmp_path, text, value):
    assert experiment(tmp_path, f"simulation: {{n_neurons: {text}}}").simulation.n_neurons == value


@pytest.mark.parametrize(("text", "value"), [("1e-2", 0.01), (".5e-1", 0.05), ("0.5", 0.5)])
def test_small_numbers(tmp_path, text, value):
    assert experiment(tmp_path, f"simulation: {{noise: {text}}}").simulation.noise == value


@pytest.mark.parametrize("text", ["012", "+012", "007", "089", "00"])
def test_leading_zeros_are_refused_by_key(tmp_path, text):
    message = refused(tmp_path, f"simulation: {{n_neurons: {text}}}")
    assert f"simulation.n_neurons: YAML takes {text}" in message
    assert "base 10" in message


def test_base_60_is_refused_by_key_also_in_lists(tmp_path):
    message = refused(tmp_path, "simulation: {seed: 1:30}\nrollout: {at: [1, 2:00]}")
    assert "simulation.seed: YAML takes 1:30" in message
    assert "rollout.at.1: YAML takes 2:00" in message


@pytest.mark.parametrize("text", ["true", "yes", "False", "on"])
@pytest.mark.parametrize("key", ["noise", "n_neurons", "seed"])
def test_yes_and_no_are_no_numbers(tmp_path, text, key):
    message = refused(tmp_path, f"simulation: {{{key}: {text}}}")
    assert f"simulation.{key}: " in message
    assert f"(got '{text}')" in message


@pytest.mark.parametrize(("text", "value"), [("true", True), ("no", False), ("On", True)])
def test_keys_that_are_yes_or_no_understand_them(tmp_path, text, value):
    file = tmp_path / "config.yaml"
    file.write_text(f"figures: {{}}\ntensorboard: {text}\n")
    assert load(file, Figures).tensorboard is value


def test_a_section_without_keys_is_all_defaults(tmp_path):
    assert experiment(tmp_path, "simulation:\ntraining:\n") == experiment(tmp_path, "")


def test_a_section_that_may_be_absent_stays_so(tmp_path):
    assert experiment(tmp_path, "simulation: {input: }").simulation.input is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("simulation: {nosie: 1}", "simulation.nosie: there is no such key; did you mean 'noise'?"),
        ("traning: {}", "traning: there is no such key; did you mean 'training'?"),
        (
            "simulation: {types: [{lek: 1}]}",
            "types.0.lek: there is no such key; did you mean 'leak'?",
        ),
        (
            "simulation: {connectivity: {kind: block, betwen: 1}}",
            "connectivity.betwen: there is no such key; did you mean 'between'?",
        ),
        (
            "simulation: {connectivity: {kind: lorenz}}",
            "there is no 'lorenz'; did you mean 'lorentz'? expected one of",
        ),
        ("training: {solver: closed}", "there is no 'closed'; did you mean 'closed_form'?"),
        ("system: asembly", "did you mean 'assembly'?"),
    ],
)
def test_the_nearest_word_is_named(tmp_path, text, words):
    assert words in refused(tmp_path, text)


def test_a_key_of_another_section_is_not_offered(tmp_path):
    message = refused(tmp_path, "simulation: {learning_rat: 1}")
    assert "there is no such key (got 1)" in message


def test_a_wrong_kind_of_panel_names_the_nearest_not_all(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("figures: {Fig: {panels: {a: {kind: conectivity_scatter, of: x}}}}\n")
    with pytest.raises(ConfigError) as error:
        load(file, Figures)
    message = str(error.value)
    assert "figures.Fig.panels.a.kind: there is no 'conectivity_scatter'" in message
    assert "did you mean 'connectivity_scatter'?" in message
    assert len(message) < 300


def test_empty_panels_are_called_empty(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("figures: {Fig: {panels: }}\n")
    with pytest.raises(ConfigError, match=r"figures.Fig.panels: is empty; give it entries"):
        load(file, Figures)


def test_the_nearest_config_is_named(tmp_path):
    (tmp_path / "bisons.yaml").touch()
    with pytest.raises(ConfigError, match="did you mean 'bisons'"):
        load_experiment(tmp_path / "bison.yaml")


@pytest.mark.parametrize(("key", "lacks"), [("types", "entries"), ("n_neurons", "a value")])
def test_a_key_without_a_value_says_what_to_do(tmp_path, key, lacks):
    message = refused(tmp_path, f"simulation: {{n_frames: 10, {key}: }}")
    assert f"simulation.{key}: is empty; give it {lacks}, or leave the key out" in message
