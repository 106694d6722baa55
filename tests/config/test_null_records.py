"""Nulls: one record beside the function that draws it, the same names in every system."""

import shutil

import pytest

from ngpipe.config import nulls
from ngpipe.config.circuit.experiment import CircuitExperiment
from ngpipe.config.connectome.readouts import Control
from ngpipe.config.load import validate
from ngpipe.config.nulls import null_kinds
from ngpipe.errors import ConfigError

TOY = '''"""Nobody is connected."""

from dataclasses import replace

from ngpipe.config.nulls import NullKind

KINDS = (
    NullKind(
        "silence",
        keeps="neurons",
        renews="all connections: there are none",
        draws="silence",
        needs=("positions",),
    ),
)


def silence(connectome, rng):
    return replace(connectome, weights=0 * connectome.weights)
'''


@pytest.fixture
def room(tmp_path, monkeypatch):
    """A copy of the nulls that a test may add to."""
    copy = shutil.copytree(nulls.NULLS, tmp_path / "nulls")
    monkeypatch.setattr(nulls, "NULLS", copy)
    null_kinds.cache_clear()
    yield copy
    null_kinds.cache_clear()


def test_one_file_adds_a_null(room):
    known = set(null_kinds())
    null_kinds.cache_clear()
    (room / "silence.py").write_text(TOY)
    (new,) = set(null_kinds()) - known
    kind = null_kinds()[new]
    assert (kind.name, kind.needs, kind.draws) == ("silence", ("positions",), "silence")
    assert kind.module == "ngpipe.wiring.nulls.silence"


def test_two_records_of_one_name_are_refused(room):
    (room / "silence.py").write_text(
        TOY.replace('"silence",\n        keeps', '"degree",\n        keeps')
    )
    with pytest.raises(
        ConfigError, match=r"'degree' stands in ngpipe\.wiring\.nulls\.rewiring and"
    ):
        null_kinds()


@pytest.mark.parametrize(
    ("earlier", "now"),
    [
        ("sign", "degree_and_sign"),
        ("type", "degree_and_type"),
        ("weights", "permuted_weights_of_senders"),
        ("degree", "degree"),
        ("signs", "signs"),
    ],
)
def test_configs_of_before_name_the_same_null(earlier, now):
    assert validate({"model": earlier}, Control, where="test").model == now


@pytest.mark.parametrize("name", [n for n, kind in null_kinds().items() if not kind.changes_signs])
def test_all_systems_take_the_same_names(name):
    assert validate({"model": name}, Control, where="test").model == name
    content = {"system": "circuit", "conditions": {"one": {"shuffle": name}}}
    cfg = validate(content, CircuitExperiment, where="test")
    assert cfg.conditions["one"].shuffle == name
