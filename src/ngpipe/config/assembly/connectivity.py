"""Connectivity of an assembly: random ensembles of W[post, pre], or a file that holds it."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ngpipe.config.base import Count, Positive, Section, unit
from ngpipe.config.files import MATRICES, TABLES, TextFormat, check_format, path_of

Share = Annotated[float, Field(ge=0, le=1, json_schema_extra=unit("1"))]
Filling = Annotated[float, Field(gt=0, le=1, json_schema_extra=unit("1"))]


class _Generated(Section):
    """Keys that all generated ensembles share."""

    seed: int = Field(42, ge=0, description="Seed of the weights.", json_schema_extra=unit("1"))
    filling: Filling = Field(
        1.0, description="Probability that a connection exists; all other weights are exactly zero."
    )
    excitatory: Share | None = Field(
        None,
        description="Dale's law: the first neurons, up to this fraction, have only positive "
        "outgoing weights, the rest only negative ones. Null: signs as drawn.",
    )


class Lorentz(_Generated):
    """Standard Cauchy weights, cut, divided by n_neurons**exponent (paper, all figures)."""

    kind: Literal["lorentz"] = Field(
        "lorentz", description="Selects Cauchy (Lorentz) distributed weights."
    )
    cutoff: Positive = Field(
        25.0, description="Draws beyond this magnitude are set to zero (not clipped)."
    )
    exponent: Positive | None = Field(
        None,
        description="Weights are divided by n_neurons**exponent. Null: the paper's rule, "
        "0.7 below 2000 neurons, 0.675 below 4000, 0.67 below 8000, 0.66 at 8000, 0.5 above.",
    )


class Gaussian(_Generated):
    """Independent normal weights."""

    kind: Literal["gaussian"] = Field(
        "gaussian", description="Selects normally distributed weights."
    )
    std: Positive | None = Field(
        None, description="Standard deviation of a weight. Null: 1/sqrt(n_neurons)."
    )


class LowRank(_Generated):
    """W = U V^T / sqrt(rank n_neurons) with normal factors."""

    kind: Literal["low_rank"] = Field("low_rank", description="Selects low-rank weights.")
    rank: Count = Field(20, description="Number of columns of each factor.")


class Block(_Generated):
    """Normal weights whose connection probability differs inside and between equal blocks."""

    kind: Literal["block"] = Field("block", description="Selects block-structured weights.")
    n_blocks: Count = Field(4, description="Number of equal, contiguous blocks of neurons.")
    within: Share = Field(0.5, description="Connection probability inside a block.")
    between: Share = Field(0.1, description="Connection probability between blocks.")
    std: Positive | None = Field(
        None, description="Standard deviation of a weight. Null: 1/sqrt(n_neurons)."
    )


class _WeightsFile(Section):
    """Keys of weights from a file, except the layout of its text."""

    kind: Literal["file"] = Field("file", description="Selects weights read from a file.")
    path: Annotated[str, path_of((*MATRICES, *TABLES))] = Field(
        description="The file; relative paths start at the working directory."
    )
    variable: str | None = Field(
        None, description="Name of the matrix in a file that holds several. Null: the only one."
    )
    rows: Literal["post", "pre"] | None = Field(
        None,
        description="Meaning of the rows of a matrix. Null: as stated in the file, otherwise "
        "`post`.",
    )
    pre: str = Field("pre", description="Column of an edge list that names the sending neuron.")
    post: str = Field("post", description="Column that names the receiving neuron.")
    weight: str = Field("weight", description="Column that holds the weight.")


class File(TextFormat, _WeightsFile):
    """Weights read from a file: a matrix [post, pre] or a table of edges between 0 .. n-1."""

    @model_validator(mode="after")
    def _is_laid_out(self) -> "File":
        check_format(self.path, self)
        return self


Connectivity = Annotated[Lorentz | Gaussian | LowRank | Block | File, Field(discriminator="kind")]
