"""The simulated store against a naive loop over the published equation."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch

from ngpipe import hashing, schemas, store
from ngpipe.config.assembly.simulation import Simulation
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
        path = tmp_path / name / "simulation.zarr"
        simulate.run(section(**changes), path.parent, key="k" * 64, device=CPU)
        return store.read(path, schemas.SIMULATION).load()

    return simulated


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The store of the section as it is; shared, so only to be read."""
    directory = tmp_path_factory.mktemp("plain")
    simulate.run(section(), directory, key="k" * 64, device=CPU)
    return store.read(directory / "simulation.zarr", schemas.SIMULATION).load()


def digest(tmp_path, run, name, **changes) -> str:
    run(name, **changes)
    return store.read_json(tmp_path / name / "simulation.json")["digest"]


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
    def test_activity_and_drift_are_those_of_a_naive_loop(self, plain):
        x, rate = by_hand(plain["activity"].values[0])
        np.testing.assert_allclose(plain["activity"].values, x, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(plain["drift"].values, rate, rtol=1e-3, atol=5e-3)
        assert plain["activity"].values.std(axis=0).min() > 0.05, "nothing happens in this test"

    def test_each_step_is_dt_times_the_stored_drift(self, plain):
        x, rate = plain["activity"].values, plain["drift"].values
        np.testing.assert_allclose(np.diff(x, axis=0), DT * rate[:-1], atol=2e-6)

    def test_the_coupling_stored_is_the_gain_of_the_receiver_times_its_weights(self, plain):
        np.testing.assert_array_equal(plain["gain"].values, GAIN)
        np.testing.assert_array_equal(plain["neuron_type"].values, np.repeat([0, 1, 2], 4))
        np.testing.assert_allclose(
            plain["connectivity"].values,
            GAIN[:, None] * weights(section().connectivity, N),
            rtol=1e-6,
        )

    def test_the_drift_stored_is_the_rate_before_noise(self, run):
        found = run(noise=0.5)
        x, rate = found["activity"].values.astype(float), found["drift"].values
        firing = np.tanh(x)
        expected = DRIVE * firing - LEAK * x + firing @ found["connectivity"].values.T
        np.testing.assert_allclose(rate, expected, rtol=1e-4, atol=1e-4)

    @pytest.mark.quick(1)
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
        assert found["psi"].attrs["of"] == "activity"

    @pytest.mark.quick(2)
    @pytest.mark.parametrize(
        ("vary", "of"),
        [
            ({"sender_width": (1, 2, 3)}, "sender"),
            ({"linear": (0, 0.1, -0.2)}, "sender"),
            ({"receiver_width": (1, 2, 3)}, "receiver"),
            ({"sender_width": (1, 2, 3), "receiver_width": (1, 1, 4)}, "pair"),
            ({"linear": (0.1, 0, 0), "receiver_width": (1, 3, 4)}, "pair"),
            ({"sender_width": (2, 2, 2), "receiver_width": (3, 3, 3)}, "activity"),
        ],
    )
    def test_psi_is_tabulated_for_all_that_it_depends_on(self, run, vary, of):
        """Rows are pairs of types, the sender's runs fastest; or types, if one end decides."""
        kinds = [
            t | {name: values[k] for name, values in vary.items()} for k, t in enumerate(TYPES)
        ]
        found = run(types=kinds)
        psi, x = found["psi"], found["x"].values
        assert psi.attrs["of"] == of
        assert psi.dims == (("pair", "x") if of == "pair" else ("type", "x"))
        assert len(psi) == (9 if of == "pair" else 3)
        for row, values in enumerate(psi.values):
            i, j = divmod(row, 3) if of == "pair" else (row, row)
            if of == "receiver":
                j = 0
            sender, receiver = kinds[j], kinds[i]
            width = sender.get("sender_width", 1) * receiver.get("receiver_width", 1)
            expected = np.tanh(x / width) - sender.get("linear", 0) * x
            np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-5)


WIDE = [
    TYPES[0] | {"sender_width": 1.5, "receiver_width": 2.0, "linear": 0.02},
    TYPES[1] | {"sender_width": 0.7, "receiver_width": 0.8},
    TYPES[2] | {"linear": -0.03},
]
MOVIE = {"kind": "movie", "n_inputs": 4, "n_images": 7, "seed": 2}
INPUTS = {
    "held movie": MOVIE,
    "linear movie": MOVIE | {"interpolation": "linear", "jitter": 0.02},
    "oscillation": {"kind": "oscillation", "n_inputs": 5, "period": (1.0, 3.0)},
    "pulses": {"kind": "pulses", "n_inputs": 5, "rate": 0.5, "decay": 1.0},
}


def shown(found: Mapping) -> np.ndarray:
    """Omega of all neurons at all frames, from what the store holds."""
    table, index = found["external_input"].values, found["input_frame"].values
    left = np.floor(index).astype(int)
    right = np.minimum(left + 1, len(table) - 1)
    share = (index - left)[:, None]
    return (1 - share) * table[left] + share * table[right]


def received(found: Mapping, kinds: list[dict]) -> np.ndarray:
    """sum_j W_ij psi_ij(x_j) at all frames, from stored activity and coupling, by loops."""
    x, coupling = found["activity"].values.astype(float), found["connectivity"].values
    sums = np.zeros_like(x)
    for i in range(N):
        for j in range(N):
            sender, receiver = kinds[j // 4], kinds[i // 4]
            width = sender.get("sender_width", 1) * receiver.get("receiver_width", 1)
            sums[:, i] += coupling[i, j] * (
                np.tanh(x[:, j] / width) - sender.get("linear", 0) * x[:, j]
            )
    return sums


class TestInput:
    @pytest.mark.quick(2)
    @pytest.mark.parametrize("mode", ["multiplicative", "additive"])
    @pytest.mark.parametrize("name", INPUTS)
    def test_the_store_explains_the_drift(self, run, name, mode):
        """With the stored input, shown when the store says, the equation holds at every frame."""
        found = run(input=INPUTS[name] | {"mode": mode}, types=WIDE, noise=0.2)
        x = found["activity"].values.astype(float)
        own, sums = DRIVE * np.tanh(x) - LEAK * x, received(found, WIDE)
        omega = shown(found)
        expected = own + (omega * sums if mode == "multiplicative" else sums + omega)
        np.testing.assert_allclose(found["drift"].values, expected, rtol=2e-5, atol=5e-5)
        n_inputs = INPUTS[name]["n_inputs"]
        assert omega[:, :n_inputs].std(axis=0).min() > 0.02, "an input that does not change"

    @pytest.mark.slow
    def test_the_index_is_exact_in_long_recordings(self, run):
        """Single precision would misplace an image by hundredths, ten thousand images in."""
        options = {"kind": "oscillation", "n_inputs": 2, "every": 3, "period": (3.0, 9.0)}
        found = run(n_neurons=3, n_frames=4000, dt=0.03, input=options, burn_in=0)
        np.testing.assert_allclose(found["input_frame"], np.arange(4000) / 3, rtol=1e-12)

    def test_the_store_says_who_is_driven_by_what(self, run):
        found = run(input=MOVIE)
        assert found["driven"].values.tolist() == [1] * 4 + [0] * 8
        assert found["external_input"].dims == ("frame", "neuron")
        assert found["external_input"].shape == (7, N)
        assert (found["external_input"].values[:, 4:] == 1).all()
        assert found["external_input"].attrs["units"] == "1"
        frames = np.arange(FRAMES)
        np.testing.assert_array_equal(found["input_frame"].values, frames * 7 // FRAMES)

    def test_an_added_input_has_the_unit_of_a_rate(self, run):
        found = run(input=MOVIE | {"mode": "additive"})
        assert found["external_input"].attrs["units"] == "1/tau"
        assert (found["external_input"].values[:, 4:] == 0).all()

    def test_without_an_input_none_is_in_the_store(self, plain):
        assert not {"driven", "external_input", "input_frame", "frame"} & set(plain.variables)

    def test_driven_neurons_lie_on_a_grid_and_the_others_elsewhere(self, run):
        position = run(input=MOVIE)["position"].values
        grid = [[0.25, 0.75], [0.75, 0.75], [0.25, 0.25], [0.75, 0.25]]
        np.testing.assert_allclose(position[:4], grid)
        radius = np.hypot(*(position[4:] - simulate.DISC_CENTRE).T)
        np.testing.assert_allclose(np.sort(radius), np.sqrt((np.arange(8) + 0.5) / 8) / 2)
        assert not (np.diff(radius) > 0).all()
        assert position[4:, 1].min() > 1

    def test_jitter_moves_neurons_and_what_they_see(self, run):
        """Read with the images of the same movie seen from the grid: linear between them."""
        plain, moved = (run(input=MOVIE | {"jitter": jitter}) for jitter in (0.0, 0.05))
        shift = moved["position"].values - plain["position"].values
        assert np.abs(shift[:4]).min() > 0
        assert (shift[4:] == 0).all()
        a, b, c, d = plain["external_input"].values[:, :4].T
        x, y = np.clip(2 * moved["position"].values[0] - 0.5, 0, 1)
        expected = y * ((1 - x) * a + x * b) + (1 - y) * ((1 - x) * c + x * d)
        np.testing.assert_allclose(moved["external_input"].values[:, 0], expected, rtol=1e-5)

    @pytest.mark.quick(1)
    @pytest.mark.parametrize("name", ["oscillation", "pulses"])
    def test_inputs_that_are_no_movie_drive_a_disc_within_the_square(self, run, name):
        position = run(input=INPUTS[name])["position"].values
        assert np.hypot(*(position[:5] - 0.5).T).max() < 0.5
        assert np.hypot(*(position[5:] - simulate.DISC_CENTRE).T).max() < 0.5

    @pytest.mark.slow
    @pytest.mark.parametrize("kind", ["movie", "oscillation"])
    def test_all_neurons_may_be_driven(self, run, kind):
        found = run(n_neurons=9, input={"kind": kind, "n_inputs": 9})
        assert found["driven"].values.all()
        assert (np.abs(found["position"].values - 0.5) < 0.5).all()

    def test_a_movie_from_a_file_is_what_drives(self, run, tmp_path, rng):
        images = rng.uniform(0.2, 2, (3, 2, 2))
        np.save(tmp_path / "movie.npy", images)
        found = run(input={"kind": "video", "path": str(tmp_path / "movie.npy"), "n_inputs": 4})
        np.testing.assert_allclose(shown(found)[FRAMES // 2, :4], images[1].ravel(), rtol=1e-6)

    @pytest.mark.quick(1)
    @pytest.mark.parametrize("mode", ["multiplicative", "additive"])
    def test_with_zero_before_the_recording_the_burn_in_knows_no_input(self, run, mode):
        """Multiplied by zero all coupling is off: neurons relax alone, and it starts at frame 0."""
        options = MOVIE | {"mode": mode, "burn_in_input": "zero"}
        found = run(input=options, burn_in=40)
        free = run("free", burn_in=0, n_frames=41, **_uncoupled(mode))
        np.testing.assert_allclose(
            found["activity"].values[0], free["activity"].values[40], rtol=1e-5, atol=1e-6
        )
        sums = found["drift"].values - (
            DRIVE * np.tanh(found["activity"].values) - LEAK * found["activity"].values
        )
        assert np.abs(sums[0]).min() > 1e-3

    @pytest.mark.slow
    def test_with_the_first_frame_the_burn_in_is_the_start_of_a_still_movie(
        self, run, tmp_path, rng
    ):
        """The same as a movie that shows its first image from the beginning of the burn-in."""
        image = rng.uniform(0.2, 2, (1, 2, 2))
        np.save(tmp_path / "still.npy", np.repeat(image, 2, axis=0))
        np.save(tmp_path / "movie.npy", np.concatenate([image, image + 1]))
        video = {"kind": "video", "n_inputs": 4}
        movie = run(input=video | {"path": str(tmp_path / "movie.npy")}, burn_in=40)
        still = run("still", input=video | {"path": str(tmp_path / "still.npy")}, burn_in=0)
        both = movie["activity"].values[:100], still["activity"].values[40:140]
        np.testing.assert_allclose(*both, rtol=1e-4, atol=1e-5)

    @pytest.mark.slow
    def test_with_one_the_burn_in_is_that_of_an_assembly_without_input(self, run):
        found = run(input=MOVIE | {"burn_in_input": "one"}, burn_in=40)
        free = run("free", burn_in=40)
        np.testing.assert_array_equal(found["activity"].values[0], free["activity"].values[0])
        assert np.abs(found["drift"].values[0] - free["drift"].values[0])[:4].min() > 1e-4

    @pytest.mark.quick(1)
    @pytest.mark.parametrize("name", INPUTS)
    def test_the_same_seed_gives_the_same_digest(self, run, tmp_path, name):
        one, again = (digest(tmp_path, run, n, input=INPUTS[name]) for n in ("one", "again"))
        assert one == again
        other = INPUTS[name] | {"seed": 77}
        run("other", input=other)
        tables = [
            store.read(tmp_path / n / "simulation.zarr", {})["external_input"]
            for n in ("one", "other")
        ]
        assert np.abs(tables[0] - tables[1]).values[:, :4].mean() > 0.02

    def test_an_input_leaves_start_and_wiring_as_they_were(self, run):
        free, driven = run("free", burn_in=0), run("driven", burn_in=0, input=MOVIE)
        for name in ("connectivity", "gain", "neuron_type"):
            np.testing.assert_array_equal(driven[name].values, free[name].values)
        np.testing.assert_array_equal(driven["activity"].values[0], free["activity"].values[0])


def _uncoupled(mode: str) -> dict:
    """Weights that leave neurons alone, if that is what the mode does in burn-in."""
    if mode == "additive":
        return {}
    return {"types": [t | {"gain": 1e-12} for t in TYPES]}


class TestStore:
    def test_shapes_times_and_units(self, plain):
        assert dict(plain.sizes) == {
            "time": FRAMES,
            "neuron": N,
            "post": N,
            "pre": N,
            "axis": 2,
            "type": 3,
            "x": simulate.CURVE_POINTS,
        }
        assert plain["activity"].dtype == plain["drift"].dtype == np.float32
        np.testing.assert_allclose(plain["time"].values, DT * np.arange(FRAMES))
        assert plain.attrs["dt"] == DT
        assert plain["drift"].attrs["units"] == "1/tau"

    def test_holds_its_resolved_config_and_key(self, run, tmp_path):
        run()
        manifest = store.read_json(tmp_path / "simulation" / "simulation.json")
        assert Simulation.model_validate(manifest["config"]) == section()
        assert manifest["stage"] == "simulate"
        assert manifest["key"] == "k" * 64
        assert manifest["device"] == "cpu"

    def test_what_was_added_up_in_a_file_of_weights_is_said_and_kept(self, run, tmp_path, capsys):
        (tmp_path / "W.csv").write_text("pre,post,weight\n0,1,0.5\n2,1,1\n0,1,0.25\n")
        found = run(connectivity={"kind": "file", "path": str(tmp_path / "W.csv")})
        assert found["connectivity"].values[1, 0] == GAIN[1] * 0.75
        note = "1 of 3 rows repeat an edge: weights are added up"
        assert f"ngpipe simulate: note: {note}" in capsys.readouterr().err
        (manifest,) = tmp_path.rglob("simulation.json")
        assert store.read_json(manifest)["notes"]["connectivity_notes"] == [note]

    def test_blocks_leave_no_seam(self, run, plain, monkeypatch):
        monkeypatch.setattr(store, "BLOCK_BYTES", 7 * 4 * N)
        pieces = run()
        assert pieces["activity"].encoding["chunks"] == (7, N)
        for name in ("activity", "drift", "phi", "psi", "x"):
            np.testing.assert_array_equal(pieces[name].values, plain[name].values)

    def test_positions_are_those_of_a_disc_in_random_order(self, plain):
        """Types are contiguous; their positions must not be."""
        position = plain["position"].values
        radius = np.hypot(*position.T)
        assert (radius <= 0.5).all()
        assert not (np.diff(radius) > 0).all()
        np.testing.assert_allclose(np.sort(radius), np.sqrt((np.arange(N) + 0.5) / N) / 2)


class TestSeeds:
    @pytest.mark.quick(1)
    @pytest.mark.parametrize("noise", [0.0, 0.5])
    def test_the_same_seed_gives_the_same_digest(self, run, tmp_path, noise):
        one = digest(tmp_path, run, "one", noise=noise)
        assert one == digest(tmp_path, run, "again", noise=noise)
        assert one == hashing.tree_digest(tmp_path / "again" / "simulation.zarr")

    def test_shuffled_types_leave_all_else_as_drawn(self, run, tmp_path):
        dale = {"kind": "gaussian", "excitatory": 0.75}
        changes = {"n_neurons": 48, "connectivity": dale, "noise": 0.5}
        ordered = run("ordered", **changes)
        shuffled = run("shuffled", **changes, shuffle_types=True)
        inhibitory = (shuffled["connectivity"] < 0).any("post").values
        assert set(ordered["neuron_type"].values[inhibitory]) == {2}
        assert set(shuffled["neuron_type"].values[inhibitory]) == {0, 1, 2}
        gain = np.array([10.0, 4.0, 7.0])[shuffled["neuron_type"].values]
        np.testing.assert_array_equal(shuffled["gain"].values, gain)
        np.testing.assert_array_equal(shuffled["position"].values, ordered["position"].values)
        again = digest(tmp_path, run, "again", **changes, shuffle_types=True)
        assert again == hashing.tree_digest(tmp_path / "shuffled" / "simulation.zarr")

    def test_without_shares_and_shuffling_the_bytes_are_as_ever(self, run):
        types = run(n_neurons=17, types=[*TYPES, {}, {"leak": 3}])["neuron_type"].values
        assert types.tolist() == [i * 5 // 17 for i in range(17)]

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
    @pytest.mark.quick(1)
    @pytest.mark.parametrize(("burn_in", "frame"), [(0, r"\d+"), (200, r"-\d+")])
    def test_divergence_names_the_frame_and_leaves_the_previous_store(
        self, run, tmp_path, burn_in, frame
    ):
        run()
        before = hashing.tree_digest(tmp_path)
        with pytest.raises(DivergenceError, match=rf"at frame {frame}, .*lower simulation\.dt"):
            run(dt=3.0, burn_in=burn_in)
        assert hashing.tree_digest(tmp_path) == before

    def test_a_connectivity_of_another_size_is_refused_before_any_work(self, run, tmp_path):
        np.save(tmp_path / "W.npy", np.zeros((3, 3)))
        with pytest.raises(ConfigError, match=r"W\.npy holds shape \(3, 3\), expected \(12, 12\)"):
            run(connectivity={"kind": "file", "path": str(tmp_path / "W.npy")})
        assert [p.name for p in tmp_path.iterdir()] == ["W.npy"]

    def test_a_movie_that_is_missing_is_refused_before_any_work(self, run, tmp_path):
        with pytest.raises(ConfigError, match=r"simulation\.input\.path: no file at .*gone\.mp4"):
            run(input={"kind": "video", "path": str(tmp_path / "gone.mp4"), "n_inputs": 4})
        assert not list(tmp_path.iterdir())

    def test_neurons_shaken_out_of_the_square_are_refused_before_any_work(self, run, tmp_path):
        with pytest.raises(ConfigError, match=r"simulation\.input\.jitter \(5\) moves \d driven"):
            run(input=MOVIE | {"jitter": 5})
        assert not list(tmp_path.iterdir())

    def test_a_connectivity_from_a_file_is_simulated(self, run, tmp_path):
        """One arrow 0 -> 1: every other neuron moves by phi alone."""
        (tmp_path / "W.csv").write_text("pre,post,weight\n0,1,0.5\n")
        found = run(connectivity={"kind": "file", "path": str(tmp_path / "W.csv")})
        x, rate = found["activity"].values, found["drift"].values
        received = rate - (DRIVE * np.tanh(x) - LEAK * x)
        np.testing.assert_allclose(received[:, 1], 10 * 0.5 * np.tanh(x[:, 0]), atol=1e-4)
        assert np.abs(np.delete(received, 1, axis=1)).max() < 1e-4


def test_coarser_frames_are_some_of_those_of_every_step(run):
    fine = run("fine", noise=0.1)
    coarse = run("coarse", noise=0.1, frame_every=3, n_frames=FRAMES // 3)
    np.testing.assert_array_equal(coarse["activity"], fine["activity"][::3])
    np.testing.assert_array_equal(coarse["drift"], fine["drift"][::3])
    np.testing.assert_allclose(coarse["time"], fine["time"][::3])
    assert coarse.attrs["dt"] == pytest.approx(3 * DT)
