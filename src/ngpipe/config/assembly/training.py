"""How the graph neural network is trained to predict dx/dt from x."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from ngpipe.config.assembly.inputs import Mode
from ngpipe.config.base import Count, Fraction, Positive, Section, Seed, Weight, unit

Basis = Annotated[int, Field(ge=6, json_schema_extra=unit("1"))]


class Network(Section):
    """The learned functions phi*(a_i, x) and psi*."""

    psi_sees: Literal["activity", "sender", "receiver", "pair"] = Field(
        "activity",
        description="What psi* depends on: psi*(x_j), psi*(a_j, x_j), psi*(a_i, x_j) or "
        "psi*(a_i, a_j, x_j), i the receiver, j the sender.",
    )
    receiver_rank: Count = Field(
        6,
        description="If psi* sees the receiver it is a sum of this many products of a function of "
        "a_i and a function of the rest: as many matrix products, never one network per edge.",
    )
    one_type: bool = Field(
        False,
        description="All neurons have one and the same latent, and so one phi*: what a model "
        "without types misses.",
    )
    latent_dim: Count = Field(2, description="Dimension of the latent vector a_i.")
    hidden: Count = Field(64, description="Units in each hidden layer of phi* and psi*.")
    hidden_layers: Count = Field(2, description="Hidden layers of phi* and psi*.")
    phi_knots: Annotated[int, Field(ge=8, json_schema_extra=unit("1"))] = Field(
        48,
        description="During training phi* is read from a table with this many activities per "
        "neuron (cubic interpolation); the trained model is evaluated exactly.",
    )
    psi_knots: Annotated[int, Field(ge=8, json_schema_extra=unit("1"))] = Field(
        128, description="The same for psi*."
    )


class HiddenInput(Section):
    """The hidden input Omega*(x, y, t): a SIREN, evaluated where a batch needs it."""

    hidden: Count = Field(128, description="Units in each hidden layer.")
    hidden_layers: Count = Field(3, description="Hidden layers.")
    omega_0: Positive = Field(30.0, description="Frequency of the sines.")
    time_scale: Positive = Field(
        1.0,
        description="Range of the time coordinate: from minus to plus this over the recording; "
        "larger resolves faster changes.",
    )
    space_scale: Positive = Field(
        1.0, description="The same for the coordinates of the unit square."
    )
    windows: Count = Field(
        16,
        description="During training the frames of a batch are drawn in this many windows; the "
        "field is evaluated at the two ends of each and is linear between them.",
    )
    window_frames: Annotated[int, Field(ge=2, json_schema_extra=unit("frames"))] = Field(
        50, description="Length of a window."
    )


class LearningRate(Section):
    """Peak step size of Adam for each group of parameters."""

    connectivity: Positive = Field(1.5e-3, description="Weights W, in units of their conditioning.")
    functions: Positive = Field(4e-3, description="Parameters of phi* and psi*.")
    latent: Positive = Field(3e-2, description="Latent vectors a_i.")
    field: Positive = Field(1e-3, description="Parameters of the field Omega*.")


class Penalties(Section):
    """Weight of each regulariser; the fit term is the mean squared error in units of the drift."""

    connectivity_l1: Weight = Field(0.0, description="Mean |W_ij|: prefers sparse weights.")
    connectivity_l2: Weight = Field(0.0, description="Mean W_ij^2: prefers small weights.")
    phi_zero: Weight = Field(0.0, description="Mean phi*(a_i, 0)^2: no drive at rest.")
    psi_monotone: Weight = Field(
        0.0, description="Mean squared decrease of psi* along the visited range."
    )
    psi_scale: Weight = Field(
        0.0, description="(psi*(end of range) - 1)^2: holds the scale shared by psi* and W."
    )
    phi_weights_l2: Weight = Field(0.0, description="Mean squared parameter of phi*.")
    psi_weights_l2: Weight = Field(0.0, description="Mean squared parameter of psi*.")
    latent_l2: Weight = Field(0.0, description="Mean squared latent.")


class ClosedForm(Section):
    """Recovery as a separable least-squares problem."""

    psi_basis: Basis = Field(32, description="B-splines of psi while it is searched for.")
    phi_basis: Basis = Field(32, description="B-splines of each phi_i while psi is searched for.")
    fine_basis: Basis = Field(48, description="B-splines of psi and phi_i in the end.")
    rows: Count = Field(
        16, description="Randomly drawn rows of W on which psi, which they share, is found."
    )
    search_frames: Positive = Field(
        2.5,
        description="Most evenly spaced frames used in the search for psi, in multiples of the "
        "unknowns of a row: about one per neuron, and some for the functions. Differences of noisy "
        "activity get as many as it takes.",
    )
    frames: Positive = Field(
        5.0,
        description="Frames for the last round and for all rows of W in the end, in the same unit; "
        "differences of noisy activity get as many as it takes.",
    )
    ridges: tuple[Positive, ...] = Field(
        (1e-2, 1e-4, 1e-6, 1e-8, 1e-10, 1e-12),
        min_length=1,
        description="Ridges tried, falling, relative to the mean diagonal of the Gram matrix of "
        "what is sent; held-out frames choose.",
    )
    roughness: Positive = Field(
        1e-10,
        description="Weight on the squared second differences of psi's coefficients, relative to "
        "the curvature of the loss.",
    )
    prior: Literal["none", "sparse"] = Field(
        "none",
        description="'sparse' takes most weights for zero: an L1 penalty whose weight held-out "
        "frames choose picks those that are not, which are then fitted without it. For recordings "
        "too short to know all weights.",
    )
    dale: bool = Field(
        False,
        description="Dale's law: all weights of a sender have one sign, found from their sum.",
    )
    iterations: Count = Field(10, description="Most Gauss-Newton steps for psi at each ridge.")

    @field_validator("ridges")
    @classmethod
    def _falling(cls, ridges: tuple[float, ...]) -> tuple[float, ...]:
        if list(ridges) != sorted(set(ridges), reverse=True):
            raise ValueError("the ridges must fall: give each once, the largest first")
        return ridges

    n_types: Count | None = Field(
        None, description="Number of neuron types. Null: found from the phi_i."
    )
    max_types: Annotated[int, Field(ge=2, json_schema_extra=unit("1"))] = Field(
        40, description="Most types considered when their number is to be found."
    )
    first_groups: Count = Field(
        8,
        description="Groups that neurons are first split into where psi differs between types, if "
        "no more types are found.",
    )
    input_knots: Annotated[int, Field(ge=3, json_schema_extra=unit("1"))] = Field(
        257,
        description="Knots in time between which a hidden input is linear, spread evenly over the "
        "recording.",
    )
    distil_steps: Count = Field(
        2_000, description="Optimiser steps of fitting the networks phi* and psi* to the result."
    )
    field_steps: Count = Field(
        1_500, description="Optimiser steps of fitting the field Omega* to a hidden input."
    )


class Training(Section):
    """Training of the assembly model."""

    solver: Literal["gradient", "closed_form", "closed_form+gradient"] = Field(
        "gradient",
        description="'gradient': Adam on mini-batches of frames, the paper's method, made dense. "
        "'closed_form': least squares for W and phi, Gauss-Newton for psi, and the networks fitted "
        "to what was found. 'closed_form+gradient': the first, begun where the second ends.",
    )
    target: Literal["drift", "finite_difference"] = Field(
        "drift",
        description="What the model is to predict: the exact rate before noise, as in the paper, "
        "or (x(t+dt) - x(t))/dt, all that a recording offers.",
    )
    held_out: Fraction = Field(0.05, description="Share of frames never trained on.")
    held_out_as: Literal["tail", "blocks"] = Field(
        "tail",
        description="'tail' holds out the end of the recording; 'blocks' short stretches all over "
        "it, which a hidden input needs: what it is after the last training frame, nobody knows.",
    )
    input: Literal["none", "known", "field"] = Field(
        "none",
        description="External input of the driven neurons: 'none' in the model, 'known' to it, or "
        "hidden and learned as a 'field'.",
    )
    input_mode: Mode = Field(
        "multiplicative", description="Whether the input multiplies the message or is added."
    )
    steps: Count = Field(5_000, description="Optimiser steps.")
    batch_frames: Count = Field(128, description="Frames drawn at random for each step.")
    warm_up: Fraction = Field(
        0.05, description="Share of the steps over which the step size rises to its peak."
    )
    final_rate: Annotated[float, Field(ge=0, le=1, json_schema_extra=unit("1"))] = Field(
        1e-3, description="Step size at the end of the cosine decay, relative to the peak."
    )
    conditioning: Literal["whitened", "none"] = Field(
        "whitened",
        description="'whitened' learns W in coordinates where what senders send, psi*(x_j), is "
        "white, which removes the slow directions of the recording; 'none' learns W itself.",
    )
    whitening_updates: tuple[Fraction, ...] = Field(
        (0.03, 0.1, 0.25),
        description="Shares of the steps after which these coordinates are worked out anew from "
        "psi* as learned by then.",
    )
    whitening_ridge: Positive = Field(
        1e-4, description="Added to the senders' covariance, relative to its mean eigenvalue."
    )
    second_moment: Fraction = Field(
        0.99, description="Decay of Adam's mean squared gradient (its beta_2)."
    )
    accept_worse_than_zero: bool = Field(
        False,
        description="Go on with a model whose error on held-out frames exceeds the mean squared "
        "rate there, that is, which is worse than predicting no change. By default training ends "
        "in an error, before types and figures.",
    )
    closed_form: ClosedForm = Field(ClosedForm(), description="The closed-form solver.")
    field: HiddenInput = Field(HiddenInput(), description="The hidden input.")
    network: Network = Field(Network(), description="Sizes of the learned functions.")
    learning_rate: LearningRate = Field(LearningRate(), description="Step sizes.")
    penalties: Penalties = Field(Penalties(), description="Regularisers.")
    seed: Seed = Field(16, description="Seed of the initial parameters and of the batches.")
    log_every: Count = Field(
        50, description="Steps between two rows of training.csv.", json_schema_extra=unit("steps")
    )
    checkpoint_every: Count = Field(
        250, description="Steps between two checkpoints.", json_schema_extra=unit("steps")
    )
    evaluations: Count = Field(
        20,
        description="Times during training that held-out loss is measured and W is kept; the "
        "model with the lowest held-out loss is the result.",
    )

    @model_validator(mode="after")
    def _enough_steps(self) -> "Training":
        if self.evaluations > self.steps:
            raise ValueError(
                f"evaluations ({self.evaluations}) exceeds steps ({self.steps}); lower it"
            )
        if self.input == "field" and self.batch_frames % self.field.windows:
            raise ValueError(
                f"batch_frames ({self.batch_frames}) must be a multiple of field.windows "
                f"({self.field.windows})"
            )
        if self.network.one_type and self.network.psi_sees != "activity":
            raise ValueError(
                "without types there is nothing for psi to see but activity; set "
                "network.psi_sees: activity, or network.one_type: false"
            )
        if self.network.one_type and (self.closed_form.prior != "none" or self.closed_form.dale):
            raise ValueError(
                "the prior on W is not made for one phi of all neurons; leave out "
                "closed_form.prior and closed_form.dale, or set network.one_type: false"
            )
        if self.network.one_type and self.input == "field" and self.solver != "gradient":
            raise ValueError(
                "the closed form finds a hidden input with types only; set solver: gradient, or "
                "network.one_type: false"
            )
        if self.input == "field" and self.held_out_as == "tail":
            raise ValueError(
                "a hidden input is not known after the last training frame, so a held-out tail "
                "cannot be predicted; set held_out_as: blocks"
            )
        return self
