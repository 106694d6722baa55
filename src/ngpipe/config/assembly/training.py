"""Training of the graph neural network to predict dx/dt from x."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from ngpipe.config.assembly.inputs import Mode
from ngpipe.config.base import Count, Fraction, Positive, Section, Seed, Weight, unit

Basis = Annotated[int, Field(ge=6, json_schema_extra=unit("1"))]


class Network(Section):
    """The learned functions phi*(a_i, x) and psi*."""

    psi_sees: Literal["activity", "sender", "receiver", "pair"] = Field(
        "activity",
        description="Arguments of psi*: psi*(x_j), psi*(a_j, x_j), psi*(a_i, x_j) or psi*(a_i, "
        "a_j, x_j). i is the receiver, j the sender.",
    )
    receiver_rank: Count = Field(
        6,
        description="If psi* depends on the receiver, it is a sum of this many products of a "
        "function of a_i and a function of the rest. The cost is as many matrix products, never "
        "one network per edge.",
    )
    one_type: bool = Field(
        False,
        description="All neurons share one latent, and so one phi*. Shows what a model without "
        "types misses.",
    )
    latent_dim: Count = Field(2, description="Dimension of the latent vector a_i.")
    hidden: Count = Field(64, description="Units in each hidden layer of phi* and psi*.")
    hidden_layers: Count = Field(2, description="Hidden layers of phi* and psi*.")
    phi_knots: Annotated[int, Field(ge=8, json_schema_extra=unit("1"))] = Field(
        48,
        description="During training, phi* is read from a table with this many activities per "
        "neuron (cubic interpolation). The trained model is evaluated exactly.",
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
        description="The time coordinate runs from minus to plus this value over the recording. A "
        "larger value resolves faster changes.",
    )
    space_scale: Positive = Field(
        1.0, description="The same for the coordinates of the unit square."
    )
    windows: Count = Field(
        16,
        description="During training, the frames of a batch are drawn in this many windows. The "
        "field is evaluated at both ends of each window and is linear in between.",
    )
    window_frames: Annotated[int, Field(ge=2, json_schema_extra=unit("frames"))] = Field(
        50, description="Length of a window."
    )


class LearningRate(Section):
    """Peak step size of Adam for each group of parameters."""

    connectivity: Positive = Field(
        1.5e-3, description="Weights W, in their conditioned coordinates."
    )
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
        0.0, description="(psi*(end of range) - 1)^2: fixes the scale shared by psi* and W."
    )
    phi_weights_l2: Weight = Field(0.0, description="Mean squared parameter of phi*.")
    psi_weights_l2: Weight = Field(0.0, description="Mean squared parameter of psi*.")
    latent_l2: Weight = Field(0.0, description="Mean squared latent.")


class ClosedForm(Section):
    """Recovery as a separable least-squares problem."""

    psi_basis: Basis = Field(32, description="Number of B-splines of psi during the search.")
    phi_basis: Basis = Field(
        32, description="Number of B-splines of each phi_i during the search for psi."
    )
    fine_basis: Basis = Field(48, description="Number of B-splines of psi and phi_i at the end.")
    rows: Count = Field(
        16, description="Number of random rows of W used to find psi, which all rows share."
    )
    search_frames: Positive = Field(
        2.5,
        description="Largest number of evenly spaced frames in the search for psi, in multiples "
        "of the unknowns of a row (about one per neuron, and some for the functions). Differences "
        "of noisy activity use as many as needed.",
    )
    frames: Positive = Field(
        5.0,
        description="Number of frames for the last round and for all rows of W at the end, in the "
        "same unit. Differences of noisy activity use as many as needed.",
    )
    ridges: tuple[Positive, ...] = Field(
        (1e-2, 1e-4, 1e-6, 1e-8, 1e-10, 1e-12),
        min_length=1,
        description="Ridges to try, in falling order, relative to the mean diagonal of the "
        "senders' Gram matrix. Held-out frames choose one.",
    )
    roughness: Positive = Field(
        1e-10,
        description="Weight on the squared second differences of psi's coefficients, relative to "
        "the curvature of the loss.",
    )
    prior: Literal["none", "sparse"] = Field(
        "none",
        description="'sparse' assumes that most weights are zero. An L1 penalty, with a weight "
        "chosen by held-out frames, selects the others, which are then refitted without it. For "
        "recordings too short to determine all weights.",
    )
    dale: bool = Field(
        False,
        description="Dale's law: all weights of a sender have one sign, that of their sum.",
    )
    iterations: Count = Field(
        10, description="Largest number of Gauss-Newton steps for psi at each ridge."
    )

    jobs: Count = Field(
        1,
        exclude=True,
        description="Jobs that Snakemake spreads the sums over frames and the rows of W over. "
        "Changes no result beyond rounding, and is in no key: another number makes nothing again.",
    )

    @field_validator("ridges")
    @classmethod
    def _falling(cls, ridges: tuple[float, ...]) -> tuple[float, ...]:
        if list(ridges) != sorted(set(ridges), reverse=True):
            raise ValueError("the ridges must fall: give each once, the largest first")
        return ridges

    n_types: Count | None = Field(
        None, description="Number of neuron types. Null: estimated from the phi_i."
    )
    max_types: Annotated[int, Field(ge=2, json_schema_extra=unit("1"))] = Field(
        40, description="Largest number of types considered when it is estimated."
    )
    first_groups: Count = Field(
        8,
        description="If psi differs between types: number of groups that neurons are first split "
        "into, unless more types are found.",
    )
    input_knots: Annotated[int, Field(ge=3, json_schema_extra=unit("1"))] = Field(
        257,
        description="Number of evenly spaced knots in time; a hidden input is linear between them.",
    )
    distil_steps: Count = Field(
        2_000, description="Optimiser steps to fit the networks phi* and psi* to the result."
    )
    field_steps: Count = Field(
        1_500, description="Optimiser steps to fit the field Omega* to a hidden input."
    )


class Training(Section):
    """Training of the assembly model."""

    solver: Literal["gradient", "closed_form", "closed_form+gradient"] = Field(
        "gradient",
        description="'gradient': Adam on mini-batches of frames, the paper's method with dense "
        "matrices. 'closed_form': least squares for W and phi, Gauss-Newton for psi, then networks "
        "fitted to the result. 'closed_form+gradient': the closed form, continued with Adam.",
    )
    target: Literal["drift", "finite_difference", "estimated"] = Field(
        "drift",
        description="Training target: 'drift', the exact rate before noise, as in the paper; "
        "'finite_difference', (x(t+dt) - x(t))/dt; 'estimated', the rate that the import of a "
        "recording estimated (source.observation).",
    )
    held_out: Fraction = Field(0.05, description="Fraction of frames never trained on.")
    held_out_as: Literal["tail", "blocks"] = Field(
        "tail",
        description="'tail' holds out the end of the recording, 'blocks' short stretches spread "
        "over it. A hidden input needs 'blocks', because it is unknown after the last training "
        "frame.",
    )
    input: Literal["none", "known", "field", "fitted"] = Field(
        "none",
        description="External input in the model: 'none', 'known' (given to the model), 'field' "
        "(hidden and learned), or 'fitted': the series of source.inputs, with a coefficient of "
        "every neuron that is fitted together with its row of W (closed form).",
    )
    input_mode: Mode = Field(
        "multiplicative",
        description="Whether the input multiplies the synaptic input or is added to the rate.",
    )
    steps: Count = Field(5_000, description="Optimiser steps.")
    batch_frames: Count = Field(128, description="Frames drawn at random for each step.")
    warm_up: Fraction = Field(
        0.05, description="Fraction of the steps over which the step size rises to its peak."
    )
    final_rate: Annotated[float, Field(ge=0, le=1, json_schema_extra=unit("1"))] = Field(
        1e-3, description="Step size at the end of the cosine decay, relative to the peak."
    )
    conditioning: Literal["whitened", "none"] = Field(
        "whitened",
        description="'whitened' learns W in coordinates in which psi*(x_j) of the senders is "
        "white, which removes slow directions. 'none' learns W itself.",
    )
    whitening_updates: tuple[Fraction, ...] = Field(
        (0.03, 0.1, 0.25),
        description="Fractions of the training after which these coordinates are recomputed from "
        "the current psi*.",
    )
    whitening_ridge: Positive = Field(
        1e-4, description="Added to the senders' covariance, relative to its mean eigenvalue."
    )
    second_moment: Fraction = Field(
        0.99, description="Decay of Adam's mean squared gradient (its beta_2)."
    )
    accept_worse_than_zero: bool = Field(
        False,
        description="Accept a model whose error on held-out frames exceeds the mean squared rate "
        "there, that is, a model worse than predicting no change. By default training ends in an "
        "error, before types and figures.",
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
        description="Number of times during training that the held-out loss is measured and W is "
        "stored. The model with the lowest held-out loss is the result.",
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
                "without types psi can depend on activity only; set network.psi_sees: activity, or "
                "network.one_type: false"
            )
        if self.network.one_type and (self.closed_form.prior != "none" or self.closed_form.dale):
            raise ValueError(
                "the prior on W cannot be combined with one phi for all neurons; leave out "
                "closed_form.prior and closed_form.dale, or set network.one_type: false"
            )
        if self.network.one_type and self.input == "field" and self.solver != "gradient":
            raise ValueError(
                "the closed form can find a hidden input only with types; set solver: gradient, or "
                "network.one_type: false"
            )
        if self.input == "field" and self.held_out_as == "tail":
            raise ValueError(
                "a hidden input is not known after the last training frame, so a held-out tail "
                "cannot be predicted; set held_out_as: blocks"
            )
        return self

    @model_validator(mode="after")
    def _can_be_scattered(self) -> "Training":
        if self.closed_form.jobs == 1:
            return self
        scaling = self.input == "fitted" and self.input_mode == "multiplicative"
        apart = [
            (self.solver != "closed_form", f"solver is '{self.solver}'"),
            (self.input == "field", "a hidden input ties all rows together"),
            (scaling, "inputs that scale what neurons receive tie all rows together"),
            (self.network.one_type, "network.one_type gives all rows one phi"),
            (self.closed_form.prior != "none", f"closed_form.prior is '{self.closed_form.prior}'"),
            (self.closed_form.dale, "closed_form.dale ties all rows together"),
        ]
        for wrong, why in apart:
            if wrong:
                raise ValueError(
                    f"closed_form.jobs ({self.closed_form.jobs}) spreads rows of the plain closed "
                    f"form over jobs, but {why}; set closed_form.jobs: 1"
                )
        return self

    @model_validator(mode="after")
    def _inputs_can_be_fitted(self) -> "Training":
        if self.input != "fitted":
            return self
        if self.solver != "closed_form":
            raise ValueError(
                f"coefficients of inputs are fitted by the closed form, but solver is "
                f"'{self.solver}'; set solver: closed_form"
            )
        if self.network.one_type:
            raise ValueError(
                "every neuron has coefficients of its own, but network.one_type gives all the same "
                "phi; set network.one_type: false"
            )
        if "input_mode" not in self.model_fields_set:
            raise ValueError(
                "input is 'fitted', but it is not said how inputs act; set input_mode: additive "
                "(b_i u is added to the rate) or multiplicative (1 + g_i u scales what a neuron "
                "receives)"
            )
        return self
