"""The command line: what it loads, what it says, and that a stage gets what its key covers."""

import inspect
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from ngpipe import cli
from ngpipe.config.base import fields_of
from ngpipe.config.systems import EXPERIMENTS, load_experiment
from ngpipe.keys import step_module
from ngpipe.study import sections
from ngpipe.study.records import SYSTEMS, WHOLE

ROOT = Path(__file__).parents[1]
STAGES = [(system, name) for system, stages in SYSTEMS.items() for name in stages]
OTHERS = ["panel", "movie", "figure", "figures", "sweep", "verify", "inspect", "new"]
EXAMPLES = {"assembly": "tiny", "connectome": "tiny_connectome", "circuit": "tiny_circuit"}
EXAMPLES["atlas"] = "worm_activity"


def told(capsys: pytest.CaptureFixture, *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        cli.main(list(arguments))
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_the_help_is_quick(tmp_path):
    """It names every subcommand, and loads no model of a config, no torch and no package index."""
    heavy = ["pydantic", "yaml", "tqdm", "torch", "xarray", "numpy", "importlib.metadata"]
    script = (
        "import json, sys, ngpipe.cli\n"
        "try: ngpipe.cli.main(['--help'])\n"
        f"finally: print(json.dumps([m for m in {heavy} if m in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT / "src"
    )
    *said, loaded = done.stdout.strip().splitlines()
    assert json.loads(loaded) == []
    listed = {line.split()[0] for line in said if line.startswith("    ") and line.split()}
    assert {name for _, name in STAGES} | {*OTHERS} <= listed


@pytest.mark.parametrize(("system", "name"), STAGES)
def test_the_help_of_a_stage_lists_the_keys_it_reads(capsys, system, name):
    text = told(capsys, name, "--help")
    assert SYSTEMS[system][name].does in " ".join(text.split())
    for model in sections.sections(name):
        assert f"config section {model.__name__.lower()}:" in text
        for key in fields_of(model):
            assert f"\n  {key}" in text


@pytest.mark.parametrize("name", OTHERS)
def test_every_other_command_has_help_and_something_to_run(capsys, name):
    assert f"usage: ngpipe {name}" in told(capsys, name, "--help")
    given = {
        "sweep": ["c"],
        "verify": ["f"],
        "inspect": ["p"],
        "figures": [],
        "figure": ["f"],
        "new": ["d"],
    }
    room, _, function = cli.parsed([name, *given.get(name, ["f", "p"])]).runs.partition(".")
    assert callable(getattr(import_module(f"ngpipe.commands.{room}"), function))


def test_the_version(capsys):
    assert told(capsys, "--version").startswith("ngpipe ")


@pytest.mark.parametrize(("system", "name"), STAGES)
def test_a_stage_is_called_with_the_parts_its_record_names(system, name):
    """As many as its ``run`` takes, before the directory; and a device if it computes."""
    stage = SYSTEMS[system][name]
    signature = inspect.signature(import_module(step_module(name)).run)
    positional = [p for p in signature.parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert len(positional) == len(stage.parts) + 1
    assert positional[-1].name == "directory"
    named = {p for p, one in signature.parameters.items() if one.kind is one.KEYWORD_ONLY}
    assert named - {"checkpoints"} == {"key", *stage.options, *stage.counts} | (
        {"device"} if stage.computes else set()
    )


@pytest.mark.parametrize(("system", "name"), STAGES)
def test_parts_are_keys_of_the_experiment(system, name):
    """A name that is misspelled would be taken for a key that this kind of section lacks."""
    stage = SYSTEMS[system][name]
    model = EXPERIMENTS[system]
    known = {*model.model_fields, *(n for n in vars(model) if not n.startswith("_")), WHOLE}
    for path in (*stage.reads, *stage.parts, *stage.files):
        assert path.partition(".")[0] in known
    experiment = load_experiment(ROOT / "config" / "experiments" / f"{EXAMPLES[system]}.yaml")
    found = sections.taken(stage, experiment)
    assert len(found) == len(stage.parts)
    for path, part in zip(stage.parts, found, strict=True):
        assert part is not None or path.split(".")[0] in ("fit", "compare_with", "source")


def test_what_is_wrong_is_one_message(capsys, tmp_path):
    assert cli.main(["train", str(tmp_path / "absent.yaml")]) == 1
    assert capsys.readouterr().err.startswith("ngpipe train: ")


def test_a_device_that_is_absent_is_refused_by_all(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = str(ROOT / "config" / "experiments" / "tiny.yaml")
    for stage in ("simulate", "score"):
        assert cli.main([stage, config, "--device", "abacus"]) == 1
        assert "--device abacus: expected auto, cpu" in capsys.readouterr().err
