"""Nulls that sections of the circuit system name."""

from typing import Annotated

from pydantic import AfterValidator

from ngpipe.config.nulls import NullName, null_kinds

SWEEPS = (
    "Sweeps of exchanges, for nulls that exchange partners. Null: 10 to 80, as long as more sweeps "
    "lower the overlap with the connectome."
)


def _exciting(null: str) -> str:
    """A null that leaves measured neurons excitatory, as those of a circuit all are."""
    if null_kinds()[null].changes_signs:
        raise ValueError(
            f"the null '{null}' changes signs, but the measured neurons of a circuit all excite; "
            "choose another"
        )
    return null


CircuitNull = Annotated[NullName, AfterValidator(_exciting)]
