"""What the data leave open is fixed without the truth, and fixing it changes no rate."""

import math

import numpy as np
import pytest
import torch
import xarray as xr
from assemblies import (
    DURATION,
    SEES,
    Gauged,
    ScaledGates,
    ScaledPsi,
    ShiftedPhi,
    grid_sites,
    numbers,
    random_field,
    random_model,
)

from ngpipe.assembly import gauge
from ngpipe.assembly.gnn import AssemblyGNN
from ngpipe.assembly.readout import read_out
from ngpipe.assembly.recording import Recording
from ngpipe.config.assembly.recovery import Recovery
from ngpipe.errors import DivergenceError

N, SIDE = 20, 3
SITES = grid_sites(SIDE, N)
DRIVEN = SITES.driven
TYPES = torch.arange(N) % 2
DIRECTION = torch.tensor([0.4, -0.7])
READ = Recovery(n_types=2, grid=201, input_frames=40)
every_psi = pytest.mark.parametrize("sees", SEES)


RECORDING = Recording(6 * numbers(1, 2000, N), None, DURATION / 2000, 0.2)


@pytest.fixture
def recording():
    return RECORDING


def model_of(sees: str, mode: str | None = None, *, still: bool = False) -> AssemblyGNN:
    """Neurons of one type are alike, in the fixed gauge; W is dense, all functions are random."""
    field = mode and random_field(mode, SITES, seed=5)
    model = random_model(N, sees, field, seed=3)
    with torch.no_grad():
        model.latent.copy_(numbers(7, 2, 2)[TYPES] + 1e-5 * numbers(8, N, 2))
        if still:
            field.siren.layers[0].weight[:, 2] = 0
        model.fold()
        received = (model.connectivity * gauge.psi_at_rest(model)).sum(1)
        if mode == "multiplicative":
            received *= model.omega(torch.linspace(0, DURATION, 100)).mean(0)
        at_rest = model.phi_curves(torch.zeros(1))[:, 0]
        model.phi = ShiftedPhi(model.phi, model.latent, -(received + at_rest) / model.scales.rate)
    return model


def recovered(model: AssemblyGNN, recording: Recording) -> xr.Dataset:
    return read_out(model, recording, READ)


def assert_same(first: xr.Dataset, second: xr.Dataset, tolerance: float = 2e-4) -> None:
    """The read-outs agree to a few units of single precision."""
    assert set(first) == set(second)
    for name in first.data_vars:
        a, b = first[name].values, second[name].values
        np.testing.assert_allclose(
            a, b, rtol=tolerance, atol=tolerance * np.abs(a).max(), err_msg=name
        )


def assert_same_rate(first: AssemblyGNN, second: AssemblyGNN) -> None:
    times, x = torch.linspace(0, DURATION, 30), 5 * numbers(2, 30, N)
    with torch.no_grad():
        expected = first(times, x)
        error = (second(times, x) - expected).abs().max()
    assert error < 1e-4 * expected.abs().max()


@pytest.mark.quick(2)
@pytest.mark.parametrize("factor", [0.05, -1.3])
@pytest.mark.parametrize("mode", [None, "multiplicative", "additive"])
@every_psi
def test_the_scale_of_psi_is_free(recording, sees, mode, factor):
    """psi_ij -> s_ij psi_ij with W_ij -> W_ij / s_ij, each s of its own where psi depends on it."""
    model, other = model_of(sees, mode), model_of(sees, mode)
    with torch.no_grad():
        other.psi = ScaledPsi(other.psi, DIRECTION, factor)
        if sees in ("activity", "receiver"):
            other.V /= factor
        else:
            other.V /= other.psi.scale(other.latent)
        if sees in ("receiver", "pair"):
            other.gates = ScaledGates(other.gates, -2 * DIRECTION)
            other.V /= other.gates.scale(other.latent)[:, None]
    assert_same_rate(model, other)
    assert_same(recovered(model, recording), recovered(other, recording))
    columns = READ.model_copy(update={"psi_gauge": "columns"})
    assert_same(read_out(model, recording, columns), read_out(other, recording, columns))


@pytest.mark.quick(2)
@pytest.mark.parametrize("mode", [None, "multiplicative", "additive"])
@every_psi
def test_the_offset_of_psi_is_free(recording, sees, mode):
    """psi -> psi + k with phi_i -> phi_i - Omega_i k sum_j W_ij; exact while Omega rests."""
    model, other = (model_of(sees, mode, still=mode is not None) for _ in range(2))
    with torch.no_grad():
        other.psi.layers[-1].bias.add_(torch.tensor([0.8, -0.5, 0.3])[: len(other.psi.direct[0])])
        change = (other.connectivity * (gauge.psi_at_rest(other) - gauge.psi_at_rest(model))).sum(1)
        if mode == "multiplicative":
            change *= other.omega(0.0)
        other.phi = ShiftedPhi(other.phi, other.latent, -change / other.scales.rate)
    assert change.abs().min() > 1e-2
    assert_same_rate(model, other)
    assert_same(recovered(model, recording), recovered(other, recording))


@pytest.mark.quick(1)
@pytest.mark.parametrize("sees", ["activity", "pair"])
def test_the_scale_of_a_multiplicative_input_is_free(recording, sees):
    """Omega_i -> s Omega_i with W_i. -> W_i. / s: for all driven neurons, and for each of them."""
    model, other, each = (model_of(sees, "multiplicative") for _ in range(3))
    with torch.no_grad():
        other.external.siren.layers[-1].bias += math.log(3.0)
        other.V[DRIVEN] /= 3.0
        factor = numbers(9, len(DRIVEN)).exp()
        each.external = Gauged(each.external, factor, torch.zeros(()))
        each.V[DRIVEN] /= factor[:, None]
    before = recovered(model, recording)
    for changed in (other, each):
        assert_same_rate(model, changed)
        assert_same(before, recovered(changed, recording))


@pytest.mark.parametrize("sees", ["activity", "sender"])
def test_the_offset_of_an_additive_input_is_free(recording, sees):
    """Omega_i -> Omega_i + k_i with phi_i -> phi_i - k_i, each driven neuron its own k."""
    model, other = model_of(sees, "additive"), model_of(sees, "additive")
    with torch.no_grad():
        shift = numbers(9, len(DRIVEN))
        other.external = Gauged(other.external, torch.ones(()), other.scales.rate * shift)
        of_all = SITES.spread(shift, 0.0)
        other.phi = ShiftedPhi(other.phi, other.latent, -of_all)
    assert_same_rate(model, other)
    assert_same(recovered(model, recording), recovered(other, recording))


def test_an_additive_input_leaves_driven_neurons_the_drive_of_the_others(recording):
    """Whatever drive of their own they have been given, and the others have."""
    model = model_of("activity", "additive")
    with torch.no_grad():
        own = torch.full((N,), 0.6).index_copy(0, DRIVEN, numbers(9, len(DRIVEN)))
        model.phi = ShiftedPhi(model.phi, model.latent, own)
    recovery = read_out(model, recording, replace_grid(8001))
    at_rest = [np.interp(0, recovery["x"], curve) for curve in recovery["phi"].values]
    np.testing.assert_allclose(at_rest, 0.6 * model.scales.rate, atol=2e-3)


@pytest.mark.quick(2)
@pytest.mark.parametrize("mode", [None, "multiplicative", "additive"])
@every_psi
def test_what_is_read_out_is_the_rate_of_the_model(recording, sees, mode):
    """phi_i(x_i) + Omega_i sum_j W_ij psi_ij(x_j), put together again edge by edge.

    A multiplicative input rests here: the offset of psi is otherwise known to its mean alone.
    """
    model = model_of(sees, mode, still=mode == "multiplicative")
    recovery = read_out(model, recording, replace_grid(8001))
    x, w = recovery["x"].values, recovery["connectivity"].values
    psi, phi, kind = (recovery[name].values for name in ("psi", "phi", "neuron_type"))
    assert recovery["psi"].attrs["of"] == sees
    assert np.array_equal(kind, TYPES)
    samples = range(len(recovery["sample"])) if mode else range(20)
    for k in samples:
        t = float(recovery["sample"][k]) if mode else 0.0
        activity = np.clip(5 * numbers(k, N).numpy(), x[0], x[-1])
        message = np.zeros(N)
        for i in range(N):
            for j in range(N):
                row = {"sender": j, "receiver": i, "pair": 2 * kind[i] + kind[j]}.get(sees, j)
                message[i] += w[i, j] * np.interp(activity[j], x, psi[row])
        own = [np.interp(activity[i], x, phi[i]) for i in range(N)]
        omega = recovery["external_input"].values[k] if mode else np.zeros(N)
        rate = own + omega * message if mode == "multiplicative" else own + message + omega
        with torch.no_grad():
            expected = model(t, torch.from_numpy(activity.astype(np.float32))).numpy()
        np.testing.assert_allclose(rate, expected, rtol=0, atol=2e-3 * np.abs(expected).max())
    if sees == "pair":
        assert recovery["receiver_type"].values.tolist() == [0, 0, 1, 1]
        assert recovery["sender_type"].values.tolist() == [0, 1, 0, 1]


def replace_grid(points: int) -> Recovery:
    return READ.model_copy(update={"grid": points, "visited": 0.9999, "input_frames": 10})


@pytest.mark.quick(2)
@every_psi
def test_every_psi_is_zero_at_rest_and_one_at_the_ends(recording, sees):
    """Half the difference between both ends, where 0.05 to 0.2 % of the senders' activity lie."""
    recovery = read_out(model_of(sees), recording, replace_grid(8001))
    x, training = recovery["x"].values, recording.activity[recording.training_frames]
    kind = recovery["neuron_type"].values
    senders = {"sender": kind, "pair": [0, 1, 0, 1]}.get(sees, [None] * N)
    for curve, sender in zip(recovery["psi"].values, senders, strict=True):
        assert np.interp(0, x, curve) == pytest.approx(0, abs=1e-3)
        seen = training if sender is None else training[:, kind == sender]
        ends = np.quantile(seen, [*np.linspace(5e-4, 2e-3, 20), *np.linspace(0.998, 0.9995, 20)])
        low, high = np.interp(ends, x, curve).reshape(2, 20).mean(1)
        assert (high - low) / 2 == pytest.approx(1, abs=5e-3 * float(np.abs(curve).max()))


def test_a_psi_that_transmits_nothing_is_named(recording):
    model = model_of("activity")
    with torch.no_grad():
        model.psi.direct.zero_()
        model.psi.layers[-1].weight.zero_()
    with pytest.raises(DivergenceError, match="transmits nothing"):
        recovered(model, recording)


def test_a_psi_that_does_not_saturate_is_reported(recording):
    """Flat ends pass; the straight line of a new network does not."""
    model = model_of("activity")
    model.psi = SaturatingPsi()
    assert recovered(model, recording).attrs["psi_saturates"] == "yes"
    model.psi.steep = 0.05
    assert "too short" in recovered(model, recording).attrs["psi_saturates"]


class SaturatingPsi(torch.nn.Module):
    steep = 3.0

    def forward(self, x: torch.Tensor, latent: None) -> torch.Tensor:
        return torch.tanh(self.steep * x)[..., None]


def test_the_ends_leave_out_the_outermost_activity(generator):
    """The 5 % quantile on either side, then from 0.2 to 0.05 % outwards."""
    x = torch.randn(1000, 20, generator=generator)
    below, above = gauge.visited_ends(x)
    shares = [0.05, *np.linspace(0.002, 0.0005, 33)]
    for k, share in enumerate(shares):
        assert float((x < below[k]).float().mean()) == pytest.approx(share, abs=1e-4)
        assert float((x > above[k]).float().mean()) == pytest.approx(share, abs=1e-4)


@pytest.mark.parametrize("sees", ["sender", "receiver", "pair"])
def test_columns_make_the_weights_of_every_psi_alike(recording, sees):
    """One robust scale for all; what W gains psi loses; the flattest psi keeps its scale."""
    model = model_of(sees)
    first = recovered(model, recording)
    other = read_out(model, recording, READ.model_copy(update={"psi_gauge": "columns"}))
    off, kind = ~torch.eye(N, dtype=torch.bool), first["neuron_type"].values
    post = TYPES[:, None].expand(N, N) if sees != "sender" else torch.zeros(N, N)
    pre = TYPES[None, :].expand(N, N) if sees != "receiver" else torch.zeros(N, N)
    before, after = (torch.from_numpy(r["connectivity"].values) for r in (first, other))
    groups = [off & (post == i) & (pre == j) for i in post.unique() for j in pre.unique()]
    alike = torch.stack([gauge.robust_scale(after[group]) for group in groups])
    torch.testing.assert_close(alike, alike[:1].expand_as(alike), rtol=1e-4, atol=0)
    assert gauge.robust_scale(before[groups[0]]) != pytest.approx(float(alike[0]), rel=0.01) or (
        gauge.robust_scale(before[groups[-1]]) != pytest.approx(float(alike[0]), rel=0.01)
    )
    lost = first["psi"].values[:, -1] / other["psi"].values[:, -1]
    row = {
        "sender": np.broadcast_to(np.arange(N)[None, :], (N, N)),
        "receiver": np.broadcast_to(np.arange(N)[:, None], (N, N)),
        "pair": 2 * kind[:, None] + kind[None, :],
    }[sees]
    expected = before * torch.from_numpy(lost[row])
    torch.testing.assert_close(after, expected.to(after), rtol=1e-4, atol=1e-5)
    assert np.isclose(lost, 1, rtol=1e-5).any()


def cauchy(seed: int, *shape: int) -> torch.Tensor:
    return numbers(seed, *shape) / numbers(seed + 1000, *shape)


def test_row_scale_is_that_of_cauchy_weights():
    """Unbiased, and as exact as n allows: sqrt(2 / n)."""
    n = 400
    scale = torch.linspace(0.1, 10, n)
    found = gauge.row_scale(scale[:, None] * cauchy(1, n, n)) / scale
    assert float(found.log().mean()) == pytest.approx(0, abs=3 * math.sqrt(2 / n / n))
    assert float(found.log().std()) == pytest.approx(math.sqrt(2 / n), rel=0.15)


def test_row_scale_solves_its_equation_and_does_not_read_the_diagonal():
    weights = cauchy(2, 30, 30)
    found = gauge.row_scale(weights)
    for i in range(30):
        squared = [float(weights[i, j]) ** 2 for j in range(30) if j != i]
        share = sum(w / (w + 4 * float(found[i]) ** 2) for w in squared) / len(squared)
        assert share == pytest.approx(1 / 3, abs=1e-6)
    assert torch.equal(gauge.row_scale(weights + 100 * torch.eye(30)), found)


def test_row_scale_follows_every_scaling(generator):
    weights = cauchy(3, 50, 50)
    factor = torch.randn(50, generator=generator).exp()
    found = gauge.row_scale(factor[:, None] * weights)
    torch.testing.assert_close(
        found, factor * gauge.row_scale(weights), rtol=1e-5, atol=0, check_dtype=False
    )


def test_absent_weights_do_not_change_how_rows_compare():
    """With 30 % of zeros in each row, rows still stand to each other as their scales do."""
    n = 400
    scale = torch.tensor([1.0, 3.0]).repeat(n // 2)
    present = torch.rand(n, n, generator=torch.Generator().manual_seed(5)) > 0.3
    found = gauge.row_scale(scale[:, None] * cauchy(4, n, n) * present).log()
    ratio = (found[1::2].mean() - found[0::2].mean()).exp()
    assert float(ratio) == pytest.approx(3.0, rel=0.02)


def smooth_image(position: np.ndarray) -> np.ndarray:
    x, y = 2 * np.pi * position.T
    return 0.25 * np.sin(x + 0.3) * np.cos(0.7 * y) + 0.2 * np.cos(y)


def test_smoothing_removes_independent_errors_and_little_else():
    position = grid_sites(12, 144).position.numpy()
    image = smooth_image(position)
    noise = 0.06 * np.random.default_rng(1).standard_normal(144)
    smooth = gauge.smoothed(image + noise, position, 0.06)[0].numpy()
    before, after = np.std(noise), np.std(smooth - image)
    assert after < before / 2
    kept = gauge.smoothed(image, position, 0.005)[0].numpy()
    np.testing.assert_allclose(kept, image, rtol=0, atol=0.01)


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(lambda p: smooth_image(p), id="image"),
        pytest.param(lambda p: 0.0 * p[:, 0], id="no image"),
        pytest.param(lambda p: 3.0 * p[:, 0], id="ramp"),
    ],
)
@pytest.mark.parametrize("overrated", [1.0, 3.0])
def test_smoothing_takes_any_image_and_says_nothing(image, overrated):
    """Covariances at the edge of what was foreseen are no reason to warn a user."""
    position = grid_sites(6, 36).position.numpy()
    noise = 0.02 * np.random.default_rng(3).standard_normal(36)
    smooth = gauge.smoothed(image(position) + noise, position, 0.02 * overrated)[0].numpy()
    assert np.std(smooth - image(position)) < 1.5 * overrated * np.std(noise)


def test_scales_of_input_come_back_from_rows_of_weights():
    """256 of 1000 neurons see a smooth image; each learned scale is off by a random factor."""
    n, side = 1000, 16
    sites = grid_sites(side, n)
    field = random_field("multiplicative", sites)
    true_image = torch.from_numpy(smooth_image(sites.position.numpy())).exp().float()
    scale = (0.5 * numbers(6, side**2)).exp()
    weights = 0.1 * cauchy(7, n, n)
    weights[: side**2] /= scale[:, None]
    found, said = gauge.input_scale(weights, scale * true_image, field)
    assert torch.all(found[side**2 :] == 1)
    error = (found[: side**2] / scale).log()
    assert float(error.square().mean().sqrt()) < 0.025
    rough, rough_said = gauge.input_scale(weights, scale * true_image, field, smooth=False)
    rough = (rough[: side**2] / scale).log()
    assert float(rough.std()) == pytest.approx(math.sqrt(2 / n), rel=0.2)
    assert float(error.std()) < float(rough.std()) / 1.5
    # Both know how far off they are, and rows without input are certain.
    assert float((error / said[: side**2]).std()) == pytest.approx(1, abs=0.3)
    assert float((rough / rough_said[: side**2]).std()) == pytest.approx(1, abs=0.15)
    assert torch.all(said[side**2 :] == 0)


def test_the_mean_input_is_one_where_everyone_is_driven():
    sites = grid_sites(4, 16)
    image = numbers(8, 16).exp()
    found, _ = gauge.input_scale(cauchy(9, 16, 16), image, random_field("multiplicative", sites))
    assert float((image / found).log().mean()) == pytest.approx(0, abs=1e-5)
    assert torch.allclose(found, found[0])


def test_a_single_neuron_without_input_sets_the_scale(recording):
    """One row is little to compare with, but it is enough."""
    sites = grid_sites(4, 17)
    found, error = gauge.input_scale(
        cauchy(10, 17, 17), numbers(8, 16).exp(), random_field("multiplicative", sites)
    )
    assert torch.isfinite(found).all()
    assert torch.isfinite(error).all()


def test_the_weights_recorded_during_training_have_the_final_gauge(recording):
    """Up to smoothing: each driven row has exactly the scale of the typical other row."""
    model = model_of("activity", "multiplicative")
    one_type = torch.zeros(N, dtype=torch.long)
    rough = gauge.scales(model, recording, one_type, smooth=False)
    rows = gauge.row_scale((model.connectivity * rough.connectivity).detach())
    others = torch.ones(N, dtype=torch.bool).index_fill(0, DRIVEN, False)
    final = torch.from_numpy(recovered(model, recording)["connectivity"].values)
    torch.testing.assert_close(gauge.row_scale(final)[others], rows[others])
    typical = rows[others].log().mean().exp().expand(len(DRIVEN))
    torch.testing.assert_close(rows[DRIVEN], typical, rtol=1e-4, atol=0)


def test_scales_of_columns_know_their_error():
    """Two types of senders, scales of psi off at random: the error of the factor is as said."""
    found, said = [], []
    for seed in range(20):
        model = model_of("sender", None)
        weights = cauchy(100 + seed, N, N)
        with torch.no_grad():
            model.V.copy_(weights.fill_diagonal_(0) / model.scales.rate)
            model.basis.copy_(torch.eye(N))
            types = torch.arange(N) % 2
            psi, rise = torch.ones(N), torch.where(types == 0, 0.0, 1.0)
            factor, error = gauge.alike(model, types, psi, rise)
        found.append(float(factor[1].log()))
        said.append(float(error[1]))
        assert float(error[0]) == 0
        assert float(factor[0]) == 1
    assert float(np.std(found)) == pytest.approx(np.mean(said), rel=0.4)
