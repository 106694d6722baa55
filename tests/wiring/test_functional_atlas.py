"""Measured responses: orientation, names, and pairs that were not measured."""

import h5py
import numpy as np
import pytest

from ngpipe.errors import StoreError
from ngpipe.wiring.sources import worm
from ngpipe.wiring.sources.functional_atlas import response_table, worm_atlas

NAMES = ["AVAL", "AWCOF", "AWCON", "VB1", "I1L"]


@pytest.fixture
def atlas(tmp_path):
    """AVAL, stimulated, moves AWCOFF by 2; VB1 was stimulated and recorded without a response."""
    dff, q = np.full((5, 5), np.nan), np.full((5, 5), np.nan)
    trials = np.zeros((5, 5), np.int64)
    dff[1, 0], q[1, 0], trials[1, 0] = 2.0, 0.01, 6
    dff[0, 1], q[0, 1], trials[0, 1] = -0.5, 0.4, 1
    trials[2, 3] = 3
    path = tmp_path / "funatlas.h5"
    with h5py.File(path, "w") as file:
        file["neuron_ids"] = np.array(NAMES, "S5")
        for name, values in (("dFF", dff), ("q", q), ("occ1", trials)):
            file[f"wt/{name}"] = values
    return path


def test_rows_respond_and_names_are_those_of_the_connectome(atlas):
    found = worm_atlas(atlas)
    assert found["post"].values.tolist() == ["AVAL", "AWCL", "AWCR", "VB01", "I1L"]
    assert set(found["post"].values) <= set(worm.neurons()["id"])
    assert float(found["response"].sel(post="AWCL", pre="AVAL")) == 2.0
    assert int(found["trials"].sel(post="AWCL", pre="AVAL")) == 6
    assert found.attrs["strain"] == "wt" and "Randi" in found.attrs["citation"]


def test_what_was_not_measured_is_not_0(atlas):
    found = worm_atlas(atlas)
    response = found["response"].values
    assert np.isfinite(response).sum() == 2
    assert not (response == 0).any()
    assert int(found["trials"].sel(post="AWCR", pre="VB01")) == 0  # recorded, but without a value


def test_pairs_of_few_trials_are_not_measured(atlas):
    found = worm_atlas(atlas, least_trials=2)["response"]
    assert np.isfinite(found.values).sum() == 1
    assert np.isnan(found.sel(post="AVAL", pre="AWCL"))


def test_significance(atlas):
    found = worm_atlas(atlas, response="significance")["response"]
    assert float(found.sel(post="AWCL", pre="AVAL")) == pytest.approx(0.99)


def test_another_file_is_refused(tmp_path):
    with h5py.File(tmp_path / "funatlas.h5", "w") as file:
        file["matrix"] = np.zeros((2, 2))
    with pytest.raises(StoreError, match=r"is not funatlas\.h5 of wormneuroatlas"):
        worm_atlas(tmp_path)


def test_a_sheet_of_your_own(tmp_path):
    path = tmp_path / "responses.csv"
    path.write_text(",a,b\nb,1.5,\nc,,-2\n")
    found = response_table(path, units="mV")["response"]
    assert float(found.sel(post="b", pre="a")) == 1.5
    assert np.isnan(found.sel(post="c", pre="a")) and found.attrs["units"] == "mV"
    turned = response_table(path, rows="stimulated")["response"]
    assert float(turned.sel(post="a", pre="b")) == 1.5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (",a,b\nb,1,x\n", "has 'x' in row b, column b, expected a number"),
        (",a,b\nb,1,2\nb,3,4\n", "b stand twice among the responding neurons"),
        (",a,b\nb,,\n", "holds no measured response"),
    ],
)
def test_a_sheet_that_cannot_be_used(tmp_path, text, message):
    path = tmp_path / "responses.csv"
    path.write_text(text)
    with pytest.raises(StoreError, match=message):
        response_table(path)
    with pytest.raises(StoreError, match="no file at"):
        response_table(tmp_path / "absent.csv")
