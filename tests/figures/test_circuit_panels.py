"""Panels of the circuit system: the right numbers in the right place, and no run left out."""

import json
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from drawing import axes_of, clipped, overlapping, read_by, texts
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from pydantic import ValidationError

from ngpipe.circuit.impulse import Impulse
from ngpipe.config.figures import KINDS, Panel, Style
from ngpipe.errors import ConfigError, StoreError
from ngpipe.figures.circuit.material import CircuitMaterial
from ngpipe.figures.drawing import compose
from ngpipe.study import stages
from ngpipe.wiring.container import Connectome
from ngpipe.wiring.nulls.motifs import PAIRS, TRIADS
from ngpipe.wiring.origin import Origin

N_EXC, N_INH = 14, 4
N = N_EXC + N_INH
KNOWN = ("observed", "permuted_weights", "one_removed")
SEEDS = range(3, 9)
IMPULSE = Impulse(start=1, end=5, duration=20, dt=0.1)
TIMES = 0.1 * np.arange(200)
NULLS = ("degree", "erdos_renyi")
NEEDED = {"response_sweep": {"parameter": "network.gain"}}
STYLE = Style(dpi=100)


def weights(rng: np.random.Generator) -> np.ndarray:
    """Half of all pairs connected; inhibitory neurons, the last ones, send negative weights."""
    found = rng.lognormal(-3, 1, (N, N)) * (rng.random((N, N)) < 0.5)
    return found * np.where(np.arange(N) < N_EXC, 1, -1)


def responses() -> xr.Dataset:
    """Of every condition decays with a time constant of 1, 1.5 and 2 s after the pulse."""
    rng = np.random.default_rng(1)
    matrices = np.stack([weights(rng) for _ in KNOWN])
    spectrum = np.linalg.eigvals(matrices)
    runs = [(name, seed) for seed in SEEDS for name in KNOWN]
    means = np.stack([trace(1 + 0.5 * KNOWN.index(name)) * seed for name, seed in runs])
    single = np.stack([trace(1 + 0.5 * k) for k in range(3)])[:, ::2, None]
    return xr.Dataset(
        {
            "excitatory": (("run", "time"), means),
            "inhibitory": (("run", "time"), 0.4 * means),
            "parameter": ("run", np.full(len(runs), "")),
            "condition": ("run", np.array([name for name, _ in runs])),
            "seed": ("run", np.array([seed for _, seed in runs])),
            "activity": (("shown", "sample", "neuron"), single * rng.uniform(1, 5, (1, 1, N))),
            "weights": (("shown", "post", "pre"), matrices.astype(np.float32)),
            "spectrum": (
                ("shown", "mode", "part"),
                np.stack([spectrum.real, spectrum.imag], axis=2),
            ),
        },
        {"time": TIMES, "sample": TIMES[::2], "shown": list(KNOWN)},
        {"n_exc": N_EXC, "config": json.dumps({"impulse": asdict(IMPULSE)})},
    )


def trace(tau: float) -> np.ndarray:
    return np.where(TIMES < 1, 0, np.where(TIMES <= 5, 8.0, 8 * np.exp((5 - TIMES) / tau)))


def measures() -> pd.DataFrame:
    """Without a sweep, then three values of a number and three of which one is no number."""
    rng = np.random.default_rng(2)
    points = [(np.nan, np.nan)]
    points += [("network.gain", v) for v in ("0.001", "0.002", "0.004")]
    points += [("network.balance", v) for v in (np.nan, "0.15", "0.3")]
    rows = [
        {"parameter": key, "value": value, "condition": name, "seed": seed, "status": "ok"}
        for key, value in points
        for seed in SEEDS
        for name in KNOWN
    ]
    table = pd.DataFrame(rows)
    table["time_to_baseline"] = rng.uniform(6, 9, len(table))
    table["predicted_time"] = rng.uniform(6, 9, len(table))
    for where, status in (
        (dict(parameter="", condition="permuted_weights", seed=4), "censored"),
        (dict(parameter="", condition="permuted_weights", seed=6), "censored"),
        (dict(parameter="", condition="permuted_weights", seed=7), "diverging"),
        (dict(parameter="", condition="one_removed", seed=5), "no_response"),
        (dict(parameter="network.gain", value="0.001", condition="observed"), "diverging"),
        (
            dict(parameter="network.gain", value="0.002", condition="one_removed", seed=5),
            "censored",
        ),
    ):
        known = table.fillna({"parameter": ""})
        mine = np.logical_and.reduce([known[key] == value for key, value in where.items()])
        table.loc[mine, "status"], table.loc[mine, "time_to_baseline"] = status, np.nan
    return table


def motif_table() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    names = [*PAIRS, *TRIADS]
    table = pd.concat(
        [
            pd.DataFrame(
                {
                    "motif": names,
                    "count": 100.0,
                    "mean": rng.uniform(50, 150, len(names)),
                    "sd": rng.uniform(0.5, 40, len(names)),
                    "p": np.where(np.arange(len(names)) % 2, 0.01, 0.5),
                    "samples": 30,
                    "null": null,
                }
            )
            for null in NULLS
        ],
        ignore_index=True,
    )
    of_degree = table["null"] == "degree"
    table.loc[of_degree & table["motif"].isin(["convergent", "divergent"]), ["mean", "sd"]] = 100, 0
    table.loc[of_degree & (table["motif"] == "300"), ["mean", "sd"]] = 0, 0
    table["z"] = (table["count"] - table["mean"]) / table["sd"].where(table["sd"] > 0)
    return table


def comparison() -> pd.DataFrame:
    others = {
        ("observed", "permuted_weights"): (1.25, 0.5, 3),
        ("observed", "one_removed"): (-2.5, 0.75, 5),
        ("one_removed", "permuted_weights"): (3.75, 0.5, 3),
    }
    return pd.DataFrame(
        [
            {
                "parameter": np.nan,
                "of": of,
                "condition": name,
                "difference": mean,
                "difference_std": sd,
                "effect": mean / sd,
                "pairs": pairs,
                "p": 2 / 7,
            }
            for (of, name), (mean, sd, pairs) in others.items()
        ]
    )


@pytest.fixture(scope="module")
def results() -> dict[str, object]:
    matrix = weights(np.random.default_rng(4))[:N_EXC, :N_EXC]
    post, pre = np.nonzero(matrix)
    edges = pd.DataFrame({"pre": pre, "post": post, "weight": matrix[post, pre]})
    sweeps = pd.DataFrame({"null": "degree", "sweep": range(4), "overlap": [1, 0.5, 0.3, 0.25]})
    return {
        "connectome": Connectome.from_edges(edges, origin=Origin(source="synthetic")),
        "responses": responses(),
        "measures": measures(),
        "comparison": comparison(),
        "motifs": motif_table(),
        "mixing": sweeps,
        "manifest": {"config": {"measures": {"threshold_ratio": 0.02}}},
    }


@pytest.fixture
def material(results):
    """material(kind, ...) -> what such a panel draws from."""

    def make(kind: str, **spec) -> CircuitMaterial:
        panel = Panel(kind=kind, of="one", **{**NEEDED.get(kind, {}), **spec})
        return CircuitMaterial(read_by(panel, CircuitMaterial, results), spec=panel, style=STYLE)

    return make


def given(material: CircuitMaterial, **changes: object) -> CircuitMaterial:
    """The same panel, with some results exchanged."""
    return replace(material, results=material.results | changes)


def words(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


def lines(ax: Axes, **look: object) -> list[np.ndarray]:
    """Points of the lines that look so, (point, 2)."""
    return [
        np.asarray(line.get_xydata())
        for line in ax.lines
        if all(getattr(line, f"get_{key}")() == value for key, value in look.items())
    ]


def row(table: pd.DataFrame, **where: object) -> pd.DataFrame:
    known = table.fillna({"parameter": ""})
    return table[np.logical_and.reduce([known[key] == value for key, value in where.items()])]


@pytest.mark.quick(5)
@pytest.mark.parametrize("kind", [k for k, one in KINDS.items() if one.system == "circuit"])
@pytest.mark.parametrize("wide", [False, True])
def test_a_panel_says_its_source_and_all_its_text_is_legible(material, kind, wide):
    narrow = (4.8, 2.6) if kind == "response_times" else None
    figure = compose.panel_figure(material(kind, size=(7.2, 3.0) if wide else narrow))
    assert figure.axes[0].get_title(loc="left").endswith("(synthetic)")
    assert not clipped(figure)
    assert not overlapping(texts(figure))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["circuit_matrix", "impulse_response", "response_sweep"])
def test_the_same_results_give_the_same_bytes(material, kind, tmp_path):
    files = [tmp_path / f"{k}.svg" for k in range(2)]
    for file in files:
        compose.save(compose.panel_figure(material(kind)), file, STYLE)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_files_are_called_by_their_names_and_not_at_any_length(material, results):
    for source, name in (
        ("/data/microns/synapses.csv, in the columns of MICrONS phase 1", "synapses.csv"),
        ("MICrONS minnie65 v1300", "MICrONS minnie65 v1300"),
        ("tables/synapses_proofread_V1_neurons_1300.feather", "synapses_proofread_V1_n…"),
    ):
        connectome = replace(results["connectome"], origin=Origin(source=source))
        assert given(material("mixing"), connectome=connectome).source == name


def test_what_has_one_name_has_one_colour(material, results):
    colors = material("mixing").null_colors()
    assert colors["observed"] == to_rgba(STYLE.learned_color)
    assert list(colors) == [*KNOWN, *NULLS]
    assert len(set(colors.values())) == len(colors)
    motifs = results["motifs"].replace({"null": {"degree": "one_removed"}})
    assert list(given(material("mixing"), motifs=motifs).null_colors()) == [*KNOWN, "erdos_renyi"]
    assert material("spectra").colors() == {name: colors[name] for name in KNOWN}


class TestNetwork:
    def test_rows_of_the_matrix_are_post_and_blocks_end_where_excitation_ends(
        self, material, results
    ):
        ax = axes_of(material("circuit_matrix", conditions=["one_removed"]))
        expected = results["responses"]["weights"].sel(shown="one_removed").values
        np.testing.assert_array_equal(ax.images[0].get_array(), expected)
        assert ax.yaxis_inverted()
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("pre $j$", "post $i$")
        across, down = (line.get_xydata() for line in ax.lines)
        assert (across[0, 1], down[0, 0]) == (N_EXC - 0.5, N_EXC - 0.5)
        assert [t.get_text() for t in ax.get_xticklabels()] == ["14 E", "4 I"]
        assert ax.get_title(loc="left") == "W, one removed (synthetic)"
        low, high = ax.images[0].get_clim()
        assert low == -high

    def test_a_circuit_without_inhibition_has_one_block(self, material, results):
        part = results["responses"].isel(post=slice(N_EXC), pre=slice(N_EXC))
        ax = axes_of(given(material("circuit_matrix"), responses=part))
        assert [t.get_text() for t in ax.get_xticklabels()] == ["14 E"]

    def test_sizes_of_weights_are_densities_of_their_blocks(self, material, results):
        ax = axes_of(material("weight_distribution"))
        shown = results["responses"]["weights"].sel(shown="observed").values.astype(float)
        blocks = {
            "measured, E → E": shown[:N_EXC, :N_EXC],
            "random, E → I": shown[N_EXC:, :N_EXC],
            "random, I → all": -shown[:, N_EXC:],
        }
        found = {p.get_label(): p.get_data() for p in ax.patches if p.get_label()}
        assert list(found) == list(blocks)
        for name, block in blocks.items():
            sizes = block[block > 0]
            widths = np.diff(np.log10(found[name].edges))
            assert (found[name].values * widths).sum() == pytest.approx(1)
            low, high = found[name].edges[[0, 4]]
            share = ((sizes >= low) & (sizes < high)).mean()
            assert (found[name].values * widths)[:4].sum() == pytest.approx(share)
        assert ax.get_xscale() == "log"

    def test_leading_eigenvalues_stand_out_and_growth_begins_at_one(self, material, results):
        ax = axes_of(material("spectra", conditions=["one_removed", "observed"]))
        spectrum = results["responses"]["spectrum"]
        for k, name in enumerate(("one_removed", "observed")):
            modes = spectrum.sel(shown=name).values
            np.testing.assert_array_equal(ax.collections[k].get_offsets(), modes)
            leading = max(modes.tolist())
            np.testing.assert_array_equal(ax.collections[2 + k].get_offsets(), [leading])
            label = ax.get_legend().get_texts()[k].get_text()
            assert label == f"{name.replace('_', ' ')} {leading[0]:.3f}"
        assert [line[0, 0] for line in lines(ax, linestyle="--")] == [1.0]
        assert ax.get_xlim()[1] > 1


class TestImpulse:
    def test_means_and_single_neurons_are_those_of_the_first_seed(self, material, results):
        ax = axes_of(material("impulse_response", neurons=5))
        cells = ax.child_axes
        assert [c.get_title() or c.get_title(loc="left") for c in cells] == [
            "observed",
            "permuted weights",
        ]
        stored = results["responses"]
        for cell, name in zip(cells, KNOWN, strict=False):
            mine = (stored["condition"] == name) & (stored["seed"] == 3)
            run = stored.isel(run=int(np.flatnonzero(mine)[0]))
            bold = max(cell.lines, key=lambda line: line.get_linewidth())
            np.testing.assert_array_equal(bold.get_ydata(), run["excitatory"])
            dashed = cell.lines[1].get_ydata()
            np.testing.assert_array_equal(dashed, run["inhibitory"])
            segments = cell.collections[0].get_segments()
            chosen = stored["activity"].sel(shown=name)[:, [0, 3, 6, 9, 13]]
            np.testing.assert_array_equal([s[:, 1] for s in segments], chosen.T)

    def test_the_return_is_marked_at_the_threshold_and_written(self, material, results):
        cell = axes_of(material("impulse_response")).child_axes[0]
        time = row(results["measures"], parameter="", condition="observed", seed=3)
        time = float(time["time_to_baseline"].iloc[0])
        arrow, text = cell.texts
        assert (text.get_text(), arrow.xyann) == (f"{time:.2f} s", (5, 0.2))
        assert arrow.xy == pytest.approx((5 + time, 0.2))
        assert cell.get_xlim()[1] > 5 + time
        assert (cell.get_yscale(), cell.get_ylim()[0] < 0.2) == ("log", True)

    def test_a_run_that_does_not_return_says_so(self, material, results):
        table = results["measures"].copy()
        first = (table["seed"] == 3) & (table["condition"] == "permuted_weights")
        table.loc[first, ["status", "time_to_baseline"]] = "diverging", np.nan
        grown = results["responses"].copy(deep=True)
        grown["excitatory"][1, 150:] = np.inf
        ax = axes_of(given(material("impulse_response"), measures=table, responses=grown))
        assert ax.child_axes[1].texts[1].get_text() == "diverging"
        assert ax.child_axes[0].get_xlim()[1] == IMPULSE.duration


class TestTimes:
    def test_every_run_is_a_dot_or_counted_beyond_the_axis(self, material, results):
        ax = axes_of(material("response_times", size=(7.2, 3.0)))
        dots = [c.get_offsets() for c in ax.collections if len(c.get_offsets()) > 1]
        table = results["measures"]
        for k, name in enumerate(KNOWN):
            known = row(table, parameter="", condition=name)["time_to_baseline"].dropna()
            np.testing.assert_array_equal(dots[k][:, 0], known)
            assert np.abs(dots[k][:, 1] - k).max() < 0.3
        limit = IMPULSE.duration - IMPULSE.end
        marks = {(m, k): xy for m in "^xs" for k, xy in enumerate(lines(ax, marker=m))}
        assert {m: xy[0, 1] for (m, _), xy in marks.items()} == {"^": 1, "x": 1, "s": 2}
        assert all(limit < xy[0, 0] < ax.get_xlim()[1] for xy in marks.values())
        counts = [text for text in words(ax) if text.isdigit()]
        assert sorted(counts) == ["1", "1", "2"]
        assert sum(map(len, dots)) + sum(map(int, counts)) == len(KNOWN) * len(SEEDS)
        keys = [t.get_text() for t in ax.get_legend().get_texts()]
        assert keys[-3:] == ["censored (count)", "diverging (count)", "no response (count)"]

    def test_predictions_and_comparisons_are_beside_their_rows(self, material, results):
        ax = axes_of(material("response_times", conditions=["one_removed", "observed"]))
        runs = row(results["measures"], parameter="")
        for k, name in enumerate(("one_removed", "observed")):
            predicted = runs["predicted_time"][runs["condition"] == name].mean()
            assert [xy[0, 0] for xy in lines(ax) if xy[:, 1].tolist() == [k - 0.38, k + 0.38]] == [
                pytest.approx(predicted)
            ]
        beside = {t.get_text(): t.xy[1] for t in ax.texts}
        assert beside["−2.50 ± 0.75 (5/6)"] == 0
        assert beside["0.286"] == 0
        assert beside["difference [s]"] == -1
        assert beside["observed"] == 1

    def test_the_axis_ends_with_the_longest_time_where_all_runs_have_one(self, material, results):
        table = results["measures"]
        table = table[table["status"] == "ok"]
        ax = axes_of(given(material("response_times"), measures=table))
        most = table[table["parameter"].isna()][["time_to_baseline", "predicted_time"]].max().max()
        assert most < ax.get_xlim()[1] < IMPULSE.duration - IMPULSE.end

    def test_without_any_time_all_are_counted(self, material, results):
        table = results["measures"].assign(
            status="diverging", time_to_baseline=np.nan, predicted_time=np.nan
        )
        ax = axes_of(given(material("response_times"), measures=table))
        assert [text for text in words(ax) if text.isdigit()] == ["6"] * 3

    def test_effects_pair_runs_of_one_seed_in_whatever_order(self, material, results):
        table = results["measures"].sample(frac=1, random_state=0)
        names = ["one_removed", "permuted_weights"]
        ax = axes_of(given(material("effects", conditions=names), measures=table))
        runs = row(results["measures"], parameter="").set_index(["condition", "seed"])
        times = runs["time_to_baseline"]
        dots = [c.get_offsets() for c in ax.collections if len(c.get_offsets()) > 1]
        pairs = [("observed", name) for name in names] + [tuple(names)]
        for k, ((of, name), found) in enumerate(zip(pairs, dots, strict=True)):
            expected = (times[of] - times[name]).dropna()
            np.testing.assert_allclose(np.sort(found[:, 0]), np.sort(expected))
            assert np.abs(found[:, 1] - k).max() < 0.3
        beside = {t.get_text(): t.xy[1] for t in ax.texts}
        told = {"−3.33": 0, "5/6": 0, "+2.50": 1, "+7.50": 2}
        assert beside["one removed − permuted weights"] == 2
        assert told.items() <= beside.items()
        assert ax.lines[0].get_xdata() == [0, 0]


class TestSweep:
    def test_dots_means_and_predictions_stand_at_their_values(self, material, results):
        ax = axes_of(material("response_sweep", conditions=["one_removed"]))
        table = row(results["measures"], parameter="network.gain", condition="one_removed")
        table = table.assign(value=table["value"].astype(float))
        np.testing.assert_array_equal(
            ax.collections[0].get_offsets(), table[["value", "time_to_baseline"]]
        )
        means = table.groupby("value")[["time_to_baseline", "predicted_time"]].mean()
        whole, part, predicted = (line.get_xydata() for line in ax.lines[:3])
        expected = means["time_to_baseline"].to_numpy()
        np.testing.assert_allclose(whole[:, 1], [expected[0], np.nan, expected[2]])
        np.testing.assert_allclose(part, [[0.002, expected[1]]])
        np.testing.assert_allclose(predicted[:, 1], means["predicted_time"])
        assert ax.get_xlabel() == "gain of random weights"

    def test_runs_without_a_time_are_counted_above_in_lines_of_their_own(self, material):
        ax = axes_of(material("response_sweep"))
        limit = IMPULSE.duration - IMPULSE.end
        (censored,), (diverging,) = lines(ax, marker="^"), lines(ax, marker="x")
        assert limit < censored[0, 1] < diverging[0, 1] < ax.get_ylim()[1]
        assert diverging[0, 0] == pytest.approx(0.001, rel=0.2)
        assert censored[0, 0] == pytest.approx(0.002, rel=0.2)
        assert words(ax) == ["1", "6"]
        keys = [text.get_text() for text in ax.get_legend().get_texts()]
        assert keys[-2:] == ["censored (count)", "diverging (count)"]

    def test_conditions_stand_side_by_side(self, material):
        ax = axes_of(material("response_sweep", conditions=["observed", "one_removed"]))
        left, right = (c.get_offsets()[:, 0].max() for c in ax.collections[:2])
        assert left < 0.004 < right
        assert right - left < 0.001

    def test_values_that_are_no_numbers_are_places(self, material):
        ax = axes_of(material("response_sweep", parameter="network.balance"))
        assert [t.get_text() for t in ax.get_xticklabels()] == ["none", "0.15", "0.3"]
        assert ax.get_xticks().tolist() == [0, 1, 2]
        assert ax.get_xlabel() == "inhibition over excitation"


class TestMotifs:
    def test_every_z_is_at_its_motif_and_null(self, material, results):
        ax = axes_of(material("motif_scores", size=(7.2, 2.6)))
        motifs = [*PAIRS, *TRIADS]
        assert [t.get_text() for t in ax.get_xticklabels()] == motifs
        clouds = [c for c in ax.collections if len(c.get_offsets()) > 2]
        for null, dots in zip(NULLS, clouds, strict=True):
            table = results["motifs"]
            table = table[(table["null"] == null) & table["z"].notna()]
            found = np.asarray(dots.get_offsets())
            np.testing.assert_allclose(3 * np.sinh(found[:, 1]), table["z"])
            assert [motifs[round(x)] for x in found[:, 0]] == table["motif"].tolist()
            white = (dots.get_facecolors()[:, :3] == 1).all(axis=1)
            np.testing.assert_array_equal(white, table["p"] > 0.05)

    def test_ticks_are_numbers_of_z(self, material):
        ax = axes_of(material("motif_scores", size=(7.2, 2.6)))
        shown = zip(ax.get_yticks(), [t.get_text() for t in ax.get_yticklabels()], strict=True)
        numbers = {t.replace("−", "-"): at for at, t in shown if t[-1].isdigit()}
        assert {"0", "2", "-2"} <= set(numbers)
        for text, at in numbers.items():
            assert 3 * np.sinh(at) == pytest.approx(float(text))

    def test_motifs_that_a_null_keeps_are_called_kept_and_others_infinite(self, material):
        ax = axes_of(material("motif_scores", size=(7.2, 2.6)))
        shown = zip([t.get_text() for t in ax.get_yticklabels()], ax.get_yticks(), strict=True)
        ticks = dict(shown)
        few = [np.asarray(c.get_offsets()) for c in ax.collections]
        kept, more = (points for points in few if 0 < len(points) < 3)
        motifs = [*PAIRS, *TRIADS]
        assert [motifs[round(x)] for x in kept[:, 0]] == ["convergent", "divergent"]
        assert set(kept[:, 1]) == {ticks["kept"]}
        assert [motifs[round(x)] for x in more[:, 0]] == ["300"]
        assert set(more[:, 1]) == {ticks["z infinite"]}

    def test_mixing_is_drawn_sweep_by_sweep(self, material):
        ax = axes_of(material("mixing"))
        np.testing.assert_array_equal(
            ax.lines[0].get_xydata(), [[0, 1], [1, 0.5], [2, 0.3], [3, 0.25]]
        )
        assert ax.get_legend().get_texts()[0].get_text() == "degree, 0.250 left"


def test_what_is_not_there_is_named(material, results):
    with pytest.raises(StoreError, match=r"conditions \['shuffled'\], which are none of"):
        axes_of(material("spectra", conditions=["shuffled"]))
    with pytest.raises(StoreError, match=r"no runs with parameter 'neurons\.tau', only of"):
        axes_of(material("response_sweep", parameter="neurons.tau"))
    with pytest.raises(StoreError, match=r"mixing\.csv of one is empty: motifs\.nulls has none"):
        axes_of(given(material("mixing"), mixing=results["mixing"][:0]))
    with pytest.raises(StoreError, match=r"motifs\.csv of one compares with no null"):
        bare = results["motifs"][["motif", "count"]].assign(null=np.nan)
        axes_of(given(material("motif_scores"), motifs=bare))


class TestConfig:
    @pytest.mark.parametrize(
        ("panel", "message"),
        [
            ({"kind": "response_sweep"}, "a response_sweep panel needs `parameter`"),
            ({"kind": "circuit_matrix", "conditions": ["a", "b"]}, "shows one condition, got"),
            ({"kind": "effects", "conditions": ["observed"]}, "leave it out of them"),
            ({"kind": "spectra", "conditions": ["a", "a"]}, "names one twice"),
        ],
    )
    def test_a_panel_that_cannot_be_drawn_is_refused(self, panel, message):
        with pytest.raises(ValidationError, match=message):
            Panel(of="one", **panel)

    @pytest.mark.parametrize(
        ("panel", "experiment", "message"),
        [
            (
                {"kind": "spectra", "conditions": ["observed", "shuffled"]},
                {},
                r"a\.conditions: \['shuffled'\] are not among those of experiment one, "
                r"\['observed', 'permuted_connections'\]",
            ),
            (
                {"kind": "response_sweep", "parameter": "network.gain"},
                {"sweep": {"network.balance": [0.1, 0.2]}},
                r"a\.parameter: network\.gain is not in the sweep of experiment one, "
                r"\['network\.balance'\]; add it there",
            ),
            (
                {"kind": "motif_scores"},
                {"motifs": {"nulls": []}},
                r"a\.kind: experiment one has no motifs\.nulls to compare with",
            ),
            (
                {"kind": "mixing"},
                {"motifs": {"nulls": ["erdos_renyi"]}},
                r"a\.kind: none of motifs\.nulls of experiment one, \['erdos_renyi'\], exchanges",
            ),
            (
                {"kind": "phi"},
                {},
                r"a\.kind: phi shows experiments of system assembly, but one is of system circuit",
            ),
        ],
    )
    def test_what_the_experiment_does_not_have_is_named(self, study, panel, experiment, message):
        directory = study(
            {"F": {"panels": {"a": {"of": "one", **panel}}}},
            one={"system": "circuit", **experiment},
        )
        with pytest.raises(ConfigError, match=rf"figures\.F\.panels\.{message}"):
            stages.open_study(directory)

    def test_what_it_has_is_accepted(self, study):
        panels = {
            "a": {"of": "one", "kind": "spectra", "conditions": ["permuted_connections"]},
            "b": {"of": "one", "kind": "response_sweep", "parameter": "network.gain"},
            "c": {"of": "one", "kind": "mixing"},
        }
        one = {"system": "circuit", "sweep": {"network.gain": [0.001, 0.002]}}
        assert stages.open_study(study({"F": {"panels": panels}}, one=one)).experiments_of("F")
