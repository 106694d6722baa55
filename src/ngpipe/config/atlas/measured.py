"""The section `measured`: responses of neurons to the stimulation of others."""

from typing import Annotated, Literal

from pydantic import Field

from ngpipe.config.base import Count, Section
from ngpipe.config.files import path_of


class WormAtlas(Section):
    """The signal propagation atlas of C. elegans (Randi et al. 2023)."""

    kind: Literal["worm_atlas"] = Field("worm_atlas", description="Selects the worm's atlas.")
    path: str | None = Field(
        None,
        description="The file funatlas.h5 of wormneuroatlas, or a directory with it. Null: the "
        "installed package (its file, not its code), or a verified download.",
    )
    strain: Literal["wt", "unc31"] = Field(
        "wt",
        description="Wild type, or unc-31 mutants, in which neurons release no dense-core "
        "vesicles and so hardly any neuropeptides.",
    )
    response: Literal["amplitude", "significance"] = Field(
        "amplitude",
        description="`amplitude`: mean change of fluorescence dF/F after stimulation, with its "
        "sign. `significance`: 1 - q, from the comparison with unstimulated recordings; it has no "
        "sign.",
    )
    least_trials: Count = Field(
        1, description="Pairs that were stimulated and recorded less often count as not measured."
    )


class ResponseTable(Section):
    """Your own responses, a sheet with a name for each row and column."""

    kind: Literal["file"] = Field("file", description="Selects a sheet of your own.")
    path: Annotated[str, path_of((".csv", ".tsv"))] = Field(
        description="Text with the names of neurons in its first row and first column. An empty "
        "cell was not measured."
    )
    rows: Literal["responding", "stimulated"] = Field(
        "responding", description="Meaning of the rows."
    )
    units: str = Field(description="Unit of the responses, as dF/F, mV or 1.")


Measured = Annotated[WormAtlas | ResponseTable, Field(discriminator="kind")]
