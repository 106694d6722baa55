"""The simulated store against a naive loop over the published equation."""

import numpy as np
import pytest
import torch

from ngpipe import keys, store
from ngpipe.config.simulation import Simulation
from ngpipe.errors import ConfigError, DivergenceError
from ngpipe.steps import simulate
from ngpipe.wiring.ensembles import weights

N, FRAMES, DT = 12, 300, 0.02
TYPES = [
    {"leak": 1, "self_excitation": 1, "gain": 10},
    {"leak": 2, "self_excitation": 1, "gain": 4},
    {"leak": 1.5, "self_excitation": 2, "gain": 7},
]
LEAK = np.repeat([1.0, 2.0, 1.5], 4)
DRIVE = np.repeat([1.0, 1.0, 2.0], 4)
GAIN = np.repeat([10.0, 4.0, 7.0], 4)
CPU = torch.device("cpu")


def section(**changes) -> Simulation:
    content = {
        "n_neurons": N,
        "n_frames": FRAMES,
        "burn_in": 10,
        "dt": DT,
        "types": TYPES,
        "connectivity": {"kind": "lorentz", "seed": 3},
        "seed": 5,
    }
    return Simulation.model_validate(content | changes)


@pytest.fixture
def run(tmp_path):
    """run(**changes) -> the store of a small simulation, loaded."""

    def simulated(name: str = "simulation", **changes):
        path = tmp_path / f"{name}.zarr"
        simulate.run(section(**changes), path, key="k" * 64, device=CPU)
        return store.read(path, store.SIMULATION).load()

    return simulated


def digest(tmp_path, run, name, **changes) -> str:
    run(name, **changes)
    return store.read_json(tmp_path / f"{name}.json")["digest"]


def by_hand(x0: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Euler steps of dx_i/dt = -c_i x_i + s_i tanh x_i + g_i sum_j W_ij tanh x_j, in float64."""
    connectivity = weights(section().connectivity, N).astype(float)
    x, rates = [x0.astype(float)], []
    for _ in range(FRAMES):
        rate = np.zeros(N)
        for i in range(N):
            rate[i] = -LEAK[i] * x[-1][i] + DRIVE[i] * np.tanh(x[-1][i])
            for j in range(N):
                if j != i:
                    rate[i] += GAIN[i] * connectivity[i, j] * np.tanh(x[-1][j])
        rates.append(rate)
        x.append(x[-1] + DT * rate)
    return np.array(x[:-1]), np.array(rates)


class TestAgainstTheEquation:
    def test_activity_and_drift_are_those_of_a_naive_loop(self, run):
        found = run()
        x, rate = by_hand(found["activity"].values[0])
        np.testing.assert_allclose(found["activity"].values, x, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(found["drift"].values, rate, rtol=1e-3, atol=5e-3)
        assert found["activity"].values.std(axis=0).min() > 0.05, "nothing happens in this test"

    def test_each_step_is_dt_times_the_stored_drift(self, run):
        found = run()
        x, rate = found["activity"].values, found["drift"].values
        np.testing.assert_allclose(np.diff(x, axis=0), DT * rate[:-1], atol=2e-6)

    def test_the_coupling_stored_is_the_gain_of_the_receiver_times_its_weights(self, run):
        found = run()
        np.testing.assert_array_equal(found["gain"].values, GAIN)
        np.testing.assert_array_equal(found["neuron_type"].values, np.repeat([0, 1, 2], 4))
        np.testing.assert_allclose(
            found["connectivity"].values,
            GAIN[:, None] * weights(section().connectivity, N),
            rtol=1e-6,
        )

    def test_the_drift_stored_is_the_rate_before_noise(self, run):
        found = run(noise=0.5)
        x, rate = found["activity"].values.astype(float), found["drift"].values
        firing = np.tanh(x)
        expected = DRIVE * firing - LEAK * x + firing @ found["connectivity"].values.T
        np.testing.assert_allclose(rate, expected, rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize("dt", [0.02, 0.005])
    def test_noise_has_the_size_asked_for_at_each_step(self, run, dt):
        """The paper's convention: not scaled with sqrt(dt)."""
        found = run(noise=0.5, dt=dt, n_frames=1000)
        x, rate = found["activity"].values, found["drift"].values
        noise = np.diff(x, axis=0) - dt * rate[:-1]
        assert noise.std() == pytest.approx(0.5, rel=0.02)
        assert abs(noise.mean()) < 0.02

    def test_true_functions_are_tabulated_over_all_that_is_visited(self, run, monkeypatch):
        """Also where the largest activity is in another block than the last."""
        monkeypatch.setattr(store, "BLOCK_BYTES", 50 * 4 * N)
        found = run(burn_in=0, initial_std=20)
        x = found["x"].values
        assert np.abs(found["activity"].values).max(axis=1).argmax() < 50
        assert x[-1] == -x[0] == np.abs(found["activity"].values).max()
        assert (np.diff(x) > 0).all()
        for k, kind in enumerate(TYPES):
            phi = kind["self_excitation"] * np.tanh(x) - kind["leak"] * x
            np.testing.assert_allclose(found["phi"].values[k], phi, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(found["psi"].values[k], np.tanh(x), rtol=1e-4, atol=1e-6)


class TestStore:
    def test_shapes_times_and_units(self, run):
        found = run()
        assert dict(found.sizes) == {
            "time": FRAMES,
            "neuron": N,
            "post": N,
            "pre": N,
            "axis": 2,
            "type": 3,
            "x": simulate.CURVE_POINTS,
        }
        assert found["activity"].dtype == found["drift"].dtype == np.float32
        np.testing.assert_allclose(found["time"].values, DT * np.arange(FRAMES))
        assert found.attrs["dt"] == DT
        assert found["drift"].attrs["units"] == "1/tau"

    def test_holds_its_resolved_config_and_key(self, run, tmp_path):
        run()
        manifest = store.read_json(tmp_path / "simulation.json")
        assert Simulation.model_validate(manifest["config"]) == section()
        assert manifest["stage"] == "simulate"
        assert manifest["key"] == "k" * 64
        assert manifest["device"] == "cpu"

    def test_blocks_leave_no_seam(self, run, monkeypatch):
        whole = run("whole")
        monkeypatch.setattr(store, "BLOCK_BYTES", 7 * 4 * N)
        pieces = run("pieces")
        assert pieces["activity"].encoding["chunks"] == (7, N)
        for name in ("activity", "drift", "phi", "psi", "x"):
            np.testing.assert_array_equal(pieces[name].values, whole[name].values)

    def test_positions_are_those_of_a_disc_in_random_order(self, run):
        """Types are contiguous; their positions must not be."""
        position = run()["position"].values
        radius = np.hypot(*position.T)
        assert (radius <= 0.5).all()
        assert not (np.diff(radius) > 0).all()
        np.testing.assert_allclose(np.sort(radius), np.sqrt((np.arange(N) + 0.5) / N) / 2)


class TestSeeds:
    @pytest.mark.parametrize("noise", [0.0, 0.5])
    def test_the_same_seed_gives_the_same_digest(self, run, tmp_path, noise):
        one = digest(tmp_path, run, "one", noise=noise)
        assert one == digest(tmp_path, run, "again", noise=noise)
        assert one == keys.tree_digest(tmp_path / "again.zarr")

    def test_another_seed_changes_start_noise_and_positions_but_not_the_wiring(self, run):
        one, other = run("one", noise=0.5), run("other", noise=0.5, seed=6)
        np.testing.assert_array_equal(one["connectivity"].values, other["connectivity"].values)
        assert (one["position"].values != other["position"].values).any()
        noise = [
            np.diff(s["activity"].values, axis=0) - DT * s["drift"].values[:-1]
            for s in (one, other)
        ]
        assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.06

    def test_another_seed_of_the_wiring_changes_the_wiring_alone(self, run):
        one = run("one", burn_in=0)
        other = run("other", burn_in=0, connectivity={"kind": "lorentz", "seed": 4})
        assert (one["connectivity"].values != other["connectivity"].values).any()
        np.testing.assert_array_equal(one["activity"].values[0], other["activity"].values[0])
        np.testing.assert_array_equal(one["position"].values, other["position"].values)

    def test_the_start_is_normal_with_the_width_asked_for(self, run):
        wide = run("wide", n_neurons=999, n_frames=1, burn_in=0, initial_std=5.0)
        narrow = run("narrow", n_neurons=999, n_frames=1, burn_in=0, initial_std=0.5)
        start = wide["activity"].values[0]
        assert start.std() == pytest.approx(5.0, rel=0.1)
        np.testing.assert_allclose(start, 10 * narrow["activity"].values[0], rtol=1e-5)

    def test_burn_in_is_the_part_before_the_first_frame(self, run):
        whole = run("whole", burn_in=0, n_frames=60)
        late = run("late", burn_in=25, n_frames=35)
        np.testing.assert_array_equal(late["activity"].values, whole["activity"].values[25:])
        np.testing.assert_array_equal(late["drift"].values, whole["drift"].values[25:])


class TestErrors:
    @pytest.mark.parametrize(("burn_in", "frame"), [(0, r"\d+"), (200, r"-\d+")])
    def test_divergence_names_the_frame_and_leaves_the_previous_store(
        self, run, tmp_path, burn_in, frame
    ):
        run()
        before = keys.tree_digest(tmp_path)
        with pytest.raises(DivergenceError, match=rf"at frame {frame}, .*lower simulation\.dt"):
            run(dt=3.0, burn_in=burn_in)
        assert keys.tree_digest(tmp_path) == before

    def test_a_connectivity_of_another_size_is_refused_before_any_work(self, run, tmp_path):
        np.save(tmp_path / "W.npy", np.zeros((3, 3)))
        with pytest.raises(ConfigError, match=r"W\.npy holds shape \(3, 3\), expected \(12, 12\)"):
            run(connectivity={"kind": "file", "path": str(tmp_path / "W.npy")})
        assert [p.name for p in tmp_path.iterdir()] == ["W.npy"]

    def test_a_connectivity_from_a_file_is_simulated(self, run, tmp_path):
        """One arrow 0 -> 1: every other neuron moves by phi alone."""
        (tmp_path / "W.csv").write_text("pre,post,weight\n0,1,0.5\n")
        found = run(connectivity={"kind": "file", "path": str(tmp_path / "W.csv")})
        x, rate = found["activity"].values, found["drift"].values
        received = rate - (DRIVE * np.tanh(x) - LEAK * x)
        np.testing.assert_allclose(received[:, 1], 10 * 0.5 * np.tanh(x[:, 0]), atol=1e-4)
        assert np.abs(np.delete(received, 1, axis=1)).max() < 1e-4
