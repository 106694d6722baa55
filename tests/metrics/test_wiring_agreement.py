"""Agreement of an estimate with a connectome: planted is found, random is not."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from ngpipe.errors import ConnectomeError
from ngpipe.metrics.wiring_agreement import agreement, score_agreement
from ngpipe.wiring.container import Connectome
from ngpipe.wiring.nulls.table import samples

N = 24


def connectome(rng: np.random.Generator, density: float = 0.2) -> Connectome:
    """Random, of 18 excitatory and 6 inhibitory neurons, without autapses."""
    sign = np.where(np.arange(N) < 18, 1.0, -1.0)
    weights = rng.integers(1, 20, (N, N)) * (rng.random((N, N)) < density) * sign
    np.fill_diagonal(weights, 0)
    neurons = pd.DataFrame({"id": [f"n{k:02d}" for k in range(N)], "sign": sign})
    return Connectome(weights, neurons)


def named(values: np.ndarray, names: np.ndarray) -> xr.DataArray:
    return xr.DataArray(values, {"post": names, "pre": names}, ("post", "pre"))


def observed(estimate: xr.DataArray, of: Connectome, hops: int = 1) -> dict[str, float]:
    table, _ = agreement(estimate, of, {}, (hops,))
    return dict(zip(table["measure"], table["value"], strict=True))


def test_the_connectome_itself_agrees_in_every_measure():
    whole = connectome(np.random.default_rng(0))
    found = observed(named(whole.weights.toarray(), whole.ids), whole)
    assert found == pytest.approx({"rank": 1, "rank_size": 1, "presence": 1, "sign": 1})


def test_signs_count_in_the_measures_that_have_them():
    whole = connectome(np.random.default_rng(0))
    found = observed(named(-whole.weights.toarray(), whole.ids), whole)
    assert found == pytest.approx({"rank": -1, "rank_size": 1, "presence": 1, "sign": 0})


def test_rows_receive():
    whole = connectome(np.random.default_rng(0))
    turned = observed(named(whole.weights.toarray().T, whole.ids), whole)
    assert turned["presence"] < 0.7 and turned["rank"] < 0.5


def test_names_match_whatever_the_order():
    rng = np.random.default_rng(1)
    whole = connectome(rng)
    truth = named(whole.weights.toarray(), whole.ids)
    mixed = truth.isel(post=rng.permutation(N), pre=rng.permutation(N)).transpose("pre", "post")
    assert observed(mixed, whole)["rank"] == pytest.approx(1)


def test_pairs_not_measured_are_left_out_and_counted():
    rng = np.random.default_rng(2)
    whole = connectome(rng)
    values = whole.weights.toarray().astype(np.float64)
    values[rng.random((N, N)) < 0.3] = np.nan
    np.fill_diagonal(values, 5.0)  # responses of neurons to their own stimulation count for nothing
    missing = int(np.isnan(values).sum())
    table, counts = agreement(named(values, whole.ids), whole, {})
    assert counts == {"pairs": N * (N - 1) - missing, "not_measured": missing, "unknown_neurons": 0}
    assert table["value"].to_numpy() == pytest.approx(1)
    as_zero = observed(named(np.nan_to_num(values), whole.ids), whole)
    assert as_zero["presence"] < 0.95


def test_neurons_of_one_side_only_are_left_out_and_counted():
    whole = connectome(np.random.default_rng(3))
    names = np.array([*whole.ids[:10], "elsewhere"])
    values = np.full((11, 11), -3.0)
    values[:10, :10] = whole.weights.toarray()[:10, :10]
    table, counts = agreement(named(values, names), whole, {})
    assert counts == {"pairs": 90, "not_measured": 0, "unknown_neurons": 1}
    assert table["value"].to_numpy() == pytest.approx(1)


def test_other_names_are_refused():
    whole = connectome(np.random.default_rng(4))
    other = named(whole.weights.toarray(), np.array([f"cell {k}" for k in range(N)]))
    with pytest.raises(ConnectomeError, match=r"share 0 pairs.*cell 0.*n00"):
        agreement(other, whole, {})


def test_a_name_twice_is_refused():
    whole = connectome(np.random.default_rng(4))
    twice = whole.ids.copy()
    twice[1] = twice[0]
    with pytest.raises(ConnectomeError, match="n00 stand twice along 'post'"):
        agreement(named(whole.weights.toarray(), twice), whole, {})


def test_without_names_nothing_is_matched():
    whole = connectome(np.random.default_rng(4))
    bare = xr.DataArray(whole.weights.toarray(), dims=("post", "pre"))
    with pytest.raises(ConnectomeError, match="no names along 'post'"):
        agreement(bare, whole, {})


def test_without_negative_weights_there_are_no_measures_of_signs():
    whole = connectome(np.random.default_rng(5)).mapped(np.abs)
    assert set(observed(named(whole.weights.toarray(), whole.ids), whole)) == {
        "rank_size",
        "presence",
    }


def test_two_hops_are_the_paths_through_one_other_neuron():
    whole = connectome(np.random.default_rng(6), density=0.08)
    shares = whole.normalised().weights.toarray().astype(np.float64)
    through = named(shares + shares @ shares, whole.ids)
    assert observed(through, whole, hops=2)["rank"] == pytest.approx(1)
    assert observed(named(shares, whole.ids), whole, hops=2)["rank"] < 0.95
    assert "presence" not in observed(through, whole, hops=2)


def scored(estimate: xr.DataArray, of: Connectome, draws: int, null: str = "degree") -> pd.Series:
    drawn = {null: samples(of, null, draws, seed=0)}
    table = score_agreement(*agreement(estimate, of, drawn))
    return table.set_index(["quantity", "metric"])["value"]


@pytest.mark.slow
def test_planted_agreement_is_found():
    rng = np.random.default_rng(7)
    whole = connectome(rng)
    noisy = whole.weights.toarray() + rng.normal(0, 10, (N, N))
    found = scored(named(noisy, whole.ids), whole, 39)
    against = found["agreement_against_degree"]
    assert against[["rank_p", "rank_size_p", "presence_p"]].to_numpy() == pytest.approx(0.05)
    assert found["agreement", "presence"] > 0.6 > against["presence_null"]
    assert found["agreement", "pairs"] == N * (N - 1)


@pytest.mark.slow
def test_degrees_alone_are_no_agreement():
    """An estimate that knows only the degrees: against chance it seems to agree, not here."""
    rng = np.random.default_rng(8)
    whole = connectome(rng)
    linked = whole.weights.toarray() != 0
    degrees = linked.sum(axis=1)[:, None] * linked.sum(axis=0) + rng.normal(0, 1e-3, (N, N))
    found = scored(named(degrees, whole.ids), whole, 39)
    assert found["agreement", "presence"] > 0.6
    assert found["agreement_against_degree", "presence_p"] > 0.05
    free = scored(named(degrees, whole.ids), whole, 39, null="permuted_without_autapses")
    assert free["agreement_against_permuted_without_autapses", "presence_p"] <= 0.05


@pytest.mark.slow
@pytest.mark.parametrize("measure", ["rank", "rank_size", "presence", "sign"])
def test_p_of_random_estimates_is_uniform(p_values: pd.DataFrame, measure: str):
    """Equal shares of signs, which are few, make p larger, never smaller."""
    p = p_values[measure]
    assert 0.02 <= (p <= 0.1).mean() <= 0.18
    assert 0.4 <= p.mean() <= (0.7 if measure == "sign" else 0.6)


@pytest.fixture(scope="module")
def p_values() -> pd.DataFrame:
    """p of 80 random estimates, each with one of 20 alike connectomes among the other 19."""
    rng, rows = np.random.default_rng(9), []
    alike = [connectome(rng) for _ in range(20)]
    for k in range(80):
        noise = named(rng.normal(size=(N, N)), alike[0].ids)
        others = [one for j, one in enumerate(alike) if j != k % 20]
        table = score_agreement(*agreement(noise, alike[k % 20], {"alike": others}))
        p = table[table["metric"].str.endswith("_p")]
        rows.append(dict(zip(p["metric"].str.removesuffix("_p"), p["value"], strict=True)))
    return pd.DataFrame(rows)
