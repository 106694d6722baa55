"""A starting study: a directory with a config that runs, to be changed."""

import re
import shlex
from pathlib import Path
from typing import Any

from ngpipe.errors import ConfigError
from ngpipe.installed import workflow_root
from ngpipe.study import new_from
from ngpipe.study.records import SYSTEMS

FIGURES = {
    "assembly": "Tiny",
    "connectome": "TinyConnectome",
    "circuit": "TinyCircuit",
    "atlas": "WormActivity",
}
"""The quickest figure of each system."""


def run(
    directory: Path, system: str, recording: Path | None = None, series: str | None = None
) -> str:
    """Write ``config/`` of a study with one figure of a small experiment; says how to make it.

    Args:
        directory: the study, new or without a ``config/``.
        system: what it is about, one of ``SYSTEMS`` of `study.records`.
        recording: a file or directory with activity, for a study of it.
        series: its series, where it holds several.

    Raises:
        ConfigError: the directory has a ``config/``, or the workflow is not installed.
        RecordingError: the recording cannot be read, or it is not said which series is meant.
    """
    root, config = _places(directory)
    if recording is not None:
        if system != "assembly":
            raise ConfigError(
                f"a recording is for system assembly, not {system}; leave out --system, or --from"
            )
        figure, told = new_from.written(directory, recording, series)
        return f"{told}\n{_how(root, directory, figure, 'import')}"
    figure = FIGURES[system]
    text = _block(root / "config" / "config.yaml", figure)
    names = sorted(set(re.findall(r"\bof: (\w+)", text)))
    config.mkdir(parents=True)
    (config / "config.yaml").write_text(
        f"# Which figure is made of which panels of which experiments.\n\nfigures:\n{text}"
    )
    for name in names:
        _copied(root, f"config/experiments/{name}.yaml", directory)
    listed = ", ".join(f"experiments/{name}.yaml" for name in names)
    told = f"{config} holds one figure, {figure}, of the experiment {listed}."
    return f"{told} {_how(root, directory, figure, next(iter(SYSTEMS[system])))}"


def _places(directory: Path) -> tuple[Path, Path]:
    """The workflow, and the directory of configs to be written."""
    root = workflow_root()
    if root is None:
        raise ConfigError(
            "the workflow is not installed, only the library; install ngpipe with pip, from a "
            "clone or a wheel"
        )
    config = directory / "config"
    if config.exists():
        raise ConfigError(
            f"{config} is there already, and nothing in it is overwritten; name another directory"
        )
    return root, config


def _how(root: Path, directory: Path, figure: str, first: str) -> str:
    """The command that makes the figure, and what to do then."""
    snakefile = shlex.quote(str(root / "Snakefile"))
    return (
        "Make it:\n\n"
        f"    cd {shlex.quote(str(directory))}\n"
        f"    snakemake -s {snakefile} --cores 2 results/{figure}/\n\n"
        "Then change the experiment, and run the same command again. Every key with unit and "
        f"default:\n\n    ngpipe {first} --help    # likewise of each other step\n"
    )


def _copied(root: Path, name: str, directory: Path) -> None:
    """Copy a file of the project to the same place in the study, and the files that it names."""
    text = (root / name).read_text()
    (directory / name).parent.mkdir(parents=True, exist_ok=True)
    (directory / name).write_text(text)
    for other in re.findall(r"\bconfig/[\w./-]+\.csv", text):
        _copied(root, other, directory)


def _block(config: Path, figure: str) -> str:
    """The lines of one figure, as they stand."""
    found: Any = re.search(rf"^  {figure}:\n(?:(?:    .*)?\n)*", config.read_text(), re.MULTILINE)
    return found[0].rstrip("\n") + "\n"
