"""What is added in a few files: a toy null, term of the dynamics, stage and system."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from studies import Study, replace_text

NULL = '''

def reversed_edges(connectome, rng):
    """Every connection turned round. Keeps: the number of connections. Not: directions."""
    return replace(connectome, weights=connectome.weights.T.tocsr())
'''
NULL_RECORD = """    NullKind(
        "reversed",
        keeps="number of connections",
        renews="directions",
        draws="reversed_edges",
    ),
"""
STEP = '''"""Range of activity of a simulation, as a table."""

from pathlib import Path

import pandas as pd

from ngpipe import store
from ngpipe.schemas import assembly as schemas


def run(n_frames: int, directory: Path, *, key: str) -> None:
    """Write ``spread.csv``."""
    activity = store.read(directory / "simulation.zarr", schemas.SIMULATION)["activity"]
    table = pd.DataFrame({"neuron": range(activity.shape[1]), "spread": activity.values.std(0)})
    store.write_table(table, directory / "spread.csv", store.Provenance("spread", key, n_frames))
'''
RULE = """rule {name}:
    input:
        {inputs}
    output:
        table="results/runs/{{experiment}}/{name}.csv",
        manifest="results/runs/{{experiment}}/{name}.json",
    log:
        "logs/{{experiment}}/{name}.log",
    wildcard_constraints:
        experiment=one_of(makers("{name}")),
    threads: threads_of("{name}")
    resources:
        mem_mb=memory_of("{name}"),
        runtime=minutes_of("{name}"),
    params:
        key=stage_key("{name}"),
    shell:
        "python -m ngpipe {name} config/experiments/{{wildcards.experiment}}.yaml"
        " --key {{params.key}} --threads {{threads}} 2>&1 | tee {{log}} >&2"
"""
SIMULATED = 'manifest="results/runs/{experiment}/simulation.json",'
CLOCK = '''"""One experiment of the toy system: config/experiments/<name>.yaml."""

from typing import Literal

from pydantic import Field

from ngpipe.config.base import Count, Section


class ClockExperiment(Section):
    """A clock."""

    system: Literal["clock"] = Field("clock", description="System of the experiment.")
    ticks: Count = Field(3, description="Number of ticks.")
    sweep: dict[str, tuple[int, ...]] = Field({}, description="No sweeps.")
'''
TICK = '''"""Ticks of a clock, as a table."""

from pathlib import Path

import pandas as pd

from ngpipe import store


def run(ticks: int, directory: Path, *, key: str) -> None:
    """Write ``tick.csv``."""
    table = pd.DataFrame({"tick": range(ticks)})
    store.write_table(table, directory / "tick.csv", store.Provenance("tick", key, ticks))
'''


def record(name: str, above: str, reads: str) -> str:
    """A stage that writes one table."""
    return f'''        "{name}": Stage(
            "write a toy table",
            outputs=("{name}.csv", "{name}.json"),
            above=({above}),
            reads=("{reads}",),
        ),
'''


def python(study: Study, script: str) -> str:
    """Output of a script that runs the edited source."""
    environment = {**study.environment, "PYTHONPATH": str(study.project / "src")}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def source(study: Study, *parts: str) -> Path:
    return study.project.joinpath("src", "ngpipe", *parts)


@pytest.mark.slow
def test_a_null_takes_one_file(editable: Study) -> None:
    path = source(editable, "wiring", "nulls", "permuting.py")
    replace_text(path, "KINDS = (\n", f"KINDS = (\n{NULL_RECORD}")
    path.write_text(path.read_text() + NULL)
    script = """if True:
        import numpy as np
        from ngpipe.config.circuit.experiment import CircuitExperiment
        from ngpipe.config.connectome.readouts import Control
        from ngpipe.config.load import validate
        from ngpipe.wiring.container import Connectome
        from ngpipe.wiring.nulls import NULLS
        import pandas as pd
        one = Connectome(np.array([[0, 2.0], [0, 0]]), pd.DataFrame({"id": [1, 2]}))
        print(NULLS["reversed"].sample(one, np.random.default_rng(0)).weights.toarray().tolist())
        validate({"model": "reversed"}, Control, where="here")
        conditions = {"one": {"shuffle": "reversed"}}
        validate({"system": "circuit", "conditions": conditions}, CircuitExperiment, where="here")
    """
    assert python(editable, script).strip() == "[[0.0, 0.0], [2.0, 0.0]]"


@pytest.mark.slow
def test_a_constant_of_neuron_types_takes_two_files(editable: Study) -> None:
    config = source(editable, "config", "assembly", "simulation.py")
    replace_text(
        config,
        "    share: Positive = Field(\n",
        '    cubic: Frequency = Field(0.0, description="Cubic decay.")\n'
        "    share: Positive = Field(\n",
    )
    physics = source(editable, "dynamics", "assembly.py")
    replace_text(
        physics,
        "    linear: PerNeuron\n",
        '    cubic: PerNeuron\n    """k_i [1/tau]"""\n    linear: PerNeuron\n',
    )
    replace_text(
        physics, "- constants.leak * x\n", "- constants.leak * x - constants.cubic * x**3\n"
    )
    script = """if True:
        import numpy as np, torch
        from ngpipe.config.assembly.simulation import NeuronType
        from ngpipe.dynamics.assembly import assembly_drift, constants_of
        for cubic in (0.0, 0.5):
            constants = constants_of([NeuronType(cubic=cubic)], np.zeros(1, int))
            drift = assembly_drift(torch.zeros(1, 1), constants)
            print(round(float(drift(0.0, torch.tensor([2.0]))[0]), 4))
    """
    without, with_it = map(float, python(editable, script).split())
    assert with_it == pytest.approx(without - 0.5 * 2**3)


def test_a_stage_takes_three_files(editable: Study) -> None:
    source(editable, "steps", "spread.py").write_text(STEP)
    replace_text(
        source(editable, "study", "records.py"),
        '        "train": Stage(\n',
        record("spread", '"simulate",', "simulation.n_frames") + '        "train": Stage(\n',
    )
    rule = RULE.format(name="spread", inputs=SIMULATED)
    (editable.project / "rules" / "spread.smk").write_text(rule)
    target = "results/runs/small/spread.csv"
    assert "spread" in editable.planned(target)
    editable.snakemake(target)
    manifest = json.loads(editable.path("results", "runs", "small", "spread.json").read_text())
    assert manifest["stage"] == "spread"
    assert editable.planned(target) == {}
    assert "write a toy table" in editable.ngpipe("--help")


def test_a_system_takes_five_files(editable: Study) -> None:
    room = source(editable, "config", "clock")
    room.mkdir()
    (room / "__init__.py").touch()
    (room / "experiment.py").write_text(CLOCK)
    systems = source(editable, "config", "systems.py")
    start = 'EXPERIMENTS: dict[str, "type[AnyExperiment]"] = {\n'
    replace_text(systems, start, f'{start}    "clock": ClockExperiment,\n')
    replace_text(
        systems,
        "from ngpipe.config.connectome.experiment",
        "from ngpipe.config.clock.experiment import ClockExperiment\n"
        "from ngpipe.config.connectome.experiment",
    )
    source(editable, "steps", "tick.py").write_text(TICK)
    replace_text(
        source(editable, "study", "records.py"),
        '    "assembly": {\n',
        '    "clock": {\n' + record("tick", "", "ticks") + '    },\n    "assembly": {\n',
    )
    (editable.project / "rules" / "tick.smk").write_text(RULE.format(name="tick", inputs=""))
    experiments = editable.path("config", "experiments")
    (experiments / "mine.yaml").write_text("system: clock\nticks: 5\n")
    editable.ngpipe("tick", "config/experiments/mine.yaml")
    assert editable.path("results", "runs", "mine", "tick.csv").read_text().count("\n") == 6
    assert editable.planned("results/Other/") == {}  # with its rule, and nothing else is stale


def test_a_system_that_no_one_registered_is_an_error(study: Study) -> None:
    path = study.path("config", "experiments", "small.yaml")
    path.write_text(f"system: clock\n{path.read_text()}")
    told = study.snakemake("-n", rc=1)
    assert "system is 'clock', expected one of ['assembly', 'connectome', 'circuit', " in told
