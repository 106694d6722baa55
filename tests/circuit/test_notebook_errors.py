"""Errors B1 to B14 of the notebook, and the test of each that fails if it comes back.

B1   one number scaled measured and random weights      B8   a shuffle after an ablation
B2   a pulse that ignored its start                     B9   autapses, counted otherwise than pairs
B3   n_E computed back from n                           B10  a shuffle that left I weights out
B4   globals, a bare except, an invalid escape          B11  a check that named the wrong ids
B5   an unknown response found late                     B12  pairs and ranks left unsaid
B6   an IndexError for what does not come back          B13  excluded cells that came back
B7   a seed given to the wrong function                 B14  results that depend on dt
"""

import ast
import re
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from notebook_loops import measured, notebook_rates, small_circuit

import ngpipe
from ngpipe.circuit.blocks import NOTEBOOK, circuit, notebook_draw
from ngpipe.circuit.impulse import Impulse
from ngpipe.circuit.measures import measure
from ngpipe.circuit.rates import Neurons
from ngpipe.circuit.respond import ENGINES, respond

TESTS = Path(__file__).parents[1]
SOURCE = Path(ngpipe.__file__).parent
IMPULSE = Impulse(start=0.5, end=4.0, duration=20.0)
ELSEWHERE = [
    ("B1", "circuit/test_blocks.py", "gain_scales_what_reaches_inhibitory_neurons"),
    ("B1", "circuit/test_blocks.py", "ee_scale_scales_the_measured_block"),
    ("B2", "circuit/test_rates.py", "start_and_end_are_those_given"),
    ("B3", "circuit/test_blocks.py", "number_of_excitatory_neurons_is_never_computed_back"),
    ("B3", "circuit/test_rates.py", "reaches_every_excitatory_neuron_and_no_other"),
    ("B5", "circuit/test_rates.py", "an_unknown_response_is_refused_at_once"),
    ("B6", "circuit/test_measures.py", "what_is_not_finite_is_diverging"),
    ("B6", "circuit/test_measures.py", "censored_is_no_return_in_time"),
    ("B6", "circuit/test_measures.py", "a_response_below_threshold_is_none"),
    ("B6", "circuit/test_measures.py", "a_rebound_is_noticed"),
    ("B6", "circuit/test_rates.py", "a_pulse_that_gives_no_response_to_measure_is_refused"),
    ("B6", "steps/test_circuit_steps.py", "slow_growing_and_exploding_runs"),
    ("B7", "wiring/test_circuit_nulls.py", "an_ablation_can_be_shuffled"),
    ("B8", "wiring/test_circuit_nulls.py", "a_shuffle_after_an_ablation_undoes_it"),
    ("B8", "circuit/test_conditions.py", "without_reciprocal_pairs_also_after_a_shuffle"),
    ("B9", "wiring/test_circuit_nulls.py", "reciprocal_entries_count_autapses_once"),
    ("B9", "circuit/test_conditions.py", "nulls_keep_what_they_say"),
    ("B10", "wiring/test_circuit_nulls.py", "inhibitory_weights_take_part"),
    ("B11", "wiring/test_synapses.py", "ids_of_the_wrong_type_by_the_right_name"),
    ("B12", "circuit/test_conditions.py", "runs_of_one_seed_share_the_random_blocks"),
    ("B12", "circuit/test_measures.py", "pairing_takes_out_what_pairs_share"),
    ("B12", "circuit/test_measures.py", "p_is_the_rank_among_the_nulls"),
    ("B13", "wiring/test_synapses.py", "excluded_ids_do_not_come_back_through_their_partners"),
    ("B13", "wiring/test_synapses.py", "cells_without_id_or_with_a_shared_one_are_left_out"),
    ("B13", "steps/test_circuit_steps.py", "excluded_cells_are_named_by_their_ids"),
    ("B14", "circuit/test_rates.py", "results_converge_with_dt"),
]


@pytest.mark.parametrize(("error", "file", "words"), ELSEWHERE)
def test_errors_that_are_tested_elsewhere(error, file, words):
    text = (TESTS / file).read_text()
    assert re.search(rf"def test_\w*{words}", text), f"{error} has lost its test"


def test_every_error_has_a_test():
    here = {name.split("_")[1].upper() for name in globals() if re.match(r"test_b\d+_", name)}
    assert here | {error for error, *_ in ELSEWHERE} == {f"B{i}" for i in range(1, 15)}


def test_b1_gain_and_ee_scale_act_in_opposite_ways(rng):
    """A larger gain drives inhibition alone; a larger scale of what is measured, recurrence."""
    sizes = measured(rng, 60)
    part = notebook_draw(60, NOTEBOOK, 0)

    def time(**scales: float) -> float:
        made = circuit(sizes, part, replace(NOTEBOOK, **scales))
        return measure(respond(made, IMPULSE, Neurons()), IMPULSE)["time_to_baseline"][0]

    assert time(gain=0.003) < time() < time(ee_scale=1.03)


@pytest.mark.quick
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("n_exc", [50, 51, 64])
def test_b3_the_last_excitatory_neuron_is_driven_and_counted(rng, n_exc, engine):
    made = circuit(measured(rng, n_exc), notebook_draw(n_exc, NOTEBOOK, 0), NOTEBOOK)
    found = respond(made, IMPULSE, Neurons(), engine=engine, activity=True)
    after = found.activity.values[0, IMPULSE.first + 1]
    np.testing.assert_allclose(after[:n_exc], 0.04 * 10, rtol=1e-12)
    assert np.abs(after[n_exc:]).max() < 1e-12
    np.testing.assert_allclose(found.excitatory[0], found.activity[0, :, :n_exc].mean("neuron"))
    np.testing.assert_allclose(found.inhibitory[0], found.activity[0, :, n_exc:].mean("neuron"))


@pytest.mark.slow
def test_b4_nothing_is_caught_unseen_and_no_escape_is_invalid():
    for path in SOURCE.rglob("*.py"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            tree = ast.parse(path.read_text(), filename=str(path))
        for node in ast.walk(tree):
            assert not isinstance(node, ast.Global), path
            bare = isinstance(node, ast.ExceptHandler) and node.type is None
            assert not bare, f"{path}:{node.lineno}"


def test_b4_a_run_depends_on_what_is_given_alone(rng):
    """The notebook's functions read names of the notebook: another circuit came between."""
    first, second = (
        circuit(measured(rng, n), notebook_draw(n, NOTEBOOK, 0), NOTEBOOK) for n in (40, 60)
    )
    before = respond(first, IMPULSE, Neurons())
    respond(second, replace(IMPULSE, start=1.0), Neurons(tau=0.5))
    assert before.identical(respond(first, IMPULSE, Neurons()))


@pytest.mark.quick(1)
@pytest.mark.parametrize("engine", ENGINES)
def test_b14_a_run_follows_its_step_and_time_constant(rng, engine):
    """Each is Euler's of its own dt and tau; times differ by about a step."""
    made, times = small_circuit(rng), []
    for dt in (0.04, 0.01, 0.004):
        impulse = Impulse(start=0.4, end=2.0, duration=10.0, dt=dt)
        found = respond(made, impulse, Neurons(tau=0.2), engine=engine)
        expected, _ = notebook_rates(made.weights, made.n_exc, impulse, tau=0.2)
        mean = expected[: made.n_exc].mean(axis=0)
        np.testing.assert_allclose(found.excitatory[0], mean, rtol=0, atol=1e-10)
        times.append(measure(found, impulse)["time_to_baseline"][0])
    assert times == pytest.approx([times[2]] * 3, rel=0.03)
