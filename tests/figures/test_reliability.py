"""Panels that say how far W can be trusted, where no truth is known."""

import numpy as np
import pytest
from drawing import axes_of, overlapping, texts
from synthetic import N, material

from ngpipe.config.figures import KINDS, Panel
from ngpipe.errors import StoreError
from ngpipe.figures.drawing import compose

ESTIMATES = ("connectivity_estimates", "connectivity_errors")
RECORDED = (*ESTIMATES, "prediction_baselines", "halves", "diagnosis", "spectrum")


def words(kind: str, **changes) -> str:
    ax = axes_of(material(kind, **changes))
    return " ".join(t.get_text() for t in texts(ax.figure)).replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize("kind", RECORDED)
def test_no_truth_is_read(kind):
    assert not KINDS[kind].truth
    blind = material("activity").simulation[["activity"]]
    reads = KINDS[kind].reads
    changes = {"simulation": blind} if "simulation.zarr" in reads else {}
    assert axes_of(material(kind, **changes)).get_title(loc="left")


def test_weights_that_are_not_called_are_pale_and_rows_go_by_type():
    recovery = material("connectivity_estimates").recovery
    recovery["neuron_type"][:] = np.arange(N) % 2
    order = np.r_[0:N:2, 1:N:2]
    ax = axes_of(material("connectivity_estimates", recovery=recovery))
    (image,) = ax.child_axes[0].images
    weights, called = recovery["connectivity"].values, recovery["connected"].values
    np.testing.assert_allclose(image.get_array(), weights[np.ix_(order, order)])
    np.testing.assert_array_equal(image.get_alpha() == 1, called[np.ix_(order, order)])
    assert [t.get_text() for t in ax.child_axes[0].get_yticklabels()] == ["1", "2"]


def test_calls_are_counted_off_the_diagonal_and_drawn_over_w():
    recovery = material("connectivity_estimates").recovery
    off = ~np.eye(N, dtype=bool)
    called = recovery["connected"].values & off
    ax = axes_of(material("connectivity_estimates"))
    title = ax.get_title(loc="left")
    assert f"{called.sum():,} of {N * (N - 1):,}" in title
    assert "5 %" in title
    _, cell = ax.child_axes
    absent, present = cell.collections
    assert len(present.get_offsets()) == called.sum()
    assert len(absent.get_offsets()) == N * (N - 1) - called.sum()
    x, y = present.get_offsets().T
    np.testing.assert_allclose(np.sort(x), np.sort(recovery["connectivity"].values[called]))
    np.testing.assert_allclose(y, np.abs(x) / 0.1)


def test_pairs_of_unknown_error_are_left_out():
    recovery = material("connectivity_estimates").recovery
    recovery["connectivity_error"][0, 1:5] = np.nan
    ax = axes_of(material("connectivity_estimates", recovery=recovery))
    drawn = sum(len(dots.get_offsets()) for dots in ax.child_axes[1].collections)
    assert drawn == N * (N - 1) - 4


@pytest.mark.parametrize("kind", ESTIMATES)
def test_without_errors_the_estimates_say_why_not(kind):
    recovery = material("halves").recovery.drop_vars("connectivity_error")
    with pytest.raises(StoreError, match=rf"{kind}.*too short"):
        compose.panel_figure(material(kind, recovery=recovery))


def test_intervals_stand_about_w_in_its_order():
    recovery = material("connectivity_errors").recovery
    off = ~np.eye(N, dtype=bool)
    recovery["connectivity_error"][:] = 0.1 + np.arange(N * N).reshape(N, N) / N**2
    recovery["connectivity_error"][0, 1] = np.nan
    off[0, 1] = False
    w, error = (recovery[f"connectivity{n}"].values[off] for n in ("", "_error"))
    figure = compose.panel_figure(material("connectivity_errors", recovery=recovery))
    lines, dots = figure.axes[0].collections
    order = np.argsort(w)
    some = order[np.linspace(0, len(w) - 1, min(240, len(w))).round().astype(int)]
    np.testing.assert_allclose(dots.get_offsets()[:, 1], w[some], rtol=1e-6)
    ends = np.array([line[:, 1] for line in lines.get_segments()])
    expected = np.stack([w[some] - 1.96 * error[some], w[some] + 1.96 * error[some]], axis=1)
    np.testing.assert_allclose(ends, expected, rtol=1e-5, atol=1e-6)
    told = " ".join(t.get_text() for t in texts(figure))
    assert f"{100 * np.mean(np.abs(w) > 1.96 * error):.0f} % exclude 0" in told


def test_forecast_errors_are_relative_to_the_variance():
    rollout = material("prediction_baselines").rollout
    rollout["forecast_variance"][:] = np.linspace(1, 3, 12)[:, None]
    ax = compose.panel_figure(material("prediction_baselines", rollout=rollout)).axes[0]
    drawn = {line.get_label(): line for line in ax.lines}
    np.testing.assert_allclose(drawn["no change"].get_ydata()[:2], [0.2 / 20, 0.4 / 20])
    np.testing.assert_allclose(drawn["model"].get_xdata(), rollout["lead"])
    ax.figure.draw_without_rendering()
    legend = ax.get_legend()
    assert legend.get_texts()[0].get_text() == "model"
    below = legend.get_window_extent()
    assert 0 < below.y0 < below.y1 < ax.xaxis.label.get_window_extent().y0  # hides no curve


def test_one_diverged_start_ends_the_line_of_the_model():
    rollout = material("prediction_baselines").rollout
    rollout["forecast_error"][0, 3, 10:] = np.nan
    ax = axes_of(material("prediction_baselines", rollout=rollout))
    (model,) = [line for line in ax.lines if line.get_label() == "model"]
    assert np.isfinite(model.get_ydata()).sum() == 10


def test_without_forecasts_the_panel_says_so():
    rollout = material("rollout").rollout.drop_dims("lead")
    assert "follow one another" in words("prediction_baselines", rollout=rollout)


def test_halves_say_what_metrics_csv_says():
    assert "0.917" in words("halves")
    assert "0.958" in words("halves")
    recovery = material("halves").recovery.drop_vars("connectivity_halves")
    with pytest.raises(StoreError, match=r"halves.*training\.target is drift"):
        compose.panel_figure(material("halves", recovery=recovery))


def test_the_diagnosis_says_what_the_data_do_not_identify_and_what_they_do():
    text = words("diagnosis")
    assert "do not identify W: expect an R² of about 0.31" in text
    assert f"23 of the {N - 1} directions" in text
    assert "activity up to 0.25 tau ahead".replace("tau", "τ") in text
    assert "700 training frames in 3 stretches, 70 neurons" in text
    assert "r = 0.917" in text
    assert "error 1 % of the variance; best baseline (linear autoregression) 10 %" in text


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    ("identified", "said"),
    [("yes", "These data identify W"), ("unknown", "unknown whether these data identify W")],
)
def test_the_other_verdicts(identified, said):
    history = material("diagnosis").history.assign_attrs(identified=identified)
    assert said in words("diagnosis", history=history)


def test_a_recording_without_a_diagnosis_is_called_too_short():
    history = material("diagnosis").history
    history.attrs = {"recording": "{}"}
    assert "too short" in words("diagnosis", history=history)


def test_a_model_that_forecasts_no_better_than_a_baseline_is_not_praised():
    rollout = material("rollout").rollout
    rollout["forecast_error"][0] = 2.0
    text = words("diagnosis", rollout=rollout)
    assert "ahead, better" not in text
    assert "at no time ahead is the model clearly better" in text


def test_a_forecast_that_is_better_only_later_is_told_with_its_times():
    rollout = material("rollout").rollout
    rollout["forecast_error"][0] = 2.0
    rollout["forecast_error"][0, :, 1:] = 1e-6
    text = words("diagnosis", rollout=rollout)
    begin, end = (float(rollout["lead"][k]) for k in (1, -1))
    assert f"activity from {begin:.3g} to {end:.3g} τ ahead, better than all baselines" in text


def test_a_forecast_that_runs_away_has_no_number_without_meaning():
    metrics = material("diagnosis").metrics
    own = (metrics["quantity"] == "prediction") & (metrics["metric"] == "r2_model")
    metrics.loc[own, "value"] = -1.9e6
    assert "error more than 1,000 % of the variance" in words("diagnosis", metrics=metrics)


def test_what_was_not_looked_at_is_said():
    recovery = material("diagnosis").recovery.drop_vars("unobserved_bias")
    history = material("diagnosis").history.assign_attrs(exact=0)
    text = words("diagnosis", recovery=recovery, history=history)
    assert "make weights wrong was not looked at" in text


def test_one_group_is_one_group():
    recovery = material("diagnosis").recovery.assign_attrs(n_types=1, types_told="no: as said")
    assert "unknown: 1 group by phi" in words("diagnosis", recovery=recovery)


def test_what_chance_among_the_starts_may_do_is_no_advantage():
    rollout = material("rollout").rollout
    rng = np.random.default_rng(0)
    shape = rollout["forecast_error"].shape
    rollout["forecast_error"][:] = 1 + 0.1 * rng.normal(size=shape)
    rollout["forecast_error"][0] -= 0.01
    assert "at no time ahead" in words("diagnosis", rollout=rollout)
    rollout["forecast_error"][0] -= 0.5
    assert "better than all baselines" in words("diagnosis", rollout=rollout)


@pytest.mark.quick(1)
@pytest.mark.parametrize("size", [(4.9, 2.6), (4.6, 1.7), (3.2, 2.4)])
def test_no_line_of_the_diagnosis_leaves_the_panel_or_meets_another(size):
    spec = Panel(kind="diagnosis", of="e", size=size)
    figure = compose.panel_figure(material("diagnosis", spec=spec))
    figure.canvas.draw()
    shown = texts(figure)
    assert not overlapping(shown)
    for text in shown:
        box = text.get_window_extent()
        assert box.x1 <= figure.bbox.x1
        assert box.y0 >= 0
