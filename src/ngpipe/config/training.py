"""How the graph neural network is trained to predict dx/dt from x."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ngpipe.config.base import Count, Fraction, Positive, Section, Seed, Weight, unit


class Network(Section):
    """Sizes of the learned functions phi*(a_i, x) and psi*(x)."""

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


class LearningRate(Section):
    """Peak step size of Adam for each group of parameters."""

    connectivity: Positive = Field(1.5e-3, description="Weights W, in units of their conditioning.")
    functions: Positive = Field(4e-3, description="Parameters of phi* and psi*.")
    latent: Positive = Field(3e-2, description="Latent vectors a_i.")


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


class Training(Section):
    """Gradient training of the assembly model."""

    solver: Literal["gradient"] = Field(
        "gradient", description="Adam on mini-batches of frames, the paper's method, made dense."
    )
    target: Literal["drift", "finite_difference"] = Field(
        "drift",
        description="What the model is to predict: the exact rate before noise, as in the paper, "
        "or (x(t+dt) - x(t))/dt, all that a recording offers.",
    )
    held_out: Fraction = Field(
        0.05, description="Share of frames at the end of the recording never trained on."
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
        description="'whitened' learns W in coordinates where the senders' tanh(8 x / std) is "
        "white, which removes the slow directions of the recording; 'none' learns W itself.",
    )
    whitening_ridge: Positive = Field(
        1e-4, description="Added to the senders' covariance, relative to its mean eigenvalue."
    )
    second_moment: Fraction = Field(
        0.99, description="Decay of Adam's mean squared gradient (its beta_2)."
    )
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
        return self
