"""A starting study is a whole one, wherever ngpipe is installed."""

import subprocess
import tomllib
from pathlib import Path

import pytest

from ngpipe.cli import main
from ngpipe.study import stages
from ngpipe.study.new import FIGURES
from ngpipe.study.records import SYSTEMS

ROOT = Path(__file__).parents[2]


@pytest.mark.quick(1)
@pytest.mark.parametrize("system", SYSTEMS)
def test_a_starting_study_opens(system, tmp_path, monkeypatch, capsys):
    """Its one figure is of its system, and every file that it names is there."""
    study = tmp_path / "my study"
    assert main(["new", str(study), "--system", system]) == 0
    said = capsys.readouterr().out
    assert f"cd '{study}'" in said
    assert f"results/{FIGURES[system]}/" in said
    assert f"ngpipe {next(iter(SYSTEMS[system]))} --help" in said
    monkeypatch.chdir(study)
    opened = stages.open_study(Path("config"))
    assert list(opened.figures.figures) == [FIGURES[system]]
    assert {e.system for e in opened.experiments.values()} == {system}
    assert all(f.exists() for e in opened.experiments.values() for _, f in stages.named_files(e))
    assert opened.figure_key(FIGURES[system])


def test_a_config_that_is_there_stays(tmp_path, capsys):
    kept = tmp_path / "config" / "mine.txt"
    kept.parent.mkdir()
    kept.write_text("mine")
    assert main(["new", str(tmp_path)]) == 1
    assert "nothing in it is overwritten; name another directory" in capsys.readouterr().err
    assert [p.name for p in kept.parent.iterdir()] == ["mine.txt"]


def test_a_wheel_holds_the_whole_workflow():
    """Every file that the Snakefile needs or `ngpipe new` copies, at the place it has here."""
    parts = ["Snakefile", "rules", "envs", "profiles", "config", "workflow/report"]
    tracked = subprocess.run(
        ["git", "ls-files", *parts], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    shipped = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    found = {}
    for target, patterns in shipped["data-files"].items():
        for pattern in patterns:
            for path in ROOT.glob(pattern):
                found[path.relative_to(ROOT).as_posix()] = f"{target}/{path.name}"
    assert set(tracked) - set(found) == {"profiles/README.md"}
    assert all(target == f"share/ngpipe/{path}" for path, target in found.items())
