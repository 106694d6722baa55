"""Nothing that ngpipe did not write is overwritten, whatever wrote it and however it got there."""

import os
import shutil
from pathlib import Path

import pandas as pd
import pytest
import xarray as xr

from ngpipe import ownership, schemas, store
from ngpipe.errors import StoreError

MADE = store.Provenance("simulate", "f" * 64, {})


@pytest.fixture
def dataset(rng):
    values = rng.normal(size=(9, 4)).astype("f4")
    return xr.Dataset({"activity": (("time", "neuron"), values)}, attrs={"dt": 0.1})


@pytest.fixture
def ours(dataset, tmp_path):
    path = tmp_path / "simulation.zarr"
    store.write(dataset, path, schemas.SIMULATION, MADE)
    return path


def touched_later(path):
    """Write a file that is newer than every manifest."""
    later = path.stat().st_mtime_ns + 10**10
    os.utime(path, ns=(later, later))


def lose_manifest(path):
    path.with_suffix(".json").unlink()


def change_a_value(path):
    chunk = path / "activity" / "0.0"
    chunk.write_bytes(b"1" + chunk.read_bytes()[1:])
    touched_later(chunk)


def change_an_attribute(path):
    attributes = path / ".zattrs"
    old = attributes.stat()
    attributes.write_text(
        attributes.read_text().replace('"dt":0.1', '"dt":0.2').replace("0.1", "0.2")
    )
    os.utime(attributes, ns=(old.st_atime_ns, old.st_mtime_ns))


def add_a_file(path):
    (path / "notes.txt").write_text("what I saw\n")


def replace_by_a_recording(path):
    content = store.read(path, {}).load() * 2
    shutil.rmtree(path)
    xr.Dataset({"activity": content["activity"].drop_encoding()}).to_zarr(path, zarr_format=2)


def replace_by_an_archive(path):
    shutil.rmtree(path)
    path.write_bytes(b"PK\x03\x04")


CHANGES = [
    lose_manifest,
    change_a_value,
    change_an_attribute,
    add_a_file,
    replace_by_a_recording,
    replace_by_an_archive,
]


def everything(directory):
    return {p: p.read_bytes() for p in sorted(directory.rglob("*")) if p.is_file()}


@pytest.mark.filterwarnings("ignore:Consolidated metadata")
class TestStores:
    @pytest.mark.parametrize("change", CHANGES)
    def test_what_a_user_made_is_not_overwritten(self, ours, dataset, change):
        change(ours)
        before = everything(ours.parent)
        with pytest.raises(StoreError, match="these would be overwritten") as caught:
            store.write(dataset, ours, schemas.SIMULATION, MADE)
        assert everything(ours.parent) == before
        assert "delete" not in str(caught.value)
        assert "Move them to another place" in str(caught.value)

    def test_what_ngpipe_wrote_is(self, ours, dataset):
        store.write(-dataset, ours, schemas.SIMULATION, MADE)
        assert (store.read(ours, {})["activity"].values == -dataset["activity"].values).all()

    def test_also_after_a_copy_and_with_a_stamp_of_snakemake(self, ours, dataset, tmp_path):
        shutil.copytree(ours, tmp_path / "copy.zarr", copy_function=shutil.copy)
        shutil.copy(ours.with_suffix(".json"), tmp_path / "copy.json")
        (tmp_path / "copy.zarr" / ".snakemake_timestamp").touch()
        touched_later(tmp_path / "copy.zarr" / "activity" / "0.0")
        store.write(dataset, tmp_path / "copy.zarr", schemas.SIMULATION, MADE)

    def test_also_if_chunks_of_it_were_lost(self, ours, dataset):
        (ours / "activity" / "0.0").unlink()
        store.write(dataset, ours, schemas.SIMULATION, MADE)

    def test_one_that_was_written_before_manifests_listed_its_files(self, ours, dataset):
        manifest = store.read_json(ours.with_suffix(".json"))
        del manifest["content"]
        store.write_json(ours.with_suffix(".json"), manifest)
        assert ownership.not_ours(ours) is None
        change_a_value(ours)
        assert "not match its manifest" in ownership.not_ours(ours)

    def test_a_link_to_somebodys_store_is_not_replaced(self, dataset, tmp_path):
        dataset.to_zarr(tmp_path / "mine.zarr", zarr_format=2, consolidated=True)
        (tmp_path / "simulation.zarr").symlink_to("mine.zarr")
        with pytest.raises(StoreError, match="it has no manifest"):
            store.write(dataset, tmp_path / "simulation.zarr", schemas.SIMULATION, MADE)

    def test_a_copy_kept_under_another_name_stays(self, ours, dataset):
        """Its name was once that of the previous store during a replacement."""
        shutil.copytree(ours, ours.with_name("simulation.zarr.old"))
        store.write(dataset, ours, schemas.SIMULATION, MADE)
        assert ours.with_name("simulation.zarr.old").is_dir()

    def test_a_file_in_place_of_the_manifest_is_kept(self, dataset, tmp_path):
        (tmp_path / "simulation.json").write_text('{"mine": true}\n')
        with pytest.raises(StoreError, match=r"simulation\.json: no manifest of ngpipe"):
            store.write(dataset, tmp_path / "simulation.zarr", schemas.SIMULATION, MADE)

    def test_killed_before_its_manifest_it_is_still_ours(self, dataset, tmp_path, monkeypatch):
        """The same command goes on after a kill at any moment."""

        def killed(*_):
            raise KeyboardInterrupt

        path = tmp_path / "simulation.zarr"
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(store, "write_manifest", killed)
            store.write(dataset, path, schemas.SIMULATION, MADE)
        assert path.exists()
        assert not path.with_suffix(".json").exists()
        store.write(dataset, path, schemas.SIMULATION, MADE)
        assert sorted(p.name for p in tmp_path.iterdir()) == ["simulation.json", "simulation.zarr"]


class TestFiles:
    @pytest.fixture
    def table(self):
        return pd.DataFrame({"quantity": ["phi"], "value": [0.5]})

    def test_a_table_of_the_user_is_not_overwritten(self, table, tmp_path):
        path = tmp_path / "metrics.csv"
        path.write_text("mine\n")
        with pytest.raises(StoreError, match=r"metrics\.csv: ngpipe did not write it"):
            store.write_table(table, path, MADE)
        assert path.read_text() == "mine\n"

    def test_an_edited_table_is_not_overwritten(self, table, tmp_path):
        path = tmp_path / "metrics.csv"
        store.write_table(table, path, MADE)
        store.write_table(table, path, MADE)
        path.write_text(path.read_text() + "mine,1\n")
        with pytest.raises(StoreError, match="it was changed since ngpipe wrote it"):
            store.write_table(table, path, MADE)

    def test_files_beside_are_known_by_the_manifest_of_their_step(self, table, dataset, tmp_path):
        curve = tmp_path / "curve.csv"
        for _ in range(2):
            store.write_csv(table, curve)
            store.write(dataset, tmp_path / "s.zarr", schemas.SIMULATION, MADE, beside=[curve])
        assert sorted(p.name for p in tmp_path.iterdir()) == ["curve.csv", "s.json", "s.zarr"]
        curve.write_text("mine\n")
        with pytest.raises(StoreError, match=r"curve\.csv: it was changed"):
            store.write_csv(table, curve)

    def test_files_of_a_step_that_was_killed_are_ours(self, table, tmp_path):
        store.write_csv(table, tmp_path / "curve.csv")
        store.write_csv(table, tmp_path / "curve.csv")
        (tmp_path / "curve.csv").write_text("mine\n")
        assert ownership.not_ours(tmp_path / "curve.csv") is not None

    def test_all_are_named_at_once(self, tmp_path):
        names = [tmp_path / name for name in ("a.csv", "b.zarr", "c.json", "absent.csv")]
        for path in names[:3]:
            path.write_text("mine\n")
        with pytest.raises(StoreError) as caught:
            ownership.claim(names)
        assert all(f"{path}: " in str(caught.value) for path in names[:3])
        assert "absent.csv" not in str(caught.value)


class TestFigures:
    @pytest.fixture
    def figure(self, tmp_path):
        directory = tmp_path / "Fig2"
        directory.mkdir()
        (directory / "a.svg").write_text("<svg/>")
        files = {"a.svg": ownership.hashing.file_digest(directory / "a.svg")}
        store.write_json(directory / "manifest.json", {"files": files, **store.record(MADE)})
        (directory / ".snakemake_timestamp").touch()
        return directory

    def test_one_of_ngpipe_may_be_replaced(self, figure):
        assert ownership.not_ours(figure) is None

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("notes.txt", "holds 'notes.txt', which is not part of the figure"),
            ("a.svg", "'a.svg' was changed"),
            ("manifest.json", "its manifest.json is not from ngpipe"),
        ],
    )
    def test_one_that_somebody_worked_on_may_not(self, figure, name, reason):
        (figure / name).write_text("mine")
        assert reason in ownership.not_ours(figure)

    def test_a_folder_of_that_name_may_not(self, tmp_path):
        (tmp_path / "Fig3").mkdir()
        assert ownership.not_ours(tmp_path / "Fig3") is None
        (tmp_path / "Fig3" / "sketch.png").write_bytes(b"mine")
        assert ownership.not_ours(tmp_path / "Fig3") is not None


class TestWhatMakesAResult:
    """The command that a message gives works where it is read."""

    def test_in_the_study_at_hand(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        elsewhere = "there is no config/ here: run the command from the directory of the study"
        assert ownership.how_to_make(Path("results/runs/x/fit.zarr")) == elsewhere
        Path("config").mkdir()
        for path in (Path("results/runs/x/fit.zarr"), tmp_path / "results/runs/x/fit.zarr"):
            made = ownership.how_to_make(path)
            assert made.startswith("make it with: snakemake -s ")
            assert made.endswith("Snakefile --cores 2 results/runs/x/fit.zarr")

    def test_in_another_directory(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "my brain" / "config").mkdir(parents=True)
        (tmp_path / "Snakefile").touch()
        made = ownership.how_to_make(Path("my brain/results/runs/x/fit.zarr"))
        assert " -s " in made
        assert made.endswith("--directory 'my brain' --cores 2 results/runs/x/fit.zarr")

    def test_outside_of_any_study(self, tmp_path):
        assert ownership.how_to_make(tmp_path / "fit.zarr") == "correct the path"
        assert ownership.how_to_make(tmp_path / "results" / "fit.zarr") == "correct the path"

    def test_from_a_recording_of_ones_own(self, dataset, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        Path("config").mkdir()
        run = Path("results/runs/mine")
        dataset.to_zarr(run / "simulation.zarr", zarr_format=2)
        by_hand = "ngpipe train config/experiments/mine.yaml; then recover, rollout and score"
        assert by_hand in ownership.how_to_make(run / "recovery.zarr")
        assert "snakemake" in ownership.how_to_make(run / "simulation.zarr")
        shutil.rmtree(run)
        store.write(dataset, run / "simulation.zarr", schemas.SIMULATION, MADE)
        assert "snakemake" in ownership.how_to_make(run / "recovery.zarr")
