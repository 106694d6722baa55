"""Every kind that a config knows has its entry in the table of what makes it, and no other."""

from typing import get_args

import pytest

from ngpipe.config.assembly.connectivity import Connectivity, File
from ngpipe.config.assembly.inputs import Input
from ngpipe.config.wiring import Source
from ngpipe.dynamics.inputs import IMAGES, TRACES
from ngpipe.wiring.ensembles import ENSEMBLES
from ngpipe.wiring.sources.table import SOURCES


def kinds(union: object) -> set[type]:
    """Sections of a union that is told apart by `kind`."""
    found = set()
    for one in get_args(union):
        found |= {one} if isinstance(one, type) and hasattr(one, "model_fields") else kinds(one)
    return found


@pytest.mark.parametrize(
    ("union", "table"),
    [
        (Source, set(SOURCES)),
        (Connectivity, {*ENSEMBLES, File}),
        (Input, {*IMAGES, *TRACES}),
    ],
    ids=["sources", "ensembles", "inputs"],
)
def test_every_kind_is_in_the_table(union, table):
    assert kinds(union) == table
    assert len({one.model_fields["kind"].default for one in table}) == len(table)
