"""A whole experiment of the assembly system: config/experiments/<name>.yaml."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import (
    Field,
    ModelWrapValidatorHandler,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from ngpipe.config.agreement import CompareWith
from ngpipe.config.assembly.recovery import Recovery, Rollout
from ngpipe.config.assembly.simulation import Simulation
from ngpipe.config.assembly.source import Laboratory, Recorded, Simulated, Source
from ngpipe.config.assembly.training import Training
from ngpipe.config.base import Section
from ngpipe.config.sweep import (
    REFERENCE,
    SWEEP_REFERENCE,
    Published,
    Sweep,
    SweepReference,
    Swept,
    of_sections,
)
from ngpipe.config.sweep import mistakes as sweep_mistakes

SWEPT = ("source", "simulation", "training", "recovery", "rollout")
"""Sections whose keys can be swept."""


class Experiment(Swept):
    """One experiment: what is simulated or was recorded, how it is learned, read out, compared."""

    system: Literal["assembly"] = Field("assembly", description="Name of the system.")
    source: Source = Field(
        Simulated(), description="Source of the activity: a simulation, or a recording."
    )
    simulation: Simulation = Field(Simulation(), description="The simulated assembly.")
    training: Training = Field(Training(), description="Training of the model.")
    recovery: Recovery = Field(Recovery(), description="Read-out of the trained model.")
    rollout: Rollout = Field(Rollout(), description="Prediction of activity from a held-out frame.")
    compare_with: CompareWith | None = Field(
        None, description="Known connectome of the same neurons to compare W with. Null: none."
    )
    reference: Published = Field({}, description=REFERENCE)
    sweep: Sweep = Field({}, description=of_sections(SWEPT))
    sweep_reference: SweepReference = Field({}, description=SWEEP_REFERENCE)

    @model_validator(mode="wrap")
    @classmethod
    def _sections_agree(
        cls, content: object, validate: ModelWrapValidatorHandler["Experiment"]
    ) -> "Experiment":
        """Report disagreements of sound sections beside the mistakes of the others."""
        try:
            experiment = validate(content)
        except ValidationError as error:
            mistakes = [_again(mistake) for mistake in error.errors(include_url=False)]
            sound = _sound_sections(content, {mistake["loc"][0] for mistake in mistakes})
        else:
            mistakes, sound = [], dict(experiment)
        texts = list(disagreements(sound))
        if not (mistakes or texts):
            texts = list(sweep_mistakes(experiment, SWEPT))
        for text in texts:
            kind = PydanticCustomError("disagreement", "{text}", {"text": text})
            mistakes.append(InitErrorDetails(type=kind, loc=(), input=content))
        if mistakes:
            raise ValidationError.from_exception_data(cls.__name__, mistakes)
        return experiment


def disagreements(sections: Mapping[str, Any]) -> Iterator[str]:
    """Yield contradictions between sections; absent sections are not compared."""
    simulation, training = sections.get("simulation"), sections.get("training")
    rollout = sections.get("rollout")
    source = sections.get("source")
    if source is not None and source.kind != "simulated":
        yield from _not_of_a_recording(simulation, training, source.kind)
    yield from _rates_misunderstood(source, training)
    yield from _nothing_to_fit(source, training)
    if simulation and getattr(source, "kind", "simulated") != "recording":
        yield from _impossible(simulation)
        if training and training.input not in ("none", "fitted"):
            yield from _input_misunderstood(simulation, training)
        if training and rollout:
            yield from _rollout_too_long(simulation.n_frames, training, rollout)
    if rollout:
        yield from _too_late(rollout)


def _too_late(rollout: Rollout) -> Iterator[str]:
    late = [frame for frame in rollout.at if frame > rollout.n_frames]
    if late:
        yield f"rollout.at {late} lies beyond rollout.n_frames ({rollout.n_frames})"


def _impossible(simulation: Simulation) -> Iterator[str]:
    """More types or inputs than there are neurons."""
    if len(simulation.types) > simulation.n_neurons:
        yield (
            f"simulation.types has {len(simulation.types)} types for "
            f"{simulation.n_neurons} neurons; lower one or raise the other"
        )
    elif 0 in (counts := simulation.neurons_of_types()):
        k = counts.index(0)
        yield (
            f"simulation.types.{k}.share ({simulation.types[k].share:g}) gives this type none of "
            f"the {simulation.n_neurons} neurons; raise it, or simulation.n_neurons"
        )
    if simulation.input and simulation.input.n_inputs > simulation.n_neurons:
        yield (
            f"simulation.input.n_inputs ({simulation.input.n_inputs}) exceeds "
            f"simulation.n_neurons ({simulation.n_neurons}); lower one or raise the other"
        )


def _not_of_a_recording(
    simulation: Simulation | None, training: Training | None, kind: str
) -> Iterator[str]:
    if kind == "recording" and simulation and simulation.model_fields_set:
        yield (
            f"simulation.{min(simulation.model_fields_set)} is set, but source.kind is "
            "'recording', of which nothing is simulated; leave the section simulation out"
        )
    if training and training.target == "drift":
        yield (
            "training.target is 'drift' (the default), the exact rate, which no recording holds; "
            "set training.target: finite_difference"
        )


def _rates_misunderstood(
    source: Simulated | Recorded | Laboratory | None, training: Training | None
) -> Iterator[str]:
    if source is None or training is None:
        return
    if isinstance(source, Simulated):
        if training.target == "estimated":
            yield (
                "training.target is 'estimated', but rates are estimated only from recordings; set "
                "training.target to drift or finite_difference"
            )
        return
    rates = source.observation is not None and source.observation.rate is not None
    if training.target == "estimated" and not rates:
        yield (
            "training.target is 'estimated', but source.observation.rate names no estimate; add "
            "one, such as {kind: savitzky_golay}, or set training.target: finite_difference"
        )
    if training.target == "finite_difference" and rates:
        yield (
            "source.observation.rate estimates rates, but training.target is 'finite_difference', "
            "which would take differences of the smoothed state; set training.target: estimated, "
            "or leave source.observation.rate out"
        )


def _nothing_to_fit(
    source: Simulated | Recorded | Laboratory | None, training: Training | None
) -> Iterator[str]:
    if source is None or training is None or training.input != "fitted":
        return
    if not getattr(source, "inputs", ()):
        yield (
            "training.input is 'fitted', but source.inputs names no series of a recording; add "
            "one, or set training.input: none"
        )


def _input_misunderstood(simulation: Simulation, training: Training) -> Iterator[str]:
    if not simulation.input:
        yield (
            f"training.input is '{training.input}', but there is no simulation.input; describe "
            "one, or set training.input: none"
        )
    elif simulation.input.mode != training.input_mode:
        yield (
            f"training.input_mode is '{training.input_mode}', but simulation.input.mode is "
            f"'{simulation.input.mode}'; the model must know how the input acts, so make them equal"
        )


def _rollout_too_long(n_frames: int, training: Training, rollout: Rollout) -> Iterator[str]:
    if training.held_out_as == "blocks":
        if rollout.n_frames >= n_frames // 2:
            yield (
                f"rollout.n_frames ({rollout.n_frames}) must stay below half of the {n_frames} "
                "frames; lower it"
            )
        return
    scored = int(n_frames * training.held_out) // 2
    if scored <= rollout.n_frames:
        yield (
            f"rollout.n_frames ({rollout.n_frames}) needs more frames than the {scored} "
            f"that training.held_out leaves for scoring (half of the held-out frames of "
            f"{n_frames}); lower rollout.n_frames or raise training.held_out"
        )


def _sound_sections(content: object, mistaken: set[object]) -> dict[str, Section]:
    """The sections without a mistake of their own, each validated alone."""
    if not isinstance(content, Mapping):
        return {}
    if "source" in mistaken:
        mistaken = {*mistaken, "simulation"}  # which it may have none of
    models: dict[str, Any] = {
        "source": Source,
        "simulation": Simulation,
        "training": Training,
        "rollout": Rollout,
    }
    default = {"source": {"kind": "simulated"}}
    return {
        name: TypeAdapter(model).validate_python(content.get(name, default.get(name, {})))
        for name, model in models.items()
        if name not in mistaken
    }


def _again(mistake: Mapping[str, Any]) -> InitErrorDetails:
    """A mistake already found, in the form in which it can be raised once more."""
    return InitErrorDetails(
        type=mistake["type"],
        loc=mistake["loc"],
        input=mistake["input"],
        ctx=mistake.get("ctx", {}),
    )
