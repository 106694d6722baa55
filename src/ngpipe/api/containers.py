"""Activity in an array, table or labelled array -> the form in which a recording is stored."""

from collections.abc import Iterable
from numbers import Real
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import xarray as xr

from ngpipe.acquisition import refusals
from ngpipe.artifacts import sampling
from ngpipe.errors import ArgumentError, RecordingError

Labelled = TypeVar("Labelled", xr.DataArray, xr.Dataset)
NAME = Path("activity")
"""Name of the recording in messages."""
DIMS = ("time", "neuron")
IN_PYTHON = refusals.Remedies(
    axes="transpose it",
    series="pass the activity of the neurons",
    segment="the coordinate `segment` must name the trial of each frame",
    leave_out="leave them out of `activity`: [{names}]",
)
"""Remedies for a recording that is an argument of a function."""


def recorded(
    activity: Any,  # noqa: ANN401
    *,
    dt: float | None,
    drift: Any = None,  # noqa: ANN401
    variables: Iterable[str] = (),
) -> xr.Dataset:
    """A recording as ``schemas.SIMULATION`` describes it, without any truth.

    Values are copied, so what happens to ``activity`` later changes nothing.

    Args:
        activity: as :func:`ngpipe.recover` takes it.
        dt: time from one frame to the next; None: that of the times or attributes of ``activity``.
        drift: exact rate, in the form of ``activity``.
        variables: names of what training sees (:func:`ngpipe.artifacts.survey.seen`); of an
            ``xarray.Dataset`` these are taken, and nothing else.

    Raises:
        ArgumentError: an argument of a wrong kind or shape, or arguments that contradict another.
        RecordingError: labels that are repeated.
        StoreError: times that are no times.
    """
    whole = activity if isinstance(activity, xr.Dataset) else xr.Dataset()
    if isinstance(activity, xr.Dataset) and "activity" not in activity:
        raise ArgumentError(
            f"the dataset holds {sorted(map(str, activity.data_vars))}, expected a variable "
            "`activity`; rename the one that is"
        )
    source = activity["activity"] if isinstance(activity, xr.Dataset) else activity
    x = _array(source, "activity")
    found = whole[[n for n in variables if n in whole.variables and n not in x.coords]]
    found = found.drop_vars(["activity", "drift"], errors="ignore").assign(activity=x)
    rate = whole.get("drift") if drift is None and "drift" in variables else drift
    if rate is not None:
        found["drift"] = _beside(_array(rate, "drift"), x)
    attrs = {**whole.attrs, **x.attrs}
    found.attrs = {n: attrs[n] for n in ("jitter", "intervals") if n in attrs}
    found.attrs["dt"] = _interval(x, attrs.get("dt"), dt)
    return found


def check(recording: xr.Dataset) -> None:
    """Refuse a recording from which nothing could be learned.

    Raises:
        RecordingError: neurons and time exchanged, too few frames, or neurons that never change,
            repeat another one, or have no value.
    """
    x = recording["activity"]
    segment = recording["segment"].values if "segment" in recording else None
    subject = refusals.Subject(
        str(NAME), labels_of(x).tolist(), x.sizes["time"], segment, IN_PYTHON
    )
    refusals.check_shape(subject)
    tally = refusals.Tally(x.sizes["neuron"])
    tally.add(x.values.astype(np.result_type(x.dtype, np.float32), copy=False))
    refusals.check_values(tally, subject)


def with_inputs(recording: xr.Dataset, inputs: Any) -> xr.Dataset:  # noqa: ANN401
    """A recording with stimuli and behaviour at its frames, ``inputs (time, input)``.

    Raises:
        ArgumentError: they are no numbers, of other frames, or two of them have one name.
    """
    if isinstance(inputs, xr.DataArray):
        other = [dim for dim in inputs.dims if dim != "time"]
        if "time" not in inputs.dims or len(other) > 1:
            raise ArgumentError(
                f"inputs has the dimensions {inputs.dims}, expected 'time' and at most one more; "
                "rename them: inputs.rename(...)"
            )
        columns = inputs.transpose("time", ...).to_pandas()
        inputs = columns.to_frame(inputs.name or "input") if inputs.ndim == 1 else columns
    named = isinstance(inputs, pd.DataFrame)
    values = np.asarray(inputs)
    values = values[:, None] if values.ndim == 1 else values
    names = [str(name) for name in inputs] if named else list(map(str, range(values.shape[-1])))
    frames = recording.sizes["time"]
    if values.ndim != 2 or len(values) != frames or values.dtype.kind not in "biuf":
        raise ArgumentError(
            f"inputs has shape {values.shape} and type {values.dtype}, expected numbers at the "
            f"{frames} frames of activity, (time, input)"
        )
    if len(set(names)) < len(names):
        raise ArgumentError(f"inputs: the names {names} are not all different; rename them")
    found = recording.assign(inputs=(("time", "input"), values.astype(np.float64)))
    return found.assign_coords(input=np.array(names, dtype=str))


def labels_of(x: xr.DataArray, dim: str = "neuron") -> np.ndarray:
    """Names along a dimension; numbers where it has none."""
    return x[dim].values


def vector(values: Any, neurons: np.ndarray, name: str) -> np.ndarray:  # noqa: ANN401
    """A number for every neuron; one with labels is brought into the order of the neurons.

    Raises:
        ArgumentError: it has another number of values or other labels, or a value that is not
            finite.
    """
    if isinstance(values, xr.DataArray) and "neuron" in values.coords:
        values = pd.Series(values.values, values["neuron"].values)
    if isinstance(values, pd.Series):
        values = values.to_numpy()[_order(values.index, neurons, name)]
    found = np.asarray(values)
    if found.shape != neurons.shape or found.dtype.kind not in "iuf":
        raise ArgumentError(
            f"{name} is of shape {found.shape} and type {found.dtype}, expected {len(neurons)} "
            "numbers, one for each neuron"
        )
    if not np.isfinite(found).all():
        bad = neurons[~np.isfinite(found)].tolist()
        raise ArgumentError(
            f"{name} is not finite for {len(bad)} neurons ({', '.join(map(str, bad[:6]))}); give "
            "every neuron a finite number"
        )
    return found


def in_order(x: Labelled, neurons: np.ndarray, name: str) -> Labelled:
    """An array over neurons in the order of some others.

    Raises:
        ArgumentError: it is of other neurons.
    """
    if "neuron" in x.coords:
        return x.isel(neuron=_order(x.indexes["neuron"], neurons, name))
    if x.sizes["neuron"] != len(neurons):
        raise ArgumentError(
            f"{name} is of {x.sizes['neuron']} neurons, expected {len(neurons)}, those that were "
            "recovered"
        )
    return x


def _array(values: Any, name: str) -> xr.DataArray:  # noqa: ANN401
    """A labelled array ``(time, neuron)`` with a copy of the values, each frame in one piece."""
    if isinstance(values, pd.DataFrame):
        values = _of_table(values, name)
    if not isinstance(values, xr.DataArray):
        plain = np.asarray(values)
        if plain.ndim != 2:
            raise ArgumentError(f"{name} has shape {plain.shape}, expected two axes: time, neuron")
        values = xr.DataArray(plain, dims=DIMS)
    if set(values.dims) != set(DIMS):
        raise ArgumentError(
            f"{name} has the dimensions {values.dims}, expected 'time' and 'neuron' in any order; "
            f"rename them: {name}.rename(...)"
        )
    ordered = values.transpose(*DIMS)
    if ordered.dtype.kind not in "iuf":
        raise ArgumentError(
            f"{name} holds values of type {ordered.dtype}, expected real numbers; convert it with "
            "astype('float32')"
        )
    labels = ordered.indexes.get("neuron")
    if isinstance(labels, pd.MultiIndex):
        raise ArgumentError(
            f"the neurons of {name} have {labels.nlevels} labels each ({labels.names}), expected "
            "one; join them, or drop all but one"
        )
    if labels is not None and not labels.is_unique:
        twice = labels[labels.duplicated()].unique().tolist()
        raise RecordingError(
            f"{name}: the labels {twice[:6]} name several neurons each ({len(twice)} such labels); "
            "give every neuron its own"
        )
    # One order in memory, so that the same numbers give the same result to the last bit.
    return ordered.copy(data=np.array(ordered.values, order="C"))


def _of_table(table: pd.DataFrame, name: str) -> xr.DataArray:
    """A table with a row for each frame; an index that just counts the rows holds no times."""
    kinds = sorted({str(kind) for kind in table.dtypes if kind.kind not in "iuf"})
    if kinds:
        raise ArgumentError(
            f"{name} has columns of type {', '.join(kinds)}, expected numbers alone: a column for "
            "each neuron, and the times as index; see DataFrame.set_index"
        )
    counted = isinstance(table.index, pd.RangeIndex) and table.index.name is None
    coords = {"neuron": pd.Index(table.columns, name="neuron")}
    if not counted:
        coords["time"] = pd.Index(table.index, name="time")
    return xr.DataArray(table.to_numpy(), dims=DIMS, coords=coords)


def _beside(drift: xr.DataArray, x: xr.DataArray) -> xr.DataArray:
    """The rate in the order of activity.

    Raises:
        ArgumentError: it is of other frames or neurons.
    """
    named = "neuron" in drift.coords and "neuron" in x.coords
    drift = in_order(drift, labels_of(x), "drift") if named else drift
    same_times = "time" not in drift.coords or drift.indexes["time"].equals(x.indexes.get("time"))
    if drift.shape != x.shape or not same_times:
        raise ArgumentError(
            f"drift has {drift.shape[0]} frames of {drift.shape[1]} neurons, activity "
            f"{x.shape[0]} of {x.shape[1]}; expected the rate of every neuron at every frame, at "
            "the same times"
        )
    return drift.drop_vars(drift.coords)


def _order(labels: pd.Index, neurons: np.ndarray, name: str) -> np.ndarray:
    """Place of each neuron among some labels."""
    found = labels.get_indexer(pd.Index(neurons))
    if len(labels) != len(neurons) or (found < 0).any():
        odd = [*pd.Index(neurons)[found < 0], *labels.difference(pd.Index(neurons), sort=False)]
        raise ArgumentError(
            f"{name} is of other neurons: {', '.join(map(str, odd[:6]))} stand on one side only; "
            f"expected the {len(neurons)} neurons that were recovered, in any order"
        )
    return found


def _interval(x: xr.DataArray, noted: object, dt: float | None) -> float:
    """Time from one frame to the next: as given, noted in the attributes, or that of the times.

    Raises:
        ArgumentError: none of them says it, or two of them do not agree.
    """
    known: dict[str, Any] = {"dt": dt, "the attribute `dt` of activity": noted}
    said = {name: value for name, value in known.items() if value is not None}
    if "time" in x.coords and len(x) > 1:
        said["the typical spacing of the times of activity"] = sampling.typical(x["time"], NAME)
    if not said:
        raise ArgumentError(
            "activity does not say its sampling interval; give dt, the time from one frame to the "
            "next (in the unit in which W is wanted per time), or a coordinate `time`"
        )
    for name, value in said.items():
        if not _is_number(value) or not 0 < value < np.inf:
            raise ArgumentError(
                f"{name} is {value!r}, expected one positive number, the time from one frame to "
                "the next"
            )
    (first, wanted), *others = said.items()
    for name, value in others:
        if abs(float(value) - float(wanted)) > sampling.AGREE * float(wanted):
            raise ArgumentError(
                f"{first} is {wanted:g}, but {name} is {value:g} (seconds, if they are dates); "
                "leave dt out, or correct whichever is wrong"
            )
    return float(wanted)


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_)
