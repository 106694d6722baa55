"""A recording whose wiring is known: from the lab's file to W beside the connectome and nulls."""

import numpy as np
import pandas as pd
import pytest
import yaml
from studies import Study

N, FRAMES, DT, DRAWS = 16, 5000, 0.05, 60
LABELS = [f"cell_{k}" for k in range(N)]
NULLS = ("degree_and_reciprocity", "erdos_renyi")


def wiring() -> np.ndarray:
    """Sparse W with both signs, post x pre."""
    rng = np.random.default_rng(5)
    weights = rng.normal(size=(N, N)) * (rng.random((N, N)) < 0.3)
    np.fill_diagonal(weights, 0)
    return 1.5 * weights


def activity() -> np.ndarray:
    """Activity of these neurons, with noise that visits every direction."""
    rng, W = np.random.default_rng(6), wiring()
    x, found = rng.normal(size=N), []
    for _ in range(FRAMES):
        found.append(x)
        x = x + DT * (-x + W @ np.tanh(x)) + 0.1 * rng.normal(size=N)
    return np.array(found)


def write_connectome(study: Study, names: list[str]) -> None:
    """An edge list in which the k-th neuron has the k-th name."""
    post, pre = np.nonzero(wiring())
    table = {"pre": np.array(names)[pre], "post": np.array(names)[post]}
    table |= {"weight": wiring()[post, pre].round(4)}
    pd.DataFrame(table).to_csv(study.path("config", "connectome.csv"), index=False)


def metrics(study: Study) -> pd.Series:
    """Values of metrics.csv by quantity and metric."""
    table = pd.read_csv(study.path("results", "runs", "recording", "metrics.csv"))
    return table.set_index(["quantity", "metric"])["value"]


@pytest.fixture(scope="module")
def made(tmp_path_factory, project) -> Study:
    """The study that `ngpipe new` writes, with a connectome to compare with, and its figure."""
    directory = tmp_path_factory.mktemp("lab")
    np.savez(directory / "day1.npz", x=activity(), names=np.array(LABELS))
    study = Study(directory / "wired", project)
    Study(directory, project).ngpipe("new", "wired", "--from", "day1.npz", "--series", "x")
    path = study.path("config", "experiments", "recording.yaml")
    config = yaml.safe_load(path.read_text())
    config["source"] |= {"axes": "time_neuron", "rate": 1 / DT, "units": "1", "labels": "names"}
    config["training"]["closed_form"] = {"distil_steps": 100}
    source = {"kind": "file", "path": "config/connectome.csv"}
    config["compare_with"] = {
        "connectome": {"source": source},
        "nulls": list(NULLS),
        "draws": DRAWS,
    }
    path.write_text(yaml.safe_dump(config))
    path = study.path("config", "config.yaml")
    config = yaml.safe_load(path.read_text())
    config["style"] = {"dpi": 50}
    config["figures"]["Recording"]["panels"] = {
        "estimates": {"kind": "connectivity_estimates", "of": "recording"},
        "errors": {"kind": "connectivity_errors", "of": "recording"},
        "agreement": {"kind": "wiring_agreement", "of": "recording", "metric": "rank"},
    }
    path.write_text(yaml.safe_dump(config))
    write_connectome(study, LABELS)
    study.snakemake("results/Recording/")
    return study


def test_w_agrees_with_its_connectome_more_than_nulls_do(made):
    found = metrics(made)
    assert found["agreement", "pairs"] == N * (N - 1)
    assert found["agreement", "presence"] > 0.65
    assert found["agreement", "sign"] > 0.7
    for null in NULLS:
        against = found[f"agreement_against_{null}"]
        assert against["rank_z"] > 4
        assert against["rank_p"] < 0.05
        assert abs(against["rank_null"]) < 0.2
    draws = pd.read_csv(made.path("results", "runs", "recording", "agreement.csv"))
    counts = draws.query("measure == 'rank'")["null"].value_counts()
    assert counts.to_dict() == {"observed": 1, **dict.fromkeys(NULLS, DRAWS)}
    assert made.path("results", "Recording", "Recording.png").exists()


def test_neurons_of_other_names_agree_no_more_than_chance_and_nothing_is_trained_again(made):
    shuffled = np.random.default_rng(1).permutation(LABELS).tolist()
    write_connectome(made, shuffled)
    planned = set(made.planned("results/Recording/"))
    assert {"compare_with", "score", "panel", "figure"} <= planned
    assert not planned & {"import", "train", "recover", "rollout"}
    made.snakemake("results/Recording/")
    found = metrics(made)
    for null in NULLS:
        assert abs(found[f"agreement_against_{null}", "rank_z"]) < 3
        assert abs(found[f"agreement_against_{null}", "presence_z"]) < 3
