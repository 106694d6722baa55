"""The movie shows what the stores hold, frame by frame; the same input gives the same bytes."""

import json

import numpy as np
import pytest
from PIL import Image
from synthetic import SAMPLES, material

from ngpipe import cli, hashing, keys
from ngpipe.artifacts import materials
from ngpipe.config.figures import Style
from ngpipe.figures import movie
from ngpipe.steps import movie as step
from ngpipe.study import stages

FIGURES = {
    "F": {
        "panels": {
            "still": {"kind": "input_movie", "of": "one"},
            "phi": {"kind": "phi", "of": "one"},
        }
    }
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The movie of the synthetic experiment, by its step; shared, so only to be read."""
    path = tmp_path_factory.mktemp("movie")
    parts = material("input_movie")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(materials, "load", lambda *_: parts)
        step.run(parts.spec, parts.style, path, path / "still", key="k" * 64)
    return path / "still.gif"


def frames_of(path) -> list[np.ndarray]:
    with Image.open(path) as gif:
        found = []
        for k in range(gif.n_frames):
            gif.seek(k)
            found.append(np.asarray(gif.convert("L"), dtype=float))
    return found


def panes(frame: np.ndarray, columns: tuple[slice, slice]) -> list[np.ndarray]:
    rows = slice(len(frame) // 3, 2 * len(frame) // 3)
    return [frame[rows, c] for c in columns]


def test_one_frame_a_sample_of_the_size_promised(written):
    found = frames_of(written)
    assert len(found) == len(SAMPLES)
    assert found[0].shape == (260, 480)
    assert written.stat().st_size < 6e6


@pytest.mark.slow
def test_same_input_same_bytes(tmp_path, written):
    again = tmp_path / "again.gif"
    movie.save(material("input_movie", style=Style(dpi=300)), again)
    assert again.read_bytes() == written.read_bytes()


def test_many_samples_are_thinned_evenly(tmp_path, monkeypatch):
    monkeypatch.setattr(movie, "MOST_FRAMES", 3)
    movie.save(material("input_movie"), tmp_path / "m.gif")
    assert len(frames_of(tmp_path / "m.gif")) == 3


def test_brightness_follows_the_truth_on_the_left_and_the_estimate_on_the_right(tmp_path):
    """The truth brightens with time, the estimate darkens, far beyond the range of the truth."""
    parts, some, learned = material("input_movie"), [0, 3, 4, 8], np.array([30, 8, 4, -20])
    simulation, recovery = parts.simulation.copy(deep=True), parts.recovery.isel(sample=some)
    simulation["external_input"][:] = np.arange(1, 11)[:, None]
    recovery["external_input"][:] = learned[:, None]
    movie.save(
        material("input_movie", simulation=simulation, recovery=recovery), tmp_path / "m.gif"
    )
    found = frames_of(tmp_path / "m.gif")
    left, right = slice(40, 160), slice(240, 360)
    grey = np.array([[pane.mean() for pane in panes(f, (left, right))] for f in found])
    assert (np.diff(grey[:, 0]) > 0).all()
    shown = simulation["input_frame"].values[SAMPLES[some]]
    np.testing.assert_allclose(grey[:, 0], 255 * shown / 9, atol=4)
    np.testing.assert_allclose(grey[:, 1], 255 * (learned.clip(1, 10) - 1) / 9, atol=4)


def test_the_step_writes_the_movie_and_its_manifest(written):
    manifest = json.loads(written.with_name("still.movie.json").read_text())
    assert manifest["files"] == {"still.gif": hashing.file_digest(written)}
    assert (manifest["stage"], manifest["key"]) == ("movie", "k" * 64)
    assert {p.name for p in written.parent.iterdir()} == {"still.gif", "still.movie.json"}


def test_a_movie_has_a_key_of_its_own_that_reaches_the_figure(study, monkeypatch):
    opened = stages.open_study(study(FIGURES, one={}))
    assert opened.movie_key("F", "still") != opened.panel_key("F", "still")
    before = opened.figure_key("F"), opened.panel_key("F", "still"), opened.movie_key("F", "still")
    digest = keys.source_digest
    edited = ("ngpipe.steps.movie",)
    monkeypatch.setattr(
        keys, "source_digest", lambda *m: "other" if m[:1] == edited else digest(*m)
    )
    after = opened.figure_key("F"), opened.panel_key("F", "still"), opened.movie_key("F", "still")
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, True, False]


def test_only_a_panel_of_its_kind_has_a_movie(study, capsys):
    study(FIGURES, one={})
    assert cli.main(["movie", "F", "phi"]) == 1
    assert "'phi' is of kind phi, which has no movie; the movies of F are ['still']" in (
        capsys.readouterr().err
    )
