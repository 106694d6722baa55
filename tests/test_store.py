"""Stores: what is written is what is read, whole or not at all, and mistakes are named."""

import json
import os
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr

from ngpipe import hashing, schemas, store
from ngpipe.errors import NgpipeWarning, StoreError

FRAMES, NEURONS = 30, 5
CONFIG = {"n_neurons": NEURONS, "dt": 0.25, "types": [{"leak": 1.0}]}


@pytest.fixture
def provenance():
    return store.Provenance("simulate", "f" * 64, CONFIG, device="cpu", notes={"tries": 2})


@pytest.fixture
def dataset(rng):
    """A simulation of random numbers: zeros would hide chunks that were never written."""
    return xr.Dataset(
        {
            "activity": (("time", "neuron"), rng.normal(size=(FRAMES, NEURONS)).astype("f4")),
            "connectivity": (("post", "pre"), rng.normal(size=(NEURONS, NEURONS))),
            "neuron_type": (("neuron",), rng.integers(1, 9, NEURONS)),
        },
        coords={"time": 0.25 * np.arange(1, FRAMES + 1)},
        attrs={"dt": 0.25},
    )


@pytest.fixture
def written(dataset, provenance, tmp_path):
    """Path of the dataset's store."""
    path = tmp_path / "simulation.zarr"
    store.write(dataset, path, schemas.SIMULATION, provenance)
    return path


@pytest.fixture
def small_blocks(monkeypatch):
    """Chunks of 7 frames, so that 30 frames make five of them, the last one short."""
    monkeypatch.setattr(store, "BLOCK_BYTES", 7 * 4 * NEURONS)


def contents(directory):
    """Every file below a directory with its bytes."""
    files = (p for p in directory.rglob("*") if p.is_file())
    return {p.relative_to(directory).as_posix(): p.read_bytes() for p in files}


def fill(blocks, values, length):
    for start in range(0, len(values), length):
        blocks.put("activity", start, values[start : start + length])


def room(dataset):
    """The dataset with its activity still to come."""
    return dataset.assign(activity=(("time", "neuron"), store.empty(FRAMES, NEURONS)))


class TestRoundTrip:
    def test_what_is_written_is_read(self, dataset, written):
        found = store.read(written, schemas.SIMULATION)
        assert set(found.variables) == set(dataset.variables)
        for name in dataset.variables:
            assert found[name].dtype == dataset[name].dtype
            assert found[name].dims == dataset[name].dims
            np.testing.assert_array_equal(found[name].values, dataset[name].values)
        assert found.attrs["dt"] == 0.25

    def test_plain_xarray_opens_it_without_a_warning(self, dataset, written):
        """Also when Snakemake has put its time stamp inside, as it does with directory outputs."""
        (written / ".snakemake_timestamp").touch()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = xr.open_zarr(written)
            np.testing.assert_array_equal(found["activity"].values, dataset["activity"].values)

    def test_it_says_units_names_config_and_version(self, written):
        found = xr.open_zarr(written)
        for name in found.data_vars:
            variable = schemas.SIMULATION[name]
            assert found[name].attrs == {"units": variable.units, "long_name": variable.long_name}
        assert found["time"].attrs == {"units": "tau", "long_name": "time"}
        assert json.loads(found.attrs["config"]) == CONFIG
        assert found.attrs["key"] == "f" * 64
        assert found.attrs["source"] == f"ngpipe {store.versions()['ngpipe']}"

    @pytest.mark.parametrize(
        "schema", [schemas.SIMULATION, schemas.TRAINING, schemas.RECOVERY, schemas.ROLLOUT]
    )
    def test_every_variable_of_a_schema_has_a_unit_and_a_name(self, schema):
        for variable in schema.values():
            assert variable.units
            assert variable.long_name

    def test_the_dataset_handed_over_is_left_as_it_was(self, dataset, provenance, tmp_path):
        before = dataset.copy(deep=True)
        store.write(dataset, tmp_path / "s.zarr", schemas.SIMULATION, provenance)
        xr.testing.assert_identical(dataset, before)

    def test_nan_and_infinity_survive(self, dataset, provenance, tmp_path):
        dataset["activity"].values[3:5, 1] = np.nan, np.inf
        store.write(dataset, tmp_path / "s.zarr", schemas.SIMULATION, provenance)
        found = store.read(tmp_path / "s.zarr", schemas.SIMULATION)
        np.testing.assert_array_equal(found["activity"].values, dataset["activity"].values)

    @pytest.mark.quick(2)
    @pytest.mark.usefixtures("small_blocks")
    @pytest.mark.parametrize("length", [7, 1, 11, FRAMES])
    def test_block_by_block_gives_the_same_bytes_as_at_once(
        self, dataset, provenance, tmp_path, length
    ):
        store.write(dataset, tmp_path / "whole.zarr", schemas.SIMULATION, provenance)
        blockwise = store.writing(
            room(dataset), tmp_path / "blocks.zarr", schemas.SIMULATION, provenance
        )
        with blockwise as blocks:
            fill(blocks, dataset["activity"].values, length)
        assert contents(tmp_path / "blocks.zarr") == contents(tmp_path / "whole.zarr")
        assert (tmp_path / "whole.zarr" / "activity" / "4.0").exists()

    @pytest.mark.usefixtures("small_blocks")
    def test_chunks_are_whole_rows_of_bounded_size(self, written):
        assert store.read(written, schemas.SIMULATION)["activity"].encoding["chunks"] == (
            7,
            NEURONS,
        )
        assert store.block_length(NEURONS) == 7
        assert store.block_length(1000, 1000) == 1


class TestAllOrNothing:
    def fail_half_way(self, dataset, path, provenance):
        with (
            pytest.raises(ZeroDivisionError),
            store.writing(room(dataset), path, schemas.SIMULATION, provenance) as blocks,
        ):
            blocks.put("activity", 0, dataset["activity"].values[:12])
            raise ZeroDivisionError

    def test_an_error_leaves_the_previous_store_and_manifest(self, dataset, written, provenance):
        before = contents(written.parent)
        self.fail_half_way(-dataset, written, provenance)
        assert contents(written.parent) == before
        assert sorted(p.name for p in written.parent.iterdir()) == [
            "simulation.json",
            "simulation.zarr",
        ]

    def test_an_error_leaves_nothing_where_nothing_was(self, dataset, tmp_path, provenance):
        self.fail_half_way(dataset, tmp_path / "runs" / "simulation.zarr", provenance)
        assert list((tmp_path / "runs").iterdir()) == []

    def test_an_error_of_the_disk_leaves_the_previous_store(
        self, dataset, written, provenance, monkeypatch
    ):
        def full(*_arguments, **_options):
            raise OSError(28, "No space left on device")

        before = contents(written.parent)
        monkeypatch.setattr(xr.Dataset, "to_zarr", full)
        with pytest.raises(OSError, match="No space left"):
            store.write(-dataset, written, schemas.SIMULATION, provenance)
        assert contents(written.parent) == before

    def test_no_other_process_sees_a_half_written_store(self, dataset, tmp_path, provenance):
        path = tmp_path / "simulation.zarr"
        with store.writing(room(dataset), path, schemas.SIMULATION, provenance) as blocks:
            fill(blocks, dataset["activity"].values, 10)
            assert not path.exists()
            assert not store.manifest_path(path).exists()
        assert path.exists()

    def test_a_link_is_replaced_not_what_it_leads_to(self, dataset, written, provenance):
        """A point of a sweep may link to results of its experiment."""
        before = contents(written)
        link = written.with_name("link.zarr")
        link.symlink_to(written.name)
        for length in (3, 4):
            part = dataset.isel(time=slice(length))
            store.write(part, link, schemas.SIMULATION, provenance)
            assert not link.is_symlink()
            assert store.read(link, {}).sizes["time"] == length
            assert contents(written) == before
        names = {path.name for path in written.parent.iterdir()}
        assert names == {
            f"{stem}.{end}" for stem in ("simulation", "link") for end in ("zarr", "json")
        }

    def test_the_new_store_replaces_the_old_one_wholly(self, dataset, written, provenance):
        smaller = -dataset.drop_vars("connectivity")
        store.write(smaller, written, schemas.SIMULATION, provenance)
        found = store.read(written, schemas.SIMULATION)
        assert set(found.variables) == {"activity", "neuron_type", "time"}
        np.testing.assert_array_equal(found["activity"].values, smaller["activity"].values)
        digest = store.read_json(written.with_suffix(".json"))["digest"]
        assert digest == hashing.tree_digest(written)
        assert len(list(written.parent.iterdir())) == 2

    def test_a_dataset_that_does_not_fit_is_refused_before_anything_is_touched(
        self, dataset, written, provenance
    ):
        before = contents(written.parent)
        with pytest.raises(StoreError, match="activity"):
            store.write(dataset.drop_vars("activity"), written, schemas.SIMULATION, provenance)
        assert contents(written.parent) == before


class TestRefusals:
    def test_all_mistakes_are_named_at_once(self, dataset):
        broken = dataset.transpose("neuron", ...).rename(post="pre", pre="post")
        broken = broken.drop_vars("neuron_type")
        schema = schemas.Schema(
            {**schemas.SIMULATION, "gain": schemas.Variable(("neuron",), "1/tau", "gain")}
        )
        with pytest.raises(StoreError) as caught:
            store.check(broken, schema, where="results/runs/x/simulation.zarr")
        head, _, tail = str(caught.value).partition(" over {")
        assert head == (
            "results/runs/x/simulation.zarr does not hold what this step needs:\n"
            "  'activity' has dims ('neuron', 'time'), expected ('time', 'neuron')\n"
            "  'connectivity' has dims ('pre', 'post'), expected ('post', 'pre')\n"
            "  'gain' is missing\n"
            "It holds ['activity', 'connectivity']"
        )
        assert "'time': 30" in tail
        assert "If it is yours, write it with these names and dimensions" in tail

    def test_what_is_optional_may_be_missing(self, dataset):
        store.check(dataset[["activity"]], schemas.SIMULATION, where="here")

    def test_a_missing_store_names_its_remedy(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        Path("config").mkdir()
        absent = Path("results/runs/x/absent.zarr")
        with pytest.raises(StoreError, match=r"no store at .*snakemake -s \S+/Snakefile --cores"):
            store.read(absent, schemas.SIMULATION)
        Path("Snakefile").touch()
        with pytest.raises(StoreError, match="make it with: snakemake --cores 2 results/runs/x"):
            store.read(absent, schemas.SIMULATION)
        with pytest.raises(StoreError, match=r"no store at config/movie\.zarr; correct the path"):
            store.read(Path("config/movie.zarr"), {})

    @pytest.mark.parametrize(
        ("head", "kind"),
        [
            (b"PK\x03\x04", "a zip archive"),
            (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
            (b"CDF\x01", "a netCDF file"),
            (b"pre,post", "a file"),
        ],
    )
    def test_a_file_of_that_name_is_named_for_what_it_is(self, tmp_path, head, kind):
        (tmp_path / "simulation.zarr").write_bytes(head + bytes(20))
        with pytest.raises(StoreError, match=rf"simulation\.zarr is {kind}") as caught:
            store.read(tmp_path / "simulation.zarr", schemas.SIMULATION)
        assert "delete" not in str(caught.value)

    def test_a_foreign_directory_is_refused_by_name(self, tmp_path):
        (tmp_path / "foreign.zarr").mkdir()
        (tmp_path / "foreign.zarr" / "notes.txt").write_text("not a store")
        with pytest.raises(
            StoreError, match=r"foreign\.zarr is not a readable zarr store"
        ) as found:
            store.read(tmp_path / "foreign.zarr", schemas.SIMULATION)
        assert "delete" not in str(found.value)

    def test_a_store_of_another_stage_is_refused_by_name(self, written):
        with pytest.raises(StoreError, match=r"(?s)simulation\.zarr does not hold.*'activity_hat'"):
            store.read(written, schemas.ROLLOUT)

    def test_broken_metadata_is_refused_by_name(self, written):
        (written / ".zmetadata").write_text("{")
        with pytest.raises(StoreError, match=r"is not the store that .*simulation\.json beside it"):
            store.read(written, schemas.SIMULATION)

    @pytest.mark.usefixtures("small_blocks")
    @pytest.mark.parametrize(
        "chunk", ["activity/2.0", "activity/4.0", "connectivity/0.0", "time/0"]
    )
    def test_a_lost_chunk_is_refused_by_name(self, written, chunk):
        """Zarr itself would read zeros there, without a word."""
        (written / chunk).unlink()
        with pytest.raises(StoreError, match=rf"truncated: 1 of its .* the first is '{chunk}'"):
            store.read(written, schemas.SIMULATION)

    @pytest.mark.usefixtures("small_blocks")
    def test_a_chunk_cut_short_is_refused_by_name(self, written):
        chunk = written / "activity" / "1.0"
        os.truncate(chunk, chunk.stat().st_size // 2)
        with pytest.raises(StoreError, match=r"truncated: .* the first is 'activity/1.0'"):
            store.read(written, schemas.SIMULATION)

    @pytest.mark.usefixtures("small_blocks")
    def test_a_flipped_bit_is_refused_when_its_chunk_is_read(self, written, dataset):
        chunk = written / "activity" / "1.0"
        content = bytearray(chunk.read_bytes())
        content[9] ^= 1
        chunk.write_bytes(content)
        found = store.read(written, schemas.SIMULATION)
        np.testing.assert_array_equal(found["activity"][:7].values, dataset["activity"][:7].values)
        with pytest.raises(StoreError, match=r"'activity/1\.0' was changed or damaged"):
            _ = found["activity"][8].values

    @pytest.mark.usefixtures("small_blocks")
    def test_a_chunk_that_vanishes_after_opening_is_an_error(self, written):
        found = store.read(written, schemas.SIMULATION)
        (written / "activity" / "1.0").unlink()
        with pytest.raises(StoreError, match=r"'activity/1\.0' is gone"):
            _ = found["activity"].values

    def test_a_changed_attribute_is_refused(self, written):
        """An interval other than the one that was written would give other rates."""
        zarr.open_group(written, mode="r+", zarr_format=2).attrs["dt"] = 0.5
        with pytest.raises(StoreError, match="was changed, or came from elsewhere"):
            store.read(written, schemas.SIMULATION)

    def test_a_store_of_another_key_is_refused(self, dataset, written, tmp_path):
        other = store.Provenance("simulate", "e" * 64, CONFIG)
        store.write(dataset, tmp_path / "other.zarr", schemas.SIMULATION, other)
        written.rename(tmp_path / "away.zarr")
        (tmp_path / "other.zarr").rename(written)
        with pytest.raises(StoreError, match="is not the store that"):
            store.read(written, schemas.SIMULATION)

    def test_one_of_the_user_beside_an_old_manifest_is_read_and_told(self, dataset, written):
        written.rename(written.with_name("away.zarr"))
        dataset.to_zarr(written, zarr_format=2, consolidated=True)
        with pytest.warns(NgpipeWarning, match="is read as your own"):
            found = store.read(written, schemas.SIMULATION)
        np.testing.assert_array_equal(found["activity"].values, dataset["activity"].values)

    def test_one_without_a_list_of_its_files_still_opens(self, written, dataset):
        manifest = store.read_json(written.with_suffix(".json"))
        del manifest["content"]
        store.write_json(written.with_suffix(".json"), manifest)
        found = store.read(written, schemas.SIMULATION)
        np.testing.assert_array_equal(found["activity"].values, dataset["activity"].values)

    @pytest.mark.usefixtures("small_blocks")
    def test_a_chunk_of_zeros_is_no_loss(self, dataset, provenance, tmp_path):
        dataset["activity"].values[7:14] = 0
        store.write(dataset, tmp_path / "s.zarr", schemas.SIMULATION, provenance)
        assert (tmp_path / "s.zarr" / "activity" / "1.0").exists()
        found = store.read(tmp_path / "s.zarr", schemas.SIMULATION)
        np.testing.assert_array_equal(found["activity"].values, dataset["activity"].values)


class TestValues:
    @pytest.mark.parametrize("kind", [bool, "int8", "uint8", "float32"])
    def test_masks_come_as_bool_whatever_they_were_stored_as(self, kind):
        driven = xr.Dataset({"driven": ("neuron", np.array([1, 0, 1]).astype(kind))})
        found = store.values(driven, "driven", schemas.SIMULATION, where="here")
        assert found.dtype == bool
        assert found.tolist() == [True, False, True]

    @pytest.mark.parametrize("bad", [2, -1, 0.5, np.nan])
    def test_a_mask_of_anything_else_is_refused(self, bad):
        driven = xr.Dataset({"driven": ("neuron", np.array([1, 0, bad]))})
        with pytest.raises(StoreError, match=rf"here: 'driven' is {bad}.* at neuron 2, one of 1"):
            store.values(driven, "driven", schemas.SIMULATION, where="here")

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_numbers_that_are_not_finite_are_refused(self, bad):
        values = np.array([[1.0, 0.0], [2.0, bad]])
        dataset = xr.Dataset({"external_input": (("frame", "neuron"), values)})
        with pytest.raises(StoreError, match=r"at frame 1, neuron 1, .*expected finite numbers"):
            store.values(dataset, "external_input", schemas.SIMULATION, where="here")


class TestManifest:
    def test_says_what_the_store_holds(self, written):
        manifest = store.read_json(written.with_suffix(".json"))
        assert manifest["digest"] == hashing.tree_digest(written)
        assert manifest["variables"] == {
            "activity": {
                "dims": ["time", "neuron"],
                "shape": [FRAMES, NEURONS],
                "dtype": "float32",
                "units": "1",
            },
            "connectivity": {
                "dims": ["post", "pre"],
                "shape": [NEURONS, NEURONS],
                "dtype": "float64",
                "units": "1/tau",
            },
            "time": {"dims": ["time"], "shape": [30], "dtype": "float64", "units": "tau"},
            "neuron_type": {
                "dims": ["neuron"],
                "shape": [NEURONS],
                "dtype": "int64",
                "units": "1",
            },
        }

    def test_says_how_it_came_about(self, written):
        manifest = store.read_json(written.with_suffix(".json"))
        assert {name: manifest[name] for name in ("stage", "key", "config", "notes", "device")} == {
            "stage": "simulate",
            "key": "f" * 64,
            "config": CONFIG,
            "notes": {"tries": 2},
            "device": "cpu",
        }
        assert manifest["versions"]["numpy"] == np.__version__
        assert {"python", "ngpipe", "torch", "xarray", "zarr"} <= set(manifest["versions"])
        assert manifest["command"]

    def test_says_what_it_cost(self, dataset, tmp_path):
        provenance = store.Provenance("simulate", "k", {}, started=time.perf_counter() - 3)
        store.write(dataset, tmp_path / "s.zarr", schemas.SIMULATION, provenance)
        manifest = store.read_json(tmp_path / "s.json")
        assert 3 <= manifest["wall_seconds"] < 60
        assert 50 < manifest["peak_memory_mb"] < 50_000

    def test_the_digest_tells_stores_apart(self, dataset, written, provenance):
        before = store.read_json(written.with_suffix(".json"))["digest"]
        store.write(dataset, written, schemas.SIMULATION, provenance)
        again = store.read_json(written.with_suffix(".json"))["digest"]
        dataset["activity"].values[4, 2] += 1
        store.write(dataset, written, schemas.SIMULATION, provenance)
        assert before == again != store.read_json(written.with_suffix(".json"))["digest"]

    def test_holds_digests_of_the_files_beside(self, dataset, provenance, tmp_path):
        model = tmp_path / "model.bin"
        model.write_bytes(b"weights")
        store.write(dataset, tmp_path / "s.zarr", schemas.SIMULATION, provenance, beside=[model])
        manifest = store.read_json(tmp_path / "s.json")
        assert manifest["files"] == {"model.bin": hashing.file_digest(model)}

    def test_an_absent_or_broken_manifest_is_named(self, tmp_path):
        with pytest.raises(StoreError, match=r"no manifest at .*s\.json; correct the path"):
            store.read_json(tmp_path / "s.json")
        (tmp_path / "s.json").write_text("{")
        with pytest.raises(
            StoreError, match=r"s\.json is not a readable manifest .*; .*move it away"
        ):
            store.read_json(tmp_path / "s.json")


class TestTables:
    @pytest.fixture
    def table(self, rng):
        return pd.DataFrame(
            {
                "quantity": ["connectivity", "phi", "types"],
                "value": rng.normal(size=3) * [1e-7, 1, 1e7],
                "n": rng.integers(1, 1000, 3),
                "reference": [0.99, np.nan, np.nan],
            }
        )

    def test_what_is_written_is_read(self, table, tmp_path):
        store.write_csv(table, tmp_path / "metrics.csv")
        found = store.read_csv(tmp_path / "metrics.csv")
        pd.testing.assert_frame_equal(found, table, rtol=1e-8, check_dtype=True)

    def test_the_manifest_names_its_table(self, table, provenance, tmp_path):
        path, curve = tmp_path / "metrics.csv", tmp_path / "learning_curve.csv"
        store.write_csv(table[["value"]], curve)
        store.write_table(table, path, provenance, beside=[curve])
        manifest = store.read_json(tmp_path / "metrics.json")
        assert manifest["file"] == "metrics.csv"
        assert manifest["digest"] == hashing.file_digest(path)
        assert manifest["files"] == {"learning_curve.csv": hashing.file_digest(curve)}
        assert manifest["variables"]["value"] == {"shape": [3], "dtype": "float64"}
        assert list(manifest["variables"]) == list(table)
        assert manifest["key"] == "f" * 64

    def test_an_error_leaves_the_previous_file(self, tmp_path):
        path = tmp_path / "metrics.csv"
        path.write_text("good\n")
        with pytest.raises(ZeroDivisionError), store.atomic(path) as partial:
            partial.write_text("half")
            raise ZeroDivisionError
        assert contents(tmp_path) == {"metrics.csv": b"good\n"}

    def test_an_absent_or_empty_table_is_named(self, tmp_path):
        path = tmp_path / "metrics.csv"
        with pytest.raises(StoreError, match=r"no table at .*metrics\.csv; correct the path"):
            store.read_csv(path)
        path.touch()
        with pytest.raises(StoreError, match=r"csv is not a readable table .*; .*move it away"):
            store.read_csv(path)
