"""Measures of impulse responses: known traces, the notebook's loop, closed forms, comparisons."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from notebook_loops import notebook_time, small_circuit

from ngpipe.circuit import measures
from ngpipe.circuit.blocks import NOTEBOOK, Circuit, circuit, notebook_draw
from ngpipe.circuit.impulse import Impulse
from ngpipe.circuit.measures import (
    STATUSES,
    check_stable,
    compare,
    leading_eigenvalue,
    mean_field,
    measure,
)
from ngpipe.circuit.rates import Neurons
from ngpipe.circuit.respond import respond
from ngpipe.errors import ArgumentError, DivergenceError

IMPULSE = Impulse(start=0.5, end=4.0, duration=20.0)


def measured_of(*traces, impulse=IMPULSE, **options):
    """Measures of mean excitatory activity as given, a function of time or values."""
    values = [trace(impulse.times) if callable(trace) else trace for trace in traces]
    responses = xr.Dataset(
        {
            "excitatory": (("run", "time"), np.array(values)),
            "eigenvalue": ("run", np.zeros(len(values))),
        }
    )
    return measure(responses, impulse, **options)


def decaying(tau, peak=50.0):
    """A square response that decays with tau after the pulse."""
    end = IMPULSE.last * IMPULSE.dt

    def trace(t):
        during = np.where(t < IMPULSE.start, 0, peak)
        return np.where(t <= end, during, peak * np.exp(-(t - end) / tau))

    return trace


def run(circuits, impulse=IMPULSE, **neurons):
    engine = "step" if neurons.get("response") == "saturating" else "linear"
    responses = respond(circuits, impulse, Neurons(**neurons), engine=engine)
    return measure(responses, impulse)


class TestTimeToBaseline:
    @pytest.mark.parametrize("tau", [0.2, 1.0, 2.0])
    def test_of_an_exponential(self, tau):
        """50 exp(-t / tau) falls below 10 * 0.01 at tau ln 500, seen at the next step."""
        row = measured_of(decaying(tau)).loc[0]
        assert row["status"] == "ok"
        assert 0 <= row["time_to_baseline"] - tau * np.log(500) <= IMPULSE.dt + 1e-9

    def test_it_is_that_of_the_notebook(self, rng):
        circuits = [small_circuit(rng, seed) for seed in range(4)]
        responses = respond(circuits, IMPULSE, Neurons())
        table = measure(responses, IMPULSE)
        for i in range(4):
            expected = notebook_time(responses.excitatory[i].values, IMPULSE)
            assert table["time_to_baseline"][i] == expected

    def test_the_ratio_is_of_the_pulse(self):
        table = measured_of(decaying(1.0), threshold_ratio=0.1)
        assert table["time_to_baseline"][0] == pytest.approx(np.log(50), abs=IMPULSE.dt)

    def test_baseline_is_the_activity_before_the_pulse(self):
        raised = measured_of(lambda t: 3 + decaying(1.0)(t))
        assert raised["time_to_baseline"][0] == measured_of(decaying(1.0))["time_to_baseline"][0]
        assert raised["area"][0] == pytest.approx(measured_of(decaying(1.0))["area"][0])

    def test_a_pulse_from_the_first_step_starts_at_rest(self):
        """Nothing is before it: step 0 is at rest, and not what the run ends with."""
        impulse = replace(IMPULSE, start=0.0)
        table = measured_of(lambda t: np.where(t < 4, 5.0 * (t > 0), 0.12), impulse=impulse)
        assert table["status"][0] == "censored"


class TestStatus:
    """What ended in an IndexError, or in 0 s, is told apart."""

    def test_ok_is_a_return(self):
        assert measured_of(decaying(1.0))["status"][0] == "ok"

    def test_censored_is_no_return_in_time(self):
        row = measured_of(decaying(30.0)).loc[0]
        assert row["status"] == "censored"
        assert np.isnan(row["time_to_baseline"])
        assert row["time_constant"] == pytest.approx(30.0)

    def test_a_plateau_is_censored(self):
        assert measured_of(lambda t: np.where(t < 1, 0.0, 7.0))["status"][0] == "censored"

    @pytest.mark.parametrize("rate", [0.001, 0.1, 3.0])
    def test_growth_at_the_end_is_diverging(self, rate):
        row = measured_of(lambda t: np.where(t < 0.5, 0, np.exp(rate * t))).loc[0]
        assert row["status"] == "diverging"
        assert row["time_constant"] == pytest.approx(-1 / rate)

    def test_a_drop_before_growth_is_diverging_too(self):
        def trace(t):
            return decaying(0.3)(t) + 0.5 * np.exp(0.05 * t) * (t >= 0.5)

        assert measured_of(trace)["status"][0] == "diverging"

    @pytest.mark.parametrize("value", [np.inf, np.nan, -np.inf, 1e307])
    def test_what_is_not_finite_is_diverging(self, value):
        trace = decaying(1.0)(IMPULSE.times)
        trace[1800:] = value
        row = measured_of(trace).loc[0]
        assert row["status"] == "diverging"
        assert row["peak"] == row["area"] == np.inf

    def test_a_response_below_threshold_is_none(self):
        row = measured_of(decaying(1.0, peak=0.09)).loc[0]
        assert row["status"] == "no_response"
        assert np.isnan(row["time_to_baseline"])

    def test_a_response_that_ends_before_the_pulse_takes_no_time(self):
        trace = np.where((IMPULSE.times > 0.6) & (IMPULSE.times < 2), 4.0, 0.0)
        row = measured_of(trace).loc[0]
        assert (row["status"], row["time_to_baseline"]) == ("ok", 0.0)

    def test_a_rebound_is_noticed(self):
        def trace(t):
            return decaying(0.3)(t) + np.exp(-((t - 12) ** 2))

        assert measured_of(trace)["rebounds"][0]
        assert measured_of(trace)["status"][0] == "ok"
        assert not measured_of(decaying(0.3))["rebounds"][0]

    def test_an_oscillation_that_grows_is_diverging(self):
        """Its first swing is below threshold, which is no return."""
        growing = Circuit(np.array([[2.2, -3.0], [3.0, 0.0]]), 1)
        row = run(growing, response="linear").loc[0]
        assert (row["status"], row["eigenvalue"]) == ("diverging", pytest.approx(1.1))
        assert np.isnan(row["time_to_baseline"])

    def test_an_oscillation_that_decays_is_a_return(self):
        decaying = Circuit(np.array([[0.5, -3.0], [3.0, 0.0]]), 1)
        row = run(decaying, response="linear").loc[0]
        assert (row["status"], row["rebounds"]) == ("ok", True)

    def test_simulated_ones(self, rng):
        """Stable, slower than the run, unstable and overflowing networks; none is an exception."""
        slow = Circuit(np.array([[0.999]]), 1)
        growing = Circuit(np.array([[1.05]]), 1)
        exploding = Circuit(np.array([[1e4]]), 1)
        silent = Circuit(np.array([[0.0, -50.0], [50.0, 0.0]]), 1)
        table = run([small_circuit(rng), slow, growing, exploding, silent])
        assert table["status"][:4].tolist() == ["ok", "censored", "diverging", "diverging"]
        assert table["eigenvalue"][1:4].tolist() == [0.999, 1.05, 1e4]
        assert set(table["status"]) <= set(STATUSES)

    def test_a_saturating_network_stays_up_and_does_not_diverge(self):
        table = run(Circuit(np.array([[1.5]]), 1), response="saturating")
        assert table["status"][0] == "censored"
        assert table["eigenvalue"][0] == 1.5


class TestShape:
    def test_peak_and_area(self):
        """A square of 7 for 2 s, 350 - 150 steps."""
        row = measured_of(lambda t: np.where((t >= 1.5) & (t < 3.5), 7.0, 0.0)).loc[0]
        assert row["peak"] == 7.0
        assert row["area"] == pytest.approx(14.0, abs=0.08)

    def test_time_constant_is_that_of_the_slowest_mode(self):
        """Leading eigenvalue l: tau / (1 - l), by Euler -dt / ln(1 - (1 - l) dt / tau)."""
        weights = np.array([[0.8, 0.05], [0.1, 0.2]])
        row = run(Circuit(weights, 2)).loc[0]
        slowest = 1 - leading_eigenvalue(weights).real
        assert row["time_constant"] == pytest.approx(-0.01 / np.log1p(-slowest * 0.04), rel=1e-3)
        assert row["time_constant"] == pytest.approx(0.25 / slowest, rel=0.02)

    def test_a_ratio_that_is_not_positive_is_refused(self):
        with pytest.raises(
            ArgumentError, match=r"threshold_ratio is 0\.0, expected a number above"
        ):
            measured_of(decaying(1.0), threshold_ratio=0.0)

    def test_another_pulse_than_that_of_the_run_is_refused(self, rng):
        responses = respond(small_circuit(rng), IMPULSE, Neurons())
        with pytest.raises(ArgumentError, match="2000 steps, expected the 5000 of the pulse"):
            measure(responses, Impulse())


class TestEigenvalue:
    @pytest.mark.parametrize("n", [1, 5, 64, 65, 200])
    def test_it_is_the_one_with_the_largest_real_part(self, rng, n):
        weights = rng.normal(size=(n, n)) / np.sqrt(n)
        every = np.linalg.eigvals(weights)
        assert leading_eigenvalue(weights).real == pytest.approx(every.real.max(), abs=1e-8)

    @pytest.mark.parametrize("n_exc", [30, 300])
    def test_of_a_circuit(self, rng, n_exc):
        made = small_circuit(rng, n=n_exc)
        every = np.linalg.eigvals(made.weights)
        assert leading_eigenvalue(made.weights) == pytest.approx(every[every.real.argmax()])

    def test_of_a_network_without_a_loop_it_is_zero(self, rng):
        """Iterations see 0.7 in such a matrix, whose eigenvectors are all but parallel."""
        weights = np.tril(rng.random((90, 90)), -1)
        order = rng.permutation(90)
        assert leading_eigenvalue(weights[order][:, order]) == pytest.approx(0, abs=1e-9)

    @pytest.mark.parametrize("n", [64, 100])
    def test_of_a_ring_it_is_one_of_many_of_the_same_size(self, rng, n):
        weights = np.zeros((n, n))
        weights[np.arange(n), np.arange(n) - 1] = rng.uniform(0.5, 1.5, n)
        mean = np.exp(np.log(weights[weights > 0]).mean())
        assert leading_eigenvalue(weights) == pytest.approx(mean)

    def test_of_a_pair_it_is_the_upper(self):
        found = leading_eigenvalue(np.array([[0.1, -2.0], [2.0, 0.1]]))
        assert found == pytest.approx(0.1 + 2j)

    def test_a_large_inhibitory_one_is_not_it(self):
        assert leading_eigenvalue(np.diag([0.3, -5.0])) == pytest.approx(0.3)

    def test_no_connection_is_zero(self):
        assert leading_eigenvalue(np.zeros((100, 100))) == 0

    @pytest.mark.slow
    @pytest.mark.parametrize("n", [30, 60, 100, 140])
    def test_one_lost_in_rounding_is_not_a_number(self, rng, n):
        """One eigenvector: all n eigenvalues are 0.5, computed ones up to 1.3."""
        turned = np.linalg.qr(rng.normal(size=(n, n)))[0]
        weights = turned @ (0.5 * np.eye(n) + np.diag(np.ones(n - 1), -1)) @ turned.T
        assert np.linalg.eigvals(weights).real.max() > 0.7
        assert np.isnan(leading_eigenvalue(weights).real)

    @pytest.mark.quick(3)
    @pytest.mark.parametrize("n", [2, 3, 20, 100, 200])
    @pytest.mark.parametrize("weight", [0.7, 5.0])
    def test_feedforward_in_any_order_has_none_but_zero(self, rng, n, weight):
        order = rng.permutation(n)
        weights = np.diag(np.full(n - 1, weight), -1)[order][:, order]
        assert leading_eigenvalue(weights) == 0

    def test_stability_that_cannot_be_known_is_no_stability(self, monkeypatch):
        made = Circuit(np.zeros((2, 2)), 2)
        monkeypatch.setattr(measures, "leading_eigenvalue", lambda _: complex(np.nan))
        with pytest.raises(DivergenceError, match=r"lost in rounding, .* read its status"):
            check_stable(made)

    def test_an_unstable_network_is_refused_with_its_eigenvalue(self, rng):
        check_stable(small_circuit(rng))
        with pytest.raises(DivergenceError, match=r"leading eigenvalue of W is 1\.25, expected be"):
            check_stable(Circuit(np.array([[1.25]]), 1))


class TestMeanField:
    def test_weights_are_summed_over_pre_and_averaged_over_post(self):
        weights = np.array([[0.1, 0.3, -0.2], [0.5, 0.1, -0.4], [0.2, 0.6, -0.1]])
        reduced = mean_field(Circuit(weights, 2))
        np.testing.assert_allclose(reduced.weights, [[0.5, -0.3], [0.8, -0.1]])
        assert reduced.n_exc == 1

    def test_balanced_it_has_one_eigenvalue(self, rng):
        """Lambda = s - b a, with a close to g p n_E <10^N>, and 0."""
        made = small_circuit(rng, n=300, row_sum=1.1)
        reduced = mean_field(made).weights
        s, a = reduced[0, 0], reduced[1, 0]
        assert s == pytest.approx(1.1, rel=1e-5)
        assert a == pytest.approx(NOTEBOOK.mean_weight * 0.25 * 300, rel=0.05)
        values = np.sort(np.linalg.eigvals(reduced).real)
        assert values == pytest.approx([0, s - 0.15 * a], abs=1e-4)

    def test_it_answers_as_its_closed_form(self):
        """Driven long: u (1 + b a) / (1 - l). Then two exponentials, of the mode and of tau."""
        s, b, a, u = 1.0, 0.2, 1.5, 10.0
        reduced = Circuit(np.array([[s, -b * s], [a, -b * a]]), 1)
        impulse = Impulse(start=0.1, end=20.0, duration=40.0, dt=0.0005)
        row = run(reduced, impulse).loc[0]
        leading = s - b * a
        peak, q = u * (1 + b * a) / (1 - leading), u / (1 - leading)
        assert row["peak"] == pytest.approx(peak, rel=1e-6)
        t = np.arange(0, 15, 1e-4)
        slow = s / leading * q
        decay = slow * np.exp(-(1 - leading) * t / 0.25) + (peak - slow) * np.exp(-t / 0.25)
        expected = t[np.flatnonzero(decay < 0.1)[0]]
        assert row["time_to_baseline"] == pytest.approx(expected, abs=0.003)

    def test_it_predicts_networks_of_independent_connections(self, rng):
        """Sizes spread evenly: eigenvalue and time to baseline within a few per cent."""
        made = small_circuit(rng, n=200, row_sum=1.0, density=0.9)
        found, predicted = run(made).loc[0], run(mean_field(made)).loc[0]
        assert predicted["eigenvalue"] == pytest.approx(found["eigenvalue"], rel=0.02)
        assert predicted["time_to_baseline"] == pytest.approx(found["time_to_baseline"], rel=0.06)

    def test_without_inhibitory_neurons_there_is_one(self):
        assert mean_field(Circuit(np.full((3, 3), 0.2), 3)).weights == pytest.approx(0.6)


def table(*times):
    """Measures of runs: a time, or a status."""
    given = [("ok", t) if isinstance(t, float) else (t, np.nan) for t in times]
    return pd.DataFrame(given, columns=["status", "time_to_baseline"])


class TestCompare:
    def test_by_hand(self):
        found = compare(table(5.0, 7.0, 9.0), table(4.0, 7.5, 5.0))
        assert (found["observed"], found["null"], found["pairs"]) == (7.0, 5.5, 3)
        differences = np.array([1.0, -0.5, 4.0])
        assert found["difference"] == pytest.approx(differences.mean())
        assert found["difference_std"] == pytest.approx(differences.std(ddof=1))
        assert found["effect"] == pytest.approx(differences.mean() / differences.std(ddof=1))
        # Of 9 pairings six are slower (5 > 4, 7 > 4, 7 > 5, 9 > all), two faster (5 and 7 < 7.5).
        assert found["dominance"] == pytest.approx((6 - 2) / 9)
        # One null of three is slower than its pair: 2 (1 + 1) / (3 + 1).
        assert found["p"] == 1.0

    def test_pairing_takes_out_what_pairs_share(self, rng):
        """The random part moves both of a pair: differences are as narrow as the effect is."""
        shared = rng.normal(10, 3, 50)
        paired = compare(table(*(shared + 0.1).tolist()), table(*shared.tolist()))
        assert paired["difference"] == pytest.approx(0.1)
        assert paired["difference_std"] < 1e-10
        shuffled = compare(table(*(shared + 0.1)[::-1].tolist()), table(*shared.tolist()))
        assert shuffled["difference_std"] > 1

    def test_p_is_the_rank_among_the_nulls(self, rng):
        """Beyond all of N nulls, either way: 2 / (N + 1). Never 0."""
        nulls = rng.uniform(5, 6, 39).tolist()
        for beyond in (4.0, 7.0):
            assert compare(table(*[beyond] * 39), table(*nulls))["p"] == pytest.approx(0.05)

    def test_p_is_a_rank_in_pairs(self):
        """Each is slower than the null of its pair, if not of other pairs: 2 / (3 + 1)."""
        assert compare(table(4.0, 6.0, 8.0), table(3.0, 5.0, 7.0))["p"] == 0.5
        assert compare(table(4.0, 6.0, 8.0), table(5.0, 7.0, 3.0))["p"] == 1

    @pytest.mark.slow
    def test_p_is_right_in_size_and_sees_more_than_without_pairs(self, rng):
        """One network, 39 draws of a null, 39 random parts that shift both alike.

        Of networks that are draws themselves, 5 in 100 get a p of 0.05.
        """
        found = {0.0: [], 3.0: []}
        for shift, p in found.items():
            for _ in range(400):
                shared, draws = rng.normal(50, 1.1, 39), rng.normal(0, 1, 39)
                observed = shared + rng.normal(0, 1) + shift
                p.append(compare(table(*observed), table(*(shared + draws)))["p"])
        often = {shift: np.mean(np.array(p) <= 0.05) for shift, p in found.items()}
        assert often[0.0] == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / 400))
        assert often[3.0] > 0.65

    @pytest.mark.slow
    def test_p_is_too_large_rather_than_too_small_where_random_parts_act_unalike(self, rng):
        p = []
        for _ in range(400):
            observed = 50 + rng.normal(0, 1) + rng.normal(0, 1, 39)
            null = 50 + rng.normal(0, 1, 39) + rng.normal(0, 1, 39)
            p.append(compare(table(*observed), table(*null))["p"])
        assert np.mean(np.array(p) <= 0.05) <= 0.05

    @pytest.mark.parametrize("status", ["censored", "diverging"])
    def test_runs_that_do_not_come_back_are_slower_than_all(self, status):
        found = compare(table(5.0, 6.0, 7.0), table(status, 8.0, status))
        assert found["dominance"] == -1
        assert (found["pairs"], found["null"]) == (1, 8.0)
        both = compare(table(status, status), table(status, status))
        assert (both["dominance"], both["p"], both["pairs"]) == (0, 1, 0)
        assert np.isnan(both["effect"])

    def test_no_response_is_faster_than_all(self):
        found = compare(table(5.0, 6.0), table("no_response", "no_response"))
        assert found["dominance"] == 1

    def test_tables_that_are_no_pairs_are_refused(self):
        with pytest.raises(
            ArgumentError, match="2 observed runs and 1 of the null, expected pairs"
        ):
            compare(table(5.0, 6.0), table(5.0))
        with pytest.raises(ArgumentError, match="0 observed runs and 0 of the null"):
            compare(table(), table())


@pytest.fixture(scope="module")
def sizes(microns):
    """Summed sizes [pre, post] of the stand-in for the table of 1300, as the notebook filters."""
    table = microns / "synthetic" / "synapses_proofread_V1_neurons_1300_SYNTH_seed16.feather"
    synapses, cells = pd.read_feather(table), pd.read_feather(microns / "cell_info_1300.feather")
    ends = ["pre_pt_root_id", "post_pt_root_id"]
    kind = (cells["cell_type_auto"] == "23P") & (cells["region"] == "V1")
    ids = cells["pt_root_id"][kind & (cells["proofreading_strategy"] != "")]
    known = synapses[synapses[ends].isin(ids.to_numpy()).all(axis=1)]
    ids, count = np.unique(known[ends], return_counts=True)
    kept = known[known[ends].isin(ids[count > 20]).all(axis=1)]
    matrix = kept.pivot_table(index=ends[0], columns=ends[1], values="size", aggfunc="sum")
    both = matrix.index.intersection(matrix.columns)
    return matrix.loc[both, both].fillna(0).to_numpy()


@pytest.mark.data
class TestStandIn:
    """Ten seeds of the notebook; the table is generated and says nothing about cortex."""

    def runs(self, sizes, seeds, engine="linear"):
        made = [
            circuit(s.T, notebook_draw(len(s), NOTEBOOK, seed), NOTEBOOK)
            for seed, s in zip(seeds, sizes, strict=True)
        ]
        responses = respond(made, Impulse(), Neurons(), engine=engine)
        return measure(responses, Impulse())["time_to_baseline"]

    def test_the_matrix_as_it_is(self, sizes):
        times = self.runs([sizes] * 10, range(10))
        assert times[0] == pytest.approx(15.38)
        assert (times.mean(), times.std()) == pytest.approx((15.395, 0.6228), abs=1e-4)

    def test_connections_permuted(self, sizes):
        def permuted(seed):
            flat = sizes.flatten()
            np.random.RandomState(seed).shuffle(flat)
            return flat.reshape(sizes.shape)

        times = self.runs([permuted(seed) for seed in range(10)], range(10))
        assert times[0] == pytest.approx(10.48)
        assert (times.mean(), times.std()) == pytest.approx((10.474, 0.8361), abs=1e-4)

    def test_both_engines_agree(self, sizes):
        """Seed 1 has a unit that rectifies."""
        seeds = [0, 1]
        times = [self.runs([sizes] * 2, seeds, engine) for engine in ("linear", "step")]
        assert times[0].tolist() == times[1].tolist()
