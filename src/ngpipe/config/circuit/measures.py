"""Definition of a return to baseline: section `measures`."""

from pydantic import Field

from ngpipe.config.base import Positive, Section


class Measures(Section):
    """Definition of a return to baseline."""

    threshold_ratio: Positive = Field(
        0.01, description="Activity that counts as baseline, relative to the strength of the pulse."
    )
