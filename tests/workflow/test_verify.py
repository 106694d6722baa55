"""`ngpipe verify` passes on a figure that is what it should be, and names what is not."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from studies import Study

from ngpipe.errors import NgpipeError
from ngpipe.study import stages, verify

RUN = "results/runs/small"


def append(name: str) -> Callable[[Study], None]:
    """Tamper with a file by adding to it."""

    def change(study: Study) -> None:
        with study.path(name).open("ab") as file:
            file.write(b" ")

    return change


def flip(name: str) -> Callable[[Study], None]:
    """Tamper with one byte of a file; its size stays."""

    def change(study: Study) -> None:
        content = bytearray(study.path(name).read_bytes())
        content[len(content) // 2] ^= 1
        study.path(name).write_bytes(content)

    return change


def remove(name: str) -> Callable[[Study], None]:
    """Delete a file or directory."""

    def change(study: Study) -> None:
        path = study.path(name)
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return change


def add(name: str) -> Callable[[Study], None]:
    """Put a file where none belongs."""
    return lambda study: study.path(name).write_text("mine\n")


def config(name: str, old: str, new: str) -> Callable[[Study], None]:
    """Change one value of a config."""
    return lambda study: study.edit(name, old, new)


def run_of_others(study: Study) -> None:
    """The same stage, made under another key."""
    source, target = study.path("results/runs/wired"), study.path(RUN)
    for name in ("rollout.zarr", "rollout.json"):
        remove(f"{RUN}/{name}")(study)
        copy = shutil.copytree if (source / name).is_dir() else shutil.copy2
        copy(source / name, target / name)


FAULTS: dict[str, tuple[Callable[[Study], None], list[str]]] = {
    "tampered panel": (append("results/Main/scatter.svg"), ["Main/scatter.svg was changed"]),
    "tampered metrics": (append("results/Main/metrics.csv"), ["Main/metrics.csv was changed"]),
    "missing panel": (remove("results/Main/scatter.png"), ["Main/scatter.png is missing"]),
    "foreign file": (add("results/Main/notes.txt"), ["Main/notes.txt is foreign"]),
    "no manifest": (remove("results/Main/manifest.json"), ["Main/manifest.json"]),
    "empty manifest": (
        lambda study: study.path("results/Main/manifest.json").write_text("{}"),
        ["Main/manifest.json is not the manifest"],
    ),
    "manifest that is no text": (
        lambda study: study.path(f"{RUN}/rollout.json").write_bytes(b"\xff"),
        [f"{RUN}/rollout.json is not a readable manifest"],
    ),
    "no figure": (remove("results/Main"), ["results/Main"]),
    "tampered chunk": (
        flip(f"{RUN}/simulation.zarr/activity/0.0"),
        [f"{RUN}/simulation.zarr was changed"],
    ),
    "missing chunk": (
        remove(f"{RUN}/recovery.zarr/connectivity/0.0"),
        [f"{RUN}/recovery.zarr was changed"],
    ),
    "deleted store": (remove(f"{RUN}/recovery.zarr"), [f"{RUN}/recovery.zarr is missing"]),
    "deleted manifest": (remove(f"{RUN}/rollout.json"), [f"{RUN}/rollout.json is missing"]),
    "deleted run": (remove(RUN), [f"{RUN}/", "is missing"]),
    "tampered model": (flip(f"{RUN}/model.safetensors"), [f"{RUN}/model.safetensors was changed"]),
    "tampered training table": (
        append(f"{RUN}/training.csv"),
        [f"{RUN}/training.csv was changed"],
    ),
    "tampered learning curve": (
        append(f"{RUN}/learning_curve.csv"),
        [f"{RUN}/learning_curve.csv was changed"],
    ),
    "store of another run": (run_of_others, [f"{RUN}/rollout.zarr is stale"]),
    "changed experiment": (
        config("experiments/small.yaml", "functions: 0.004", "functions: 0.005"),
        [f"{RUN}/", "is stale", "config and source now give"],
    ),
    "changed style": (
        config("config.yaml", "dpi: 50", "dpi: 60"),
        ["results/Main is stale", "run: snakemake -s ", "/Snakefile --cores 2 results/Main"],
    ),
    "unknown figure": (
        lambda study: study.path("results/Main").rename(study.path("results/Old")),
        ["results/Main"],
    ),
}


@pytest.mark.parametrize("name", ["results/Main/", "results/Main", "results/Other/"])
def test_passes_on_a_finished_figure(finished_once: Study, name: str) -> None:
    assert "every file is there, unchanged" in finished_once.ngpipe("verify", name)


@pytest.mark.parametrize("fault", FAULTS)
def test_names_what_is_wrong(finished: Study, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked in this process, to spare the start of a new one for every fault."""
    make, words = FAULTS[fault]
    make(finished)
    monkeypatch.chdir(finished.directory)
    study = stages.open_study(Path("config"))
    figure, runs = Path("results/Main"), Path("results/runs")
    with pytest.raises(NgpipeError) as caught:
        known = {"small": study.keys("small")}
        verify.run(figure, runs, known, key=study.figure_key("Main"), by_hand=["ngpipe ..."])
    for word in words:
        assert word in str(caught.value)


def test_command_line_says_it_in_one_line_and_fails(finished: Study) -> None:
    append("results/Main/scatter.svg")(finished)
    text = finished.ngpipe("verify", "results/Main/", rc=1)
    assert text.startswith("ngpipe verify: results/Main/scatter.svg was changed")
    assert text.count("\n") == 1


def test_changed_source_makes_a_figure_stale(editable: Study) -> None:
    path = editable.project / "src" / "ngpipe" / "metrics" / "connectivity.py"
    path.write_text(path.read_text() + "len(__name__)\n")
    text = editable.ngpipe("verify", "results/Main/", rc=1)
    assert f"{RUN}/metrics.csv is stale" in text


def test_changed_user_file_makes_its_figure_stale_and_no_other(finished: Study) -> None:
    append("config/wiring.csv")(finished)
    assert "is stale" in finished.ngpipe("verify", "results/Other/", rc=1)
    finished.ngpipe("verify", "results/Main/")


def test_a_name_that_is_no_figure(finished_once: Study) -> None:
    text = finished_once.ngpipe("verify", "results/Nope/", rc=1)
    assert "no figure 'Nope'" in text
    assert "Main, Other" in text


def test_a_panel_edited_by_hand_never_enters_a_figure(finished: Study) -> None:
    append("results/panels/Main/scatter.svg")(finished)
    text = finished.ngpipe("figure", "Main", rc=1)
    assert "results/panels/Main/scatter.svg is not as it was drawn" in text
    finished.ngpipe("verify", "results/Main/")


def test_files_of_the_user_among_the_results_of_a_run_are_left_in_peace(finished: Study) -> None:
    """Notes beside the stores are not part of the figure; they must not break anything."""
    finished.path(RUN, "notes.json").write_text('{"mine": true}\n')
    finished.path(RUN, "simulation.look.png").write_bytes(b"")
    finished.ngpipe("verify", "results/Main/")
    finished.ngpipe("figure", "Main")
    finished.ngpipe("verify", "results/Main/")


def test_a_figure_is_verified_from_another_directory(finished_once: Study, tmp_path: Path) -> None:
    """Files that a config names, as wiring.csv, are looked for beside it."""
    figure = str(finished_once.path("results", "Other"))
    other = Study(tmp_path, finished_once.project)
    assert "every file is there" in other.ngpipe("verify", figure)
    config = str(finished_once.path("config"))
    assert "every file is there" in other.ngpipe("verify", figure, "--config", config)


def test_the_first_page_opens_the_stores(
    finished_once: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    """The quick start of the README, run as it stands on another run."""
    text = (Path(__file__).parents[2] / "README.md").read_text()
    code = re.findall(r"```python\n(.*?)```", text, re.S)[0]
    assert "results/runs/tiny" in code
    exec(code.replace("results/runs/tiny", str(finished_once.path(RUN))), {})
    types, r2 = capsys.readouterr().out.splitlines()
    assert types.endswith(" types")
    metrics = pd.read_csv(finished_once.path(RUN, "metrics.csv"), index_col=[0, 1])["value"]
    assert types == f"{int(metrics['types', 'found'])} types"
    assert 0 <= float(r2) <= 1
