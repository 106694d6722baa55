"""Fixtures of the workflow tests; what a study is stands in studies.py."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from studies import ROOT, SHARED, Study, copy_project, kill_group, make_study


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as slow whatever runs the project: every process of it takes seconds to start."""
    for item in items:
        if "project" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as it was when the tests began; shared, so not to be edited."""
    copy = copy_project(ROOT, tmp_path_factory.mktemp("project") / "ngpipe")
    (copy / SHARED).touch()
    return copy


@pytest.fixture
def study(tmp_path: Path, project: Path) -> Study:
    """A study of which nothing has been run."""
    return make_study(tmp_path / "study", project)


@pytest.fixture(scope="session")
def finished_once(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Study:
    """A study with both figures made; shared, so only to be read and copied.

    It is made once for all processes of pytest-xdist: the first that asks makes it, and the others
    wait. They find their temporary directories in the same one.
    """
    parent = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        parent = parent.parent
    directory, begun = parent / "finished", parent / "unfinished"
    with (parent / "finished.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not directory.exists():
            shutil.rmtree(begun, ignore_errors=True)  # of one that failed
            make_study(begun, project).snakemake()
            begun.rename(directory)
    return Study(directory, project)


@pytest.fixture
def finished(finished_once: Study, tmp_path: Path) -> Study:
    """A study of one's own with both figures made."""
    copy = shutil.copytree(finished_once.directory, tmp_path / "finished")
    return Study(Path(copy), finished_once.project)


@pytest.fixture
def editable(finished: Study, tmp_path: Path) -> Study:
    """A finished study worked on by a copy of the project whose source may be edited."""
    return Study(finished.directory, copy_project(finished.project, tmp_path / "project"))


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen]]:
    """Start a command of a study; whatever of it is left when the test ends is killed."""
    started: list[subprocess.Popen] = []

    def begin(study: Study, command: list[str]) -> subprocess.Popen:
        started.append(study.start(command))
        return started[-1]

    yield begin
    for process in started:
        kill_group(process)
