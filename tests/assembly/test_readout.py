"""What is read out of a model: types from all that neurons of one type share."""

import numpy as np
import pytest
import torch
from assemblies import DURATION, SCALES, grid_sites, numbers, random_field, random_model
from sklearn.metrics import adjusted_rand_score

from ngpipe.assembly.readout import read_out, types_told
from ngpipe.assembly.recording import Recording
from ngpipe.config.assembly.recovery import Recovery

N = 40
RECORDING = Recording(6 * numbers(1, 500, N), None, DURATION / 500, 0.2)
TYPES = torch.randperm(N, generator=torch.Generator().manual_seed(2)) % 2


class SharedPhi(torch.nn.Module):
    """-x for every neuron."""

    def forward(self, x: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        shape = torch.broadcast_shapes(x.shape, latent.shape[:-1])
        return (-x / SCALES.rate).expand(shape)[..., None]


class WidePsi(torch.nn.Module):
    """tanh(x / w), w = 1 or 4 by the sign of the first latent; amplitudes differ at will."""

    def __init__(self, wide: float = 4.0) -> None:
        super().__init__()
        self.wide = wide

    def forward(self, x: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        width = torch.where(latent[..., 0] > 0, self.wide, 1.0)
        return (latent[..., 1].exp() * torch.tanh(x / width))[..., None]


@pytest.mark.parametrize("scale", [1.0, -3.0])
def test_types_that_share_phi_are_told_apart_by_what_they_send(scale):
    """The shape of psi counts and not its scale, which is not known."""
    model = random_model(N, "sender")
    model.fold()
    model.phi, psi = SharedPhi(), WidePsi()
    model.psi = psi
    with torch.no_grad():
        model.latent.copy_(torch.stack([TYPES - 0.5, 0.5 * numbers(3, N)], -1))
        model.V *= scale
    recovery = read_out(model, RECORDING, Recovery())
    assert recovery.attrs["n_types"] == 2
    assert adjusted_rand_score(TYPES, recovery["neuron_type"]) == 1
    x = recovery["x"].values
    for j in range(N):
        width = 4.0 if TYPES[j] else 1.0
        true = np.tanh(x / width)
        np.testing.assert_allclose(recovery["psi"].values[j], true, rtol=0, atol=0.02)


def test_columns_give_a_psi_that_does_not_saturate_its_true_size():
    """tanh(x / 40) reaches 0.4 where there is data; its columns of W say so, its ends do not."""
    model = random_model(N, "sender")
    model.fold()
    model.phi, model.psi = SharedPhi(), WidePsi(40.0)
    with torch.no_grad():
        amplitude = 0.5 * numbers(3, N)
        model.latent.copy_(torch.stack([TYPES - 0.5, amplitude], -1))
        model.V.copy_(numbers(4, N, N) / amplitude.exp())
        model.V.fill_diagonal_(0)
    read = {g: read_out(model, RECORDING, Recovery(psi_gauge=g)) for g in ("columns", "saturation")}
    for name, recovery in read.items():
        x, narrow, wide = recovery["x"].values, *(int((k == TYPES).nonzero()[0]) for k in (0, 1))
        psi = recovery["psi"].values
        np.testing.assert_allclose(psi[narrow], np.tanh(x), rtol=0, atol=0.02)
        size = psi[wide, -1] / np.tanh(x[-1] / 40)
        assert size == pytest.approx(1, abs=0.15) if name == "columns" else size > 2
    assert read["columns"].attrs["psi_saturates"] != "yes"


def test_types_that_share_phi_and_psi_are_one():
    model = random_model(N, "sender")
    model.fold()
    model.phi, model.psi = SharedPhi(), WidePsi()
    with torch.no_grad():
        model.latent.copy_(torch.stack([torch.ones(N), 0.5 * numbers(3, N)], -1))
    assert read_out(model, RECORDING, Recovery()).attrs["n_types"] == 1


def test_groups_without_a_connection_are_no_types():
    """Five groups are not announced where no connection is called."""
    groups = np.array([0, 1, 2, 3, 4])
    none, one = (np.zeros((5, 5), dtype=np.int8) for _ in range(2))
    one[0, 1] = 1
    assert types_told(groups, {"connected": (("post", "pre"), none, {})}).startswith(
        "no: no connection"
    )
    assert types_told(groups, {"connected": (("post", "pre"), one, {})}) == "yes"
    assert types_told(0 * groups, {"connected": (("post", "pre"), none, {})}) == "yes"
    assert types_told(groups, {}) == "yes"


@pytest.mark.parametrize(("mode", "unit"), [("multiplicative", "1"), ("additive", "1/tau")])
def test_the_input_is_read_at_even_times_for_all_neurons(mode, unit):
    sites = grid_sites(3, N)
    model = random_model(N, external=random_field(mode, sites))
    recovery = read_out(model, RECORDING, Recovery(n_types=1, input_frames=25))
    external = recovery["external_input"]
    assert external.attrs["units"] == unit
    np.testing.assert_allclose(external["sample"], DURATION / 25 * np.arange(25), rtol=1e-5)
    others = np.delete(external.values, sites.driven, axis=1)
    assert np.all(others == (1 if mode == "multiplicative" else 0))
    with torch.no_grad():
        learned = model.external(torch.tensor(external["sample"].values).float()).numpy()
    found = external.values[:, sites.driven]
    fit = np.log(found) - np.log(learned) if mode == "multiplicative" else found - learned
    # What is left to the gauge is one number for each neuron: nothing that changes in time.
    np.testing.assert_allclose(fit.std(axis=0), 0, atol=1e-4)
    assert learned.std(axis=0).min() > 1e-2


def test_a_model_without_a_field_has_no_input_to_read():
    recovery = read_out(random_model(N), RECORDING, Recovery(n_types=1))
    assert "external_input" not in recovery
    assert recovery["psi"].attrs["of"] == "activity"
    assert np.all(recovery["psi"].values == recovery["psi"].values[0])


@pytest.mark.parametrize("factor", [0.2, -3.0])
def test_errors_follow_the_gauge_of_their_weights(factor):
    """Whatever scale psi was learned at: the same errors, and the same calls."""
    read = []
    for scale in (1.0, factor):
        model = random_model(N, "sender")
        model.fold()
        model.phi, model.psi = SharedPhi(), WidePsi()
        with torch.no_grad():
            amplitude = 0.5 * numbers(3, N) - np.log(abs(scale))
            model.latent.copy_(torch.stack([TYPES - 0.5, amplitude], -1))
            weights = numbers(4, N, N) * (numbers(5, N, N) > 0)
            model.V.copy_(abs(scale) * weights).fill_diagonal_(0)
            model.error.copy_(abs(scale) * 0.1 * (1 + numbers(6, N, N).abs())).fill_diagonal_(0)
        read.append(read_out(model, RECORDING, Recovery()))
    one, other = read
    errors = model.error.double()
    halves = torch.stack([model.connectivity.double() + k * errors for k in (6, -6)])
    wide = read_out(model, RECORDING, Recovery(), halves)["connected"]
    assert wide.attrs["null_width"] == pytest.approx(6 / 0.6745, rel=0.05)
    for name in ("connectivity", "connectivity_error", "connected"):
        np.testing.assert_allclose(one[name], other[name], rtol=1e-4, atol=1e-5)
    assert one["connected"].attrs["false_discovery"] == 0.05
    error = one["connectivity_error"].values
    assert (error[~np.eye(N, dtype=bool)] > 0).all()
    strong = np.abs(one["connectivity"].values) > 6 * error
    assert one["connected"].values[strong & ~np.eye(N, dtype=bool)].all()


def test_without_errors_nothing_is_called():
    recovery = read_out(random_model(N), RECORDING, Recovery(n_types=1))
    assert not {"connectivity_error", "connected"} & set(recovery)


def test_neurons_of_one_latent_are_of_one_type():
    """Although psi(0), moved into phi, makes their phi differ by the sums of their weights."""
    model = random_model(N)
    with torch.no_grad():
        model.latent.zero_()
    recovery = read_out(model, RECORDING, Recovery())
    assert recovery["phi"].values.std(axis=0).max() > 0
    assert recovery.attrs["n_types"] == 1
