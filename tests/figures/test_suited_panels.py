"""Panels that an experiment cannot have are refused when the config is read."""

import pytest

from ngpipe.config.figures import KINDS
from ngpipe.errors import ConfigError
from ngpipe.study import stages

RECORDED = {
    "source": {"kind": "recording", "files": ["a.npz"], "units": "mV"},
    "training": {"target": "finite_difference", "solver": "closed_form"},
    "rollout": {"n_frames": 20, "at": [10]},
}
TRUE = [name for name, kind in KINDS.items() if kind.truth]


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    """Files that a config names must be there; what is in them is read later."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.npz", "true.zarr"):
        (tmp_path / name).touch()


def figure(kind: str, **options) -> dict:
    return {"F": {"panels": {"a": {"kind": kind, "of": "one", **options}}}}


@pytest.mark.parametrize("kind", TRUE)
def test_a_panel_of_the_truth_is_refused_for_a_recording(study, kind):
    known = study(figure(kind), one=RECORDED)
    with pytest.raises(ConfigError, match=rf"{kind} compares with the truth.*source\.truth"):
        stages.open_study(known)


def test_with_a_store_of_the_truth_it_is_not(study):
    with_truth = {**RECORDED, "source": {**RECORDED["source"], "truth": "true.zarr"}}
    assert "connectivity_scatter" in TRUE
    assert stages.open_study(study(figure("connectivity_scatter"), one=with_truth))


@pytest.mark.parametrize(
    "kind",
    [
        *("activity", "spectrum", "connectivity_estimates", "learned_connectivity", "latents"),
        *("phi", "psi", "rollout", "prediction_baselines", "halves", "diagnosis"),
    ],
)
def test_panels_of_a_recording_need_no_truth(study, kind):
    assert stages.open_study(study(figure(kind), one=RECORDED))


def test_halves_of_exact_rates_are_refused(study):
    with pytest.raises(ConfigError, match=r"halves.*not made for exact rates.*leave the panel out"):
        stages.open_study(study(figure("halves"), one={}))
