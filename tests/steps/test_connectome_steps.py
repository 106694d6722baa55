"""The stages of the connectome system on a small random connectome, and what they refuse."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from ngpipe import schemas, store
from ngpipe.artifacts import network_file
from ngpipe.config.connectome.experiment import ConnectomeExperiment
from ngpipe.config.load import validate
from ngpipe.config.nulls import null_kinds
from ngpipe.connectome.optimisation.fit import Fit
from ngpipe.connectome.rules import DEFAULT, PRESETS
from ngpipe.errors import ConfigError, ConnectomeError, StoreError
from ngpipe.steps import attribute, control, fit, search, tabulate, wire
from ngpipe.wiring.container import Connectome
from ngpipe.wiring.sources.generated import generated

CPU = {"key": "k" * 64, "device": torch.device("cpu")}
TARGETS = "stimulus,group,value,layer\none,O1,0.5,3\none,O2,0.1,3\ntwo,O1,0.2,3\ntwo,O2,0.4,3\n"


def experiment(targets: Path, **changes) -> ConnectomeExperiment:
    content = {
        "system": "connectome",
        "connectome": {"source": {"kind": "generated", "radius": 1, "seed": 3}},
        "network": {"layers": 4, "slope": 3, "tau": 2},
        "fit": {
            "targets": str(targets),
            "epochs": 12,
            "train": ["slopes", "strengths"],
            "held_out": ["two"],
        },
        "stimuli": {
            "one": {"kind": "pulse", "levels": {"I1": 0.8}, "start": 1, "steps": 2},
            "two": {"kind": "pulse", "levels": {"I2": 1}},
            "best": {
                **{"kind": "search", "drive": {"O1": 1, "O2": -1}, "columns": 0},
                **{"iterations": 15, "starts": 2},
            },
        },
        "readouts": {
            "pulsed": {"stimulus": "one", "groups": ["O1", "O2"]},
            "driven": {"stimulus": "best", "groups": ["O1"], "columns": 0, "layers": [3]},
        },
        "attribution": {"steps": 8},
        "control": {"model": "degree_and_sign", "draws": 4},
    }
    return validate({**content, **changes}, ConnectomeExperiment, where="test")


def run(cfg: ConnectomeExperiment, directory: Path, *names: str) -> None:
    """Stages by name, in the order given."""
    calls = {
        "wire": lambda: wire.run(cfg.connectome, directory, key=CPU["key"]),
        "fit": lambda: fit.run(
            *(cfg.network, cfg.fit, cfg.fitted_to, directory),
            **CPU,
            checkpoints=directory / "checkpoints",
        ),
        "search": lambda: search.run(cfg.stimuli, directory, **CPU),
        "attribute": lambda: attribute.run(cfg.readouts, cfg.attribution, directory, **CPU),
        "control": lambda: control.run(cfg, directory, **CPU),
        "tabulate": lambda: tabulate.run(cfg.paths, cfg.reference, directory, key=CPU["key"]),
    }
    for name in names:
        calls[name]()


STAGES = ("wire", "fit", "search", "attribute", "control", "tabulate")


@pytest.fixture(scope="module")
def targets(tmp_path_factory):
    path = tmp_path_factory.mktemp("targets") / "targets.csv"
    path.write_text(TARGETS)
    return path


@pytest.fixture(scope="module")
def finished(targets, tmp_path_factory):
    directory = tmp_path_factory.mktemp("finished")
    run(experiment(targets), directory, *STAGES)
    return directory


@pytest.fixture
def copy(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


def opened(directory: Path, name: str):
    return store.read(directory / f"{name}.zarr", getattr(schemas, name.upper())).load()


def network_of(directory: Path):
    return network_file.read(directory, torch.device("cpu"))


class TestWire:
    def test_weights_have_the_signs_of_their_senders(self, finished):
        drawn = generated(np.random.default_rng(3), radius=1)
        found = Connectome.load(finished / "connectome.zarr")
        assert found.digest() == drawn.signed().digest()
        assert found.is_signed

    def test_senders_without_sign_are_refused_or_decided(self, tmp_path):
        edges = tmp_path / "edges.csv"
        edges.write_text("pre,post,weight\na,b,2\nb,a,3\n")
        cfg = experiment(edges, connectome={"source": {"kind": "file", "path": str(edges)}})
        with pytest.raises(ConnectomeError, match="2 of 2 neurons that send have no sign"):
            run(cfg, tmp_path, "wire")
        section = {"source": {"kind": "file", "path": str(edges)}, "without_sign": "inhibitory"}
        run(experiment(edges, connectome=section), tmp_path, "wire")
        weights = Connectome.load(tmp_path / "connectome.zarr").weights.toarray()
        assert np.array_equal(weights, [[0, -3], [-2, 0]])

    def test_what_the_reader_left_out_is_said(self, tmp_path, capsys):
        sheet = tmp_path / "sheet.csv"
        sheet.write_text(",a,b,total\na,0,2,2\nb,3,0,3\n")
        section = {"source": {"kind": "file", "path": str(sheet)}, "without_sign": "excitatory"}
        run(experiment(sheet, connectome=section), tmp_path, "wire")
        said = capsys.readouterr().err
        note = "column 'total' of the sheet left out: it holds sums"
        assert f"ngpipe wire: note: {note}" in said
        assert note in store.read_json(tmp_path / "connectome.json")["notes"]["connectome_notes"]

    def test_an_absent_file_is_named(self, tmp_path):
        section = {"source": {"kind": "celegans", "path": str(tmp_path / "worm.csv")}}
        with pytest.raises(StoreError, match=r"(?s)worm\.csv does not exist.*pip install"):
            run(experiment(tmp_path, connectome=section), tmp_path, "wire")


class TestFit:
    def test_what_is_written_is_the_network(self, finished):
        _, _, network = network_of(finished)
        found, given = opened(finished, "fit"), pd.read_csv(finished / "responses.csv")
        for k in range(found.sizes["target"]):
            row = given[
                (given["stimulus"] == found["run"].values[k])
                & (given["group"] == found["group"].values[k])
                & (given["layer"] == 3)
            ]
            assert row["activity"].item() == pytest.approx(float(found["fitted"][k]), abs=1e-6)
        assert network.log_strengths is not None

    def test_the_error_of_what_is_trained_falls(self, finished):
        found = opened(finished, "fit")
        assert found["loss"][-1] < 0.8 * found["loss"][0]
        assert found["held_out"].values.tolist() == [0, 0, 1, 1]

    @pytest.mark.slow
    def test_a_fit_that_was_killed_gives_the_same_bytes(
        self, finished, targets, tmp_path, monkeypatch
    ):
        cfg = experiment(targets)
        run(cfg, tmp_path, "wire")
        monkeypatch.setattr(fit, "SAVED_EVERY", 5)
        advance, done = Fit.advance, []

        def dies(self):
            done.append(self.epoch)
            if len(done) == 9:
                raise KeyboardInterrupt
            return advance(self)

        with monkeypatch.context() as patched:
            patched.setattr(Fit, "advance", dies)
            with pytest.raises(KeyboardInterrupt):
                run(cfg, tmp_path, "fit")
        assert not (tmp_path / "network.safetensors").exists()
        with monkeypatch.context() as patched:
            patched.setattr(Fit, "advance", lambda self: done.append(self.epoch) or advance(self))
            run(cfg, tmp_path, "fit")
        assert done[9] == 5  # it went on from the checkpoint
        for name in ("network.safetensors", "fit.zarr/loss/0"):
            assert (tmp_path / name).read_bytes() == (finished / name).read_bytes()
        assert not list((tmp_path / "checkpoints").iterdir())

    def test_without_a_section_the_config_is_the_network(self, targets, tmp_path):
        cfg = experiment(targets, fit=None)
        run(cfg, tmp_path, "wire", "fit")
        _, _, network = network_of(tmp_path)
        assert torch.all(network.slope == 3)
        assert opened(tmp_path, "fit").sizes["epoch"] == 0

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (TARGETS.replace("one,O2", "best,O2"), r"stimulus \['best'\] is none of the given"),
            (TARGETS.replace("one,O1", "one,O9"), r"group \['O9'\] is none of the groups"),
            (TARGETS.replace("value", "rate"), "expected at least one row and columns"),
            ("stimulus,group,value\n", "has columns .* and 0 rows"),
        ],
    )
    def test_a_table_that_does_not_fit_is_named(self, copy, tmp_path, text, message):
        path = tmp_path / "targets.csv"
        path.write_text(text)
        with pytest.raises(ConfigError, match=message):
            run(experiment(path), copy, "fit")

    def test_a_network_of_another_connectome_is_refused(self, copy, targets):
        section = {"source": {"kind": "generated", "radius": 1, "seed": 4}}
        run(experiment(targets, connectome=section), copy, "wire")
        with pytest.raises(
            StoreError, match=r"belongs to another connectome.*run the step `fit` again"
        ):
            network_of(copy)

    def test_values_of_no_group_are_named(self, copy, targets):
        with pytest.raises(ConfigError, match=r"network\.biases names \['X'\]"):
            run(experiment(targets, network={"biases": {"X": 1}, "layers": 4}), copy, "fit")

    def test_a_damaged_network_is_named(self, copy):
        (copy / "network.safetensors").write_bytes(b"torn")
        with pytest.raises(StoreError, match="is not a network of ngpipe"):
            network_of(copy)


class TestSearch:
    def test_a_pulse_reaches_its_group_while_it_lasts(self, finished):
        found = opened(finished, "stimuli")
        groups = found["neuron_group"].values[found["sensor"].values]
        pulse = found["stimulus"].sel(run="one").values
        assert (pulse[groups == "I1"] == np.float32([0, 0.8, 0.8, 0])).all()
        assert not pulse[groups == "I2"].any()

    def test_activity_is_what_the_network_does(self, finished):
        _, _, network = network_of(finished)
        found = opened(finished, "stimuli")
        with torch.no_grad():
            again = network(torch.from_numpy(found["stimulus"].values)).numpy()
        np.testing.assert_allclose(found["activity"].values, again, atol=1e-6)

    def test_what_is_searched_drives_its_target_more_than_noise(self, finished):
        connectome, _, network = network_of(finished)
        found = opened(finished, "stimuli")
        near = (connectome.neurons[["u", "v"]] == 0).all(axis=1).to_numpy()
        a, b = (near & (found["neuron_group"].values == name) for name in ("O1", "O2"))
        x = found["activity"].sel(run="best").values[:, -1]
        random = torch.rand(20, *found["stimulus"].shape[1:])
        with torch.no_grad():
            others = network(random).numpy()[:, :, -1]
        assert x[a].mean() - x[b].mean() > (others[:, a].mean(1) - others[:, b].mean(1)).max()

    @pytest.mark.parametrize(
        ("stimulus", "message"),
        [
            ({"kind": "pulse", "levels": {"M1": 1}}, r"no sensor is of group \['M1'\]"),
            ({"kind": "search", "drive": {"O7": 1}}, r"stimuli\.best: there is no group 'O7'"),
        ],
    )
    def test_groups_that_cannot_be_are_named(self, copy, targets, stimulus, message):
        cfg = experiment(targets)
        stimuli = {**{n: s.model_dump() for n, s in cfg.stimuli.items()}, "best": stimulus}
        with pytest.raises(ConfigError, match=message):
            run(experiment(targets, stimuli=stimuli), copy, "search")


class TestAttribute:
    def test_contributions_add_up_to_the_readout(self, finished):
        _, _, network = network_of(finished)
        found, stimuli = opened(finished, "attribution"), opened(finished, "stimuli")
        with torch.no_grad():
            silent = network(torch.zeros(1, *stimuli["stimulus"].shape[1:]))[0].numpy()
        groups = stimuli["neuron_group"].values
        rest = silent[np.isin(groups, ["O1", "O2"])].mean()
        total = float(found["attribution"].sel(readout="pulsed").sum())
        assert total == pytest.approx(float(found["value"].sel(readout="pulsed")) - rest, abs=1e-6)
        assert abs(float(found["delta"].sel(readout="pulsed"))) < 1e-6

    def test_a_readout_of_the_centre_is_its_activity(self, finished):
        neurons = Connectome.load(finished / "connectome.zarr").neurons
        centre = ((neurons["u"] == 0) & (neurons["v"] == 0) & (neurons["cell_type"] == "O1")).values
        x = opened(finished, "stimuli")["activity"].sel(run="best").values[centre, 3]
        value = opened(finished, "attribution")["value"].sel(readout="driven")
        assert float(value) == pytest.approx(x.item(), abs=1e-6)

    def test_silencing_is_the_loss_without_the_group(self, finished):
        _, _, network = network_of(finished)
        found, stimuli = opened(finished, "attribution"), opened(finished, "stimuli")
        u = torch.from_numpy(stimuli["stimulus"].sel(run="one").values)[None]
        members = network.groups.members("M1").tolist()
        with torch.no_grad():
            held = network(u, manipulate={layer: dict.fromkeys(members, 0.0) for layer in range(4)})
        groups = stimuli["neuron_group"].values
        without = held[0].numpy()[np.isin(groups, ["O1", "O2"])].mean()
        lost = float(found["silencing"].sel(readout="pulsed", group="M1"))
        assert lost == pytest.approx(
            float(found["value"].sel(readout="pulsed")) - without, abs=1e-6
        )

    def test_sensors_are_not_silenced_unless_asked_for(self, finished, copy, targets):
        lost = opened(finished, "attribution")["silencing"]
        middle = {"M1", "M2", "M3", "M4", "M5"}
        assert set(lost.sel(readout="pulsed").dropna("group")["group"].values) == middle
        # its own group is left out of a readout: without O1 there is none
        assert set(lost.sel(readout="driven").dropna("group")["group"].values) == middle | {"O2"}
        run(experiment(targets, attribution={"steps": 2, "silence": ["I1"]}), copy, "attribute")
        assert opened(copy, "attribution")["group"].values.tolist() == ["I1"]

    def test_unknown_groups_are_named(self, copy, targets):
        with pytest.raises(ConfigError, match=r"attribution\.silence: there is no group \['X'\]"):
            run(experiment(targets, attribution={"silence": ["X"]}), copy, "attribute")
        wrong = {"a": {"stimulus": "one", "groups": ["X"]}}
        with pytest.raises(ConfigError, match=r"readouts\.a: there is no group 'X'"):
            run(experiment(targets, readouts=wrong), copy, "control")


class TestControl:
    def test_the_real_value_is_the_readout(self, finished):
        both = opened(finished, "control"), opened(finished, "attribution")
        np.testing.assert_allclose(*(d["value"].values for d in both), rtol=1e-5)
        assert both[0]["null"].shape == (4, 2)
        assert len(np.unique(both[0]["null"].values[:, 0])) > 1

    @pytest.mark.quick(1)
    @pytest.mark.parametrize("redo", [True, False])
    def test_signs_that_are_certain_change_nothing(self, copy, targets, redo):
        """Also where the null is fitted and its stimulus searched: as the connectome was."""
        section = {"model": "signs", "certainty": 1 - 1e-12, "draws": 2, "redo": redo}
        run(experiment(targets, control=section), copy, "control")
        found = opened(copy, "control")
        np.testing.assert_allclose(found["null"].values, [found["value"].values] * 2, rtol=1e-5)

    def test_nulls_are_made_anew_unless_told_otherwise(self, finished, copy, targets):
        kept = {"model": "degree_and_sign", "draws": 4, "redo": False}
        run(experiment(targets, control=kept), copy, "control")
        anew, as_they_are = opened(finished, "control"), opened(copy, "control")
        assert not np.allclose(anew["null"].values, as_they_are["null"].values, rtol=1e-3)
        driven = {"readout": "driven"}
        assert (anew["null"].sel(driven) > as_they_are["null"].sel(driven)).all()

    @pytest.mark.quick(1)
    @pytest.mark.parametrize(
        "model", sorted(null_kinds().keys() - {"distance", "degree_and_distance", "signs"})
    )
    def test_every_null_can_be_drawn(self, copy, targets, model):
        section = {"model": model, "draws": 2, "redo": False}
        run(experiment(targets, control=section), copy, "control")
        found = opened(copy, "control")
        assert np.isfinite(found["null"].values).all()
        assert found.attrs["model"] == model


class TestTabulate:
    def test_paths_are_active_strong_and_signed(self, finished):
        paths = pd.read_csv(finished / "paths.csv")
        assert (paths["pre_activation"] >= 0.02).all()
        assert paths["weight"].abs().min() >= 0.01
        assert paths.groupby(["stimulus", "layer", "post"]).size().max() <= 3
        assert (paths["weight"] < 0).any()
        assert (paths["weight"] > 0).any()

    def test_activity_on_paths_is_the_mean_of_whole_groups(self, finished):
        paths, table = (pd.read_csv(finished / f"{n}.csv") for n in ("paths", "responses"))
        mean = table.set_index(["stimulus", "group", "layer"])["activity"]
        for row in paths.itertuples():
            expected = mean[row.stimulus, row.post, row.layer - 1]
            assert row.post_activation == pytest.approx(expected, rel=1e-5)

    def test_weights_of_paths_are_those_fitted(self, finished):
        _, about, network = network_of(finished)
        connectome = Connectome.load(finished / "connectome.zarr")
        fitted = network_file.weights_of(connectome, about).mapped(network.edge_values.numpy())
        for row in pd.read_csv(finished / "paths.csv").itertuples():
            block = fitted.block(row.post, row.pre)
            assert row.weight == pytest.approx(block.sum() / block.shape[0], rel=1e-4)

    def test_contributions_of_pairs_add_up(self, finished):
        table, found = pd.read_csv(finished / "contributions.csv"), opened(finished, "attribution")
        total = table.groupby("readout")["contribution"].sum()
        for name in ("pulsed", "driven"):
            expected = float(found["by_groups"].sel(readout=name).sum())
            assert total[name] == pytest.approx(expected, rel=1e-4)

    def test_nothing_active_is_no_row(self, copy, targets):
        run(experiment(targets, paths={"activity": 5}), copy, "tabulate")
        assert pd.read_csv(copy / "paths.csv").empty

    def test_responses_are_means_of_groups(self, finished):
        table, found = pd.read_csv(finished / "responses.csv"), opened(finished, "stimuli")
        mine = found["neuron_group"].values == "M3"
        row = table[(table["stimulus"] == "two") & (table["group"] == "M3") & (table["layer"] == 2)]
        mean = found["activity"].sel(run="two").values[mine, 2].mean()
        assert row["activity"].item() == pytest.approx(mean, rel=1e-6)

    def test_metrics_are_those_of_the_stores(self, finished):
        table = pd.read_csv(finished / "metrics.csv").set_index(["quantity", "metric"])["value"]
        null = opened(finished, "control")
        value, drawn = null["value"].values[0], null["null"].values[:, 0].astype(float)
        assert table["pulsed", "z"] == pytest.approx(
            (value - drawn.mean()) / drawn.std(ddof=1), rel=1e-4
        )
        beyond = min((drawn >= value).sum(), (drawn <= value).sum())
        assert table["pulsed", "p"] == pytest.approx(min(1, 2 * (1 + beyond) / 5))
        assert table["fit_trained", "error"] < table["fit_held_out", "error"]

    def test_published_values_stand_beside(self, copy, targets):
        published = {"pulsed": {"value": 0.3}}
        run(experiment(targets, reference=published), copy, "tabulate")
        table = pd.read_csv(copy / "metrics.csv").set_index(["quantity", "metric"])
        assert table.loc[("pulsed", "value"), "reference"] == 0.3
        with pytest.raises(ConfigError, match=r"pulsed\.rate is not a metric"):
            run(experiment(targets, reference={"pulsed": {"rate": 1}}), copy, "tabulate")


def two_neurons(path: Path, edges: str = "S,A,1\n") -> ConnectomeExperiment:
    """S, which receives input, and A, of which the readout is."""
    (path / "edges.csv").write_text("pre,post,weight\n" + edges)
    cells = "id,cell_type,role,sign\nS,S,sensory,1\nA,A,inner,1\nB,B,inner,1\n"
    (path / "neurons.csv").write_text(cells)
    names = {"path": str(path / "edges.csv"), "neurons": str(path / "neurons.csv")}
    content = {
        "system": "connectome",
        "connectome": {"source": {"kind": "file", **names}},
        "network": {"layers": 3},
        "stimuli": {"pulse": {"kind": "pulse", "levels": {"S": 1}}},
        "readouts": {"a": {"stimulus": "pulse", "groups": ["A"]}},
        "attribution": {"steps": 4, "silence": []},
    }
    return validate(content, ConnectomeExperiment, where="test")


class TestLittleToDo:
    @pytest.mark.slow
    def test_nothing_to_silence_nothing_to_fit_and_no_nulls(self, tmp_path, capsys):
        cfg = two_neurons(tmp_path)
        cells = tmp_path / "neurons.csv"
        cells.write_text(cells.read_text().replace("B,B,inner,1\n", ""))
        run(cfg, tmp_path, *STAGES)
        told = capsys.readouterr().err
        assert "nothing is fitted: there is no section `fit`" in told
        assert "no null connectomes: control.draws is 0" in told
        assert "no path of at most" not in told
        found = opened(tmp_path, "attribution")
        assert found["value"].item() > 0.2
        assert found["attribution"].sum().item() == pytest.approx(found["value"].item(), abs=1e-5)
        assert found.sizes["group"] == 0
        assert opened(tmp_path, "control")["null"].shape == (0, 1)
        metrics = pd.read_csv(tmp_path / "metrics.csv")
        metrics = metrics.set_index(["quantity", "metric"])["value"]
        assert metrics["a", "value"] == pytest.approx(found["value"].item(), abs=1e-6)
        assert ("a", "p") not in metrics
        assert ("a", "silencing_largest") not in metrics
        assert pd.read_csv(tmp_path / "silencing.csv").empty

    @pytest.mark.slow
    def test_a_readout_that_no_sensor_reaches_is_0_and_said(self, tmp_path, capsys):
        cfg = two_neurons(tmp_path, "A,B,1\nB,A,1\nS,S,1\n")
        run(cfg, tmp_path, *STAGES)
        told = capsys.readouterr().err
        assert "readouts.a: no path of at most 3 synapses leads from a sensor" in told
        found = opened(tmp_path, "attribution")
        for name in ("value", "attribution", "by_groups", "silencing"):
            assert not found[name].fillna(0).any(), name


class TestPresets:
    def test_the_default_is_that_of_the_library(self, targets):
        cfg = experiment(targets, network={"layers": 4})
        assert cfg.network.preset == DEFAULT
        connectome = generated(np.random.default_rng(3), radius=1)
        for name, rules in PRESETS.items():
            section = experiment(targets, network={"layers": 4, "preset": name}).network
            model = network_file.build(connectome, section, torch.device("cpu"))
            assert model.rules == rules
            assert model.tau == (10 if name == "head" else 1)

    def test_biases_that_would_turn_positive_are_refused(self, targets):
        section = {"layers": 4, "biases": {"M1": -0.2}}
        with pytest.raises(ConfigError, match=r"biases\.M1 \(-0\.2\).*preset: mended"):
            experiment(targets, network=section)
        assert experiment(targets, network=section | {"preset": "mended"}).network.biases

    @pytest.mark.slow
    def test_biases_train_from_0_with_the_default(self, targets, tmp_path):
        cfg = experiment(targets, fit={"targets": str(targets), "epochs": 8, "train": ["biases"]})
        run(cfg, tmp_path, "wire", "fit")
        _, _, network = network_of(tmp_path)
        assert (network.biases > 0).any()
