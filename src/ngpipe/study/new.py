"""A starting study: a directory with a config that runs, to be changed."""

import re
import shlex
from pathlib import Path
from typing import Any, Literal, get_args

from ngpipe.errors import ConfigError
from ngpipe.installed import workflow_root

System = Literal["assembly", "connectome", "circuit"]
SYSTEMS: tuple[System, ...] = get_args(System)
FIGURES = {"assembly": "Tiny", "connectome": "TinyConnectome", "circuit": "TinyCircuit"}
"""The figure of each system that takes a minute."""


def run(directory: Path, system: System) -> str:
    """Write ``config/`` of a study with one figure of a small experiment; says how to make it.

    Args:
        directory: the study, new or without a ``config/``.
        system: what it is about.

    Raises:
        ConfigError: the directory has a ``config/``, or the workflow is not installed.
    """
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
    figure = FIGURES[system]
    text = _block(root / "config" / "config.yaml", figure)
    names = sorted(set(re.findall(r"\bof: (\w+)", text)))
    config.mkdir(parents=True)
    (config / "config.yaml").write_text(
        f"# Which figure is made of which panels of which experiments.\n\nfigures:\n{text}"
    )
    for name in names:
        _copied(root, f"config/experiments/{name}.yaml", directory)
    snakefile = shlex.quote(str(root / "Snakefile"))
    return (
        f"{config} holds one figure, {figure}, of the experiment "
        f"{', '.join(f'experiments/{name}.yaml' for name in names)}. Make it:\n\n"
        f"    cd {shlex.quote(str(directory))}\n"
        f"    snakemake -s {snakefile} --cores 2 results/{figure}/\n\n"
        "Then change the experiment, and run the same command again. Every key with unit and "
        "default:\n\n    ngpipe simulate --help    # likewise of each other step\n"
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
