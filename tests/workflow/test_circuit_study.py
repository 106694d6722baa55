"""The circuit system through Snakemake: from nothing to the tables, and what a change reruns."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from studies import NOTHING, Study, copy_project, kill_group

from ngpipe.hashing import tree_digest
from ngpipe.wiring.sources.synthetic_synapses import synthetic_tables

NONE: dict[str, int] = {}
ALL = {"wire": 1, "respond": 1, "motifs": 1, "compare": 1}
RUN = {"respond": 1, "compare": 1}
MADE, NAMED = "experiments/made.yaml", "experiments/named.yaml"
FIGURES = """\
figures:
  Made:
    panels:
      times: {kind: response_times, of: made}
  Named:
    panels:
      times: {kind: response_times, of: named}
"""
SMALL = """\
system: circuit
connectome:
  source:
    kind: synthetic
    n_neurons: 40
    n_others: 10
    receivers: 8
    filters: {min_synapses: 5}
network: {gain: 0.02}
impulse: {end: 3, duration: 10}
runs: {seeds: 2}
conditions:
  permuted: {shuffle: permuted_connections}
  ablated: {remove: random}
sweep:
  network.probability: [0.2, 0.4]
motifs: {samples: 3}
"""
TABLES = """\
    kind: synapses
    synapses: config/synapses.csv
    cells: config/cells.csv
    columns: {pre: sender, post: receiver}
    filters:"""


def tables_of(name: str) -> list[str]:
    return [f"results/runs/{name}/{table}.csv" for table in ("metrics", "motifs")]


BOTH = [*tables_of("made"), *tables_of("named")]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Study:
    """Two experiments made to their tables: of made-up synapses, and of tables in config/."""
    study = Study(tmp_path_factory.mktemp("circuit") / "study", project)
    study.path("config", "experiments").mkdir(parents=True)
    study.path("config", "config.yaml").write_text(FIGURES)
    study.path("config", MADE).write_text(SMALL)
    head, tail = SMALL.split("    kind: synthetic\n")
    named = head + TABLES + tail.split("    filters:")[1]
    study.path("config", NAMED).write_text(named)
    synapses, cells = synthetic_tables(
        np.random.default_rng(0), n_neurons=40, n_others=10, receivers=8.0
    )
    renamed = {"pre_pt_root_id": "sender", "post_pt_root_id": "receiver"}
    synapses.rename(columns=renamed).to_csv(study.path("config", "synapses.csv"), index=False)
    cells.to_csv(study.path("config", "cells.csv"), index=False)
    assert study.planned(*BOTH) == {rule: 2 for rule in ALL}
    study.snakemake(*BOTH)
    return study


@pytest.fixture
def circuit(made: Study, tmp_path: Path) -> Study:
    return Study(Path(shutil.copytree(made.directory, tmp_path / "circuit")), made.project)


def results(study: Study, experiment: str = "made") -> Path:
    return study.path("results", "runs", experiment)


def test_every_stage_leaves_its_results_and_its_key(made: Study) -> None:
    for experiment in ("made", "named"):
        found = {}
        for path in results(made, experiment).glob("*.json"):
            manifest = json.loads(path.read_text())
            found[manifest["stage"]] = manifest["key"]
        assert set(found) == set(ALL)
        assert len(set(found.values())) == len(ALL)
        names = {path.name for path in results(made, experiment).glob("*.csv")}
        tables = ("metrics", "measures", "comparison", "motifs", "mixing")
        assert names == {f"{name}.csv" for name in tables}
    assert not list(made.path("results").rglob("*tmp*"))
    assert NOTHING in made.snakemake(*BOTH)


def test_tables_of_ones_own_give_what_the_same_made_up_ones_give(made: Study) -> None:
    """Up to the 419 cells that are made up: same seed, same synapses, same runs."""
    for name in ("metrics", "measures", "comparison", "motifs", "mixing"):
        one, other = (results(made, e) / f"{name}.csv" for e in ("made", "named"))
        assert one.read_bytes() == other.read_bytes()


def test_measures_have_a_row_for_every_run(made: Study) -> None:
    found = pd.read_csv(results(made) / "measures.csv")
    assert len(found) == 3 * 2 * 3
    assert found["condition"].unique().tolist() == ["observed", "permuted", "ablated"]


def test_a_part_can_be_asked_for(made: Study, tmp_path: Path) -> None:
    shutil.copytree(made.path("config"), tmp_path / "config")
    fresh = Study(tmp_path, made.project)
    assert fresh.planned("results/runs/made/connectome.zarr") == {"wire": 1}
    assert fresh.planned("results/runs/made/mixing.csv") == {"wire": 1, "motifs": 1}
    assert fresh.planned("results/runs/made/measures.csv") == {"wire": 1, **RUN}


def one_size(study: Study) -> None:
    """One synapse of the named table is larger; its time stamp is that of before."""
    path = study.path("config", "synapses.csv")
    before = path.stat()
    rows = pd.read_csv(path)
    rows.loc[3, "size"] += 1
    rows.to_csv(path, index=False)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def one_type(study: Study) -> None:
    path = study.path("config", "cells.csv")
    path.write_text(path.read_text().replace(",23P,", ",4P,", 1))


def edit(name: str, old: str, new: str) -> Callable[[Study], None]:
    return lambda study: study.edit(name, old, new)


CHANGES: dict[str, tuple[Callable[[Study], None], dict[str, int]]] = {
    "source": (edit(MADE, "receivers: 8", "receivers: 9"), ALL),
    "filters": (edit(MADE, "min_synapses: 5", "min_synapses: 6"), ALL),
    "table of synapses": (one_size, ALL),
    "table of cells": (one_type, ALL),
    "columns": (edit(NAMED, "post: receiver}", "post: receiver, size: id}"), ALL),
    "network": (edit(MADE, "gain: 0.02", "gain: 0.03"), RUN),
    "neurons": (edit(MADE, "runs:", "neurons: {tau: 0.3}\nruns:"), RUN),
    "impulse": (edit(MADE, "end: 3", "end: 4"), RUN),
    "runs": (edit(MADE, "seeds: 2", "seeds: 3"), RUN),
    "conditions": (edit(MADE, "remove: random", "remove: weaker"), RUN),
    "sweep": (edit(MADE, "[0.2, 0.4]", "[0.2, 0.3]"), RUN),
    "measures": (
        edit(MADE, "motifs:", "measures: {threshold_ratio: 0.02}\nmotifs:"),
        {"compare": 1},
    ),
    "reference": (
        edit(MADE, "motifs:", "reference: {connectome: {neurons: 9}}\nmotifs:"),
        {"compare": 1},
    ),
    "motifs": (edit(MADE, "samples: 3", "samples: 4"), {"motifs": 1}),
    "comment and default": (edit(MADE, "seeds: 2}", "seeds: 2, engine: linear}  # as ever"), NONE),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_reruns_what_is_below_it(circuit: Study, change: str) -> None:
    make, expected = CHANGES[change]
    make(circuit)
    assert circuit.planned(*BOTH) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("wiring/sources/synapses.py", {"wire": 2, "respond": 2, "motifs": 2, "compare": 2}),
        ("circuit/conditions.py", {"respond": 2, "compare": 2}),
        ("metrics/circuit.py", {"compare": 2}),
        ("steps/motifs.py", {"motifs": 2}),
        ("connectome/network.py", NONE),
    ],
)
def test_an_edited_source_reruns_what_imports_it(
    circuit: Study, tmp_path: Path, source: str, expected: dict[str, int]
) -> None:
    project = copy_project(circuit.project, tmp_path / "project")
    edited = Path(project, "src", "ngpipe", source)
    edited.write_text(edited.read_text() + "len(__name__)\n")
    assert Study(circuit.directory, project).planned(*BOTH) == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (edit(MADE, "remove: random", "match: count"), "conditions.ablated: a condition needs"),
        (edit(MADE, "network.prob", "network.plob"), "sweep.network.plobability: there is no key"),
        (edit(MADE, "end: 3", "end: 30"), "impulse: the pulse ends at 30 s and the run at 10 s"),
        (
            lambda study: study.path("config", "cells.csv").unlink(),
            "no file at config/cells.csv, which its stage `wire` is to read",
        ),
    ],
)
def test_what_does_not_fit_is_named_before_anything_runs(
    circuit: Study, change: Callable[[Study], None], message: str
) -> None:
    change(circuit)
    assert message in circuit.snakemake("--dry-run", *BOTH, rc=1).replace("\n", " ")


def test_a_run_that_was_killed_is_run_again(circuit: Study, start: Callable) -> None:
    """It leaves no store that looks whole, and the next run gives the bytes it would have given."""
    store, targets = results(circuit) / "responses.zarr", tables_of("made")
    before = tree_digest(store)
    circuit.edit(MADE, "seeds: 2", "seeds: 400")
    log = circuit.path("logs", "made", "respond.log")
    log.unlink()
    process = start(circuit, circuit.snakemake_command(*targets))
    circuit.wait_for(log.exists, process)
    kill_group(process)
    assert not store.exists()
    assert circuit.planned(*targets) == RUN
    circuit.edit(MADE, "seeds: 400", "seeds: 2")
    targets.append("results/runs/made/responses.zarr")
    circuit.snakemake(*targets)
    assert tree_digest(store) == before
    assert NOTHING in circuit.snakemake(*targets)


class TestByHand:
    def test_each_step_is_a_command(self, circuit: Study) -> None:
        """And gives the bytes that Snakemake got."""
        for stage in ALL:
            circuit.ngpipe(stage, f"config/{MADE}", "byhand", "--threads", "1", "--device", "cpu")
        for name in ("measures.csv", "metrics.csv", "motifs.csv", "responses.zarr/excitatory/0.0"):
            one, other = (circuit.path(d, name) for d in ("byhand", "results/runs/made"))
            assert one.read_bytes() == other.read_bytes()
        for name, words in (("connectome", "edge_weight"), ("responses", "mean excitatory activ")):
            assert words in circuit.ngpipe("inspect", f"byhand/{name}.zarr")
            assert circuit.path("byhand", f"{name}.look.png").stat().st_size > 1000

    def test_mistakes_are_messages(self, circuit: Study) -> None:
        circuit.edit(NAMED, "min_synapses: 5", "min_synapses: 500")
        text = circuit.ngpipe("wire", f"config/{NAMED}", rc=1)
        assert "ngpipe wire: no neuron is left after filtering" in text
        assert "  neurons_with_few_synapses: 40\n" in text
        circuit.edit(NAMED, "sender", "from")
        text += circuit.ngpipe("wire", f"config/{NAMED}", rc=1)
        assert "not ['from'], which MICrONS minnie65 v1300 has" in text
        shutil.rmtree(results(circuit) / "connectome.zarr")
        text += circuit.ngpipe("respond", f"config/{MADE}", rc=1)
        assert "no store at results/runs/made/connectome.zarr; make it with" in text
        text += circuit.ngpipe("fit", f"config/{MADE}", rc=1)
        assert "stage 'fit' is none of system circuit" in text
        assert "Traceback" not in text
