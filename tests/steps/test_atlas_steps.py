"""Measured responses beside a connectome, from files to panels; and W beside a connectome."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from ngpipe import store
from ngpipe.artifacts import materials
from ngpipe.artifacts.null_agreement import compared_with
from ngpipe.config.agreement import CompareWith
from ngpipe.config.atlas.experiment import AtlasExperiment
from ngpipe.config.figures import KINDS, Panel, Style
from ngpipe.config.load import validate
from ngpipe.errors import ConfigError, ConnectomeError
from ngpipe.figures.drawing import compose
from ngpipe.schemas.atlas import MEASURED
from ngpipe.steps import agree, measure, wire
from ngpipe.study.suited import lacks

N = 40


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A connectome, and responses that follow it where they were measured, half of all pairs."""
    directory, rng = tmp_path_factory.mktemp("files"), np.random.default_rng(0)
    sign = np.where(np.arange(N) < 30, 1, -1)
    weights = rng.integers(1, 9, (N, N)) * (rng.random((N, N)) < 0.15)
    np.fill_diagonal(weights, 0)
    names = [f"n{k:02d}" for k in range(N)]
    post, pre = np.nonzero(weights)
    edges = {"pre": np.array(names)[pre], "post": np.array(names)[post]}
    pd.DataFrame({**edges, "weight": weights[post, pre]}).to_csv(directory / "edges.csv")
    places = {axis: rng.random(N) for axis in "xyz"}
    neurons = pd.DataFrame({"id": names, "sign": sign, **places})
    neurons.to_csv(directory / "neurons.csv", index=False)
    responses = weights * sign + rng.normal(0, 2, (N, N))
    responses[rng.random((N, N)) < 0.5] = np.nan
    pd.DataFrame(responses, names, names).to_csv(directory / "responses.csv")
    return directory


def source(files) -> dict:
    edges, neurons = str(files / "edges.csv"), str(files / "neurons.csv")
    return {"source": {"kind": "file", "path": edges, "neurons": neurons}}


def experiment(files, **changes) -> AtlasExperiment:
    content = {
        "system": "atlas",
        "connectome": source(files),
        "measured": {"kind": "file", "path": str(files / "responses.csv"), "units": "dF/F"},
        "agreement": {"nulls": ["degree", "distance"], "draws": 19, "hops": [1, 2]},
    }
    return validate({**content, **changes}, AtlasExperiment, where="test")


@pytest.fixture(scope="module")
def made(files, tmp_path_factory):
    directory, cfg = tmp_path_factory.mktemp("atlas"), experiment(files)
    wire.run(cfg.connectome, directory, key="k")
    measure.run(cfg.measured, directory, key="k")
    agree.run(cfg.agreement, cfg.reference, directory, key="k")
    return directory


def test_planted_agreement_is_in_the_metrics(made):
    table = store.read_csv(made / "metrics.csv").set_index(["quantity", "metric"])["value"]
    measured = np.isfinite(store.read(made / "measured.zarr", MEASURED)["response"].values)
    np.fill_diagonal(measured, False)
    assert table["agreement", "pairs"] == measured.sum()
    assert table["agreement", "not_measured"] == N * (N - 1) - measured.sum()
    for null in ("degree", "distance"):
        assert table[f"agreement_against_{null}", "presence_p"] == pytest.approx(0.1)
        assert table[f"agreement_2_hops_against_{null}", "rank_p"] == pytest.approx(0.1)


def test_every_draw_is_told(made):
    draws = store.read_csv(made / "agreement.csv")
    counts = draws.groupby(["null", "hops", "measure"]).size()
    assert counts["observed", 1, "sign"] == 1
    assert counts["distance", 1, "presence"] == counts["degree", 2, "rank"] == 19
    assert ("degree", 2, "presence") not in counts


@pytest.mark.quick(1)
@pytest.mark.parametrize("kind", [k for k, one in KINDS.items() if one.system == "atlas"])
def test_every_panel_is_drawn(made, kind):
    metric = {"metric": "rank"} if "metric" in KINDS[kind].needs else {}
    spec = Panel(kind=kind, of="one", **metric)
    figure = compose.panel_figure(materials.load(made, spec, Style(dpi=50)))
    figure.canvas.draw()
    assert figure.axes[0].get_title(loc="left")


def test_a_line_stands_at_the_value_observed(made):
    spec = Panel(kind="response_agreement", of="one", metric="presence")
    (ax,) = compose.panel_figure(materials.load(made, spec, Style(dpi=50))).axes
    table = store.read_csv(made / "metrics.csv").set_index(["quantity", "metric"])["value"]
    lines = [line for line in ax.lines if len(set(line.get_xdata())) == 1]
    assert table["agreement", "presence"] in [pytest.approx(line.get_xdata()[0]) for line in lines]


def test_a_panel_of_nulls_needs_nulls(files):
    bare = experiment(files, agreement={"nulls": []})
    (said,) = lacks(Panel(kind="response_agreement", of="one", metric="rank"), bare)
    assert "no agreement.nulls" in said


def test_nulls_are_named_once(files):
    with pytest.raises(ConfigError, match="names one twice"):
        experiment(files, agreement={"nulls": ["degree", "degree"]})


def recovered(files, names: list[str]) -> xr.DataArray:
    responses = pd.read_csv(files / "responses.csv", index_col=0)
    return xr.DataArray(responses, coords={"post": names, "pre": names}, dims=("post", "pre"))


def test_w_is_compared_with_a_connectome_of_the_same_names(files):
    cfg = CompareWith.model_validate({"connectome": source(files), "draws": 5})
    names = [f"n{k:02d}" for k in range(N)]
    draws, counts = compared_with(recovered(files, names), cfg)
    observed = draws[draws["null"] == "observed"].set_index("measure")["value"]
    assert observed["presence"] > 0.75 and counts["unknown_neurons"] == 0
    with pytest.raises(ConnectomeError, match="share 0 pairs"):
        compared_with(recovered(files, [str(k) for k in range(N)]), cfg)
