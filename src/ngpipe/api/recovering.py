"""Recovery of an assembly from activity at hand, with the code of the steps train and recover."""

import warnings
from collections.abc import Mapping
from typing import Any, TypeVar

import pandas as pd
import torch
import xarray as xr

from ngpipe import store
from ngpipe.api import containers
from ngpipe.api.recovered_assembly import RecoveredAssembly
from ngpipe.artifacts import recordings, survey
from ngpipe.artifacts.devices import device_called
from ngpipe.artifacts.learning import Learned, Nothing, learn, tell_gaps
from ngpipe.artifacts.named_readout import named_readout
from ngpipe.artifacts.progress import silenced
from ngpipe.assembly.gradient import Trainer
from ngpipe.config.assembly.recovery import Recovery
from ngpipe.config.assembly.training import Training
from ngpipe.config.base import Section
from ngpipe.config.load import validate
from ngpipe.errors import ArgumentError, DoubtfulWarning
from ngpipe.schemas import assembly as schemas

Options = TypeVar("Options", bound=Section)


def recover(  # noqa: PLR0913 (every option has a default)
    activity: Any,  # noqa: ANN401
    dt: float | None = None,
    *,
    drift: Any = None,  # noqa: ANN401
    inputs: Any = None,  # noqa: ANN401
    training: Training | Mapping[str, object] | None = None,
    recovery: Recovery | Mapping[str, object] | None = None,
    device: str | torch.device = "auto",
    seed: int | None = None,
    verbose: bool = False,
) -> RecoveredAssembly:
    r"""Who is connected to whom, from activity alone.

    The model is

    .. math:: \dot x_i = \phi(a_i, x_i) + \Omega_i(t) \sum_j W_{ij}\, \psi(a_j, x_j)

    with the activity x alone observed. W, the latent vectors a and their types, phi and psi are
    learned as in the pipeline, with the same options, and the results are the same.

    Args:
        activity: x, as an array ``(time, neuron)``; a ``pandas.DataFrame`` with a row for each
            frame, times as its index and names of neurons as columns; an ``xarray.DataArray`` with
            dimensions ``time`` and ``neuron`` in any order; or an ``xarray.Dataset`` with such an
            ``activity`` and whatever else ``training.input`` needs. Names of neurons are those of
            its coordinate or columns. Frames with a value that is not finite, gaps in the times,
            and changes of a coordinate ``segment`` divide it into stretches; no difference is taken
            across them. An index that merely counts the rows holds no times.
        dt: time from one frame to the next; W is in units of 1 over the unit of dt. None: that of
            the times (dates: in seconds), or the attribute ``dt`` of the array.
        drift: the rate dx/dt, if it is known exactly, in the form of ``activity``. None: finite
            differences of activity take its place.
        inputs: stimuli and behaviour at the same frames, as an array ``(time,)`` or
            ``(time, input)``, or a DataFrame or DataArray with their names; NaN where there is
            none. Each neuron gets a coefficient for each, fitted together with its row of W:
            ``.recovery["input_coefficient"]`` and its ``input_error``. Needs
            ``training={"input_mode": "additive"}`` or ``"multiplicative"``, and the closed form,
            which is then the default solver.
        training: keys of the section ``training`` of a config, such as
            ``{"solver": "closed_form"}``.
        recovery: keys of the section ``recovery``, such as ``{"n_types": 4}``.
        device: ``auto`` (a GPU if there is one), ``cpu``, ``cuda`` or ``cuda:N``.
        seed: of the initial parameters and batches; short for ``training.seed``.
        verbose: tell about progress on standard error.

    Raises:
        ArgumentError: arguments of a wrong kind or shape, or that contradict one another, as dt and
            the times do.
        ConfigError: an option that does not exist, or has a value that it cannot have.
        RecordingError: neurons and time exchanged, fewer frames than neurons, neurons that never
            change, repeat another one, or have no value.
        StoreError: times that are not in order, or gaps that leave too few frames.
        UselessModelError: the model is worse than predicting no change.
        DeviceError: the device is absent, or has too little memory.

    Examples:
        >>> found = recover(activity, dt=0.1, training={"solver": "closed_form"})  # doctest: +SKIP
        >>> found.connectivity.sel(post="AVAL")  # what AVAL receives  # doctest: +SKIP
    """
    reading = _section(recovery, Recovery)
    cfg = _training(training, seed, exact=drift is not None, driven=inputs is not None)
    with silenced(not verbose):
        place = device_called(device, "device")
        dataset = containers.recorded(activity, dt=dt, drift=drift, variables=survey.seen(cfg))
        if inputs is not None:
            dataset = containers.with_inputs(dataset, inputs)
        containers.check(dataset)
        found = recordings.checked(dataset, containers.NAME, cfg, place, in_memory=True)
        tell_gaps(found)
        learned = learn(Trainer(found.recording, cfg), [], Nothing())
        log = pd.DataFrame(learned.rows)
        table = named_readout(learned.model, found, log, reading)
    _warn(learned)
    return RecoveredAssembly(
        recovery=_labelled(store.described(table, schemas.RECOVERY)),
        model=learned.model,
        diagnosis=learned.diagnosis,
        training=cfg,
        held_out_loss=learned.held_out_loss,
        log=log,
        found=found,
    )


def _training(
    given: Training | Mapping[str, object] | None, seed: int | None, *, exact: bool, driven: bool
) -> Training:
    """The section `training`; its target is the exact rate, and inputs are fitted, if given."""
    content = _content(given, Training)
    target = "drift" if exact else "finite_difference"
    if exact and content.get("target", target) != target:
        raise ArgumentError(
            f"drift is given, but training.target is {content['target']!r}; leave one of them out"
        )
    if driven and content.get("input", "fitted") != "fitted":
        raise ArgumentError(
            f"inputs are given, but training.input is {content['input']!r}; leave one of them out"
        )
    if seed is not None and content.get("seed", seed) != seed:
        raise ArgumentError(
            f"seed is {seed}, but training.seed is {content['seed']}; leave one of them out"
        )
    seeded = {} if seed is None else {"seed": seed}
    fitted = {"input": "fitted", "solver": "closed_form"} if driven else {}
    return validate({"target": target, **fitted, **content, **seeded}, Training, where="training")


def _section(given: Options | Mapping[str, object] | None, kind: type[Options]) -> Options:
    return validate(_content(given, kind), kind, where=kind.__name__.lower())


def _content(given: Section | Mapping[str, object] | None, kind: type[Section]) -> dict[str, Any]:
    """Keys of a section that were given."""
    if isinstance(given, kind):
        return given.model_dump(exclude_unset=True)
    if given is not None and not isinstance(given, Mapping):
        validate(given, kind, where=kind.__name__.lower())  # says what it is
    return {**given} if isinstance(given, Mapping) else {}


def _warn(learned: Learned) -> None:
    """Doubts about the model, as warnings of Python at the line that called."""
    doubts = [text.removeprefix("warning: ") for text in learned.warnings]
    if learned.diagnosis is None:
        doubts.append(
            "W has no standard errors and there is no diagnosis: the recording has too few frames, "
            "or directions, to tell; record longer, or more varied activity"
        )
    for text in doubts:
        warnings.warn(text, DoubtfulWarning, stacklevel=3)


def _labelled(recovery: xr.Dataset) -> xr.Dataset:
    """Numbers as names of neurons that have none."""
    dims = [dim for dim in ("neuron", "post", "pre") if dim not in recovery.coords]
    return recovery.assign_coords({dim: range(recovery.sizes[dim]) for dim in dims})
