"""The assembly that was recovered from activity at hand."""

import textwrap
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr
from sklearn.metrics import r2_score

from ngpipe import store
from ngpipe.api import containers
from ngpipe.artifacts import sampling, survey
from ngpipe.artifacts.recordings import Opened
from ngpipe.assembly.closed_form.diagnosis import Diagnosis
from ngpipe.assembly.gnn import AssemblyGNN
from ngpipe.assembly.readout import types_in_words
from ngpipe.assembly.recording import STRETCH, Recording
from ngpipe.assembly.rollout import FAR, roll_out
from ngpipe.config.assembly.training import Training
from ngpipe.dynamics.integrate import free_run
from ngpipe.errors import ArgumentError, DoubtfulWarning
from ngpipe.figures.assembly.overview import Figure, overview
from ngpipe.schemas import assembly as schemas

SHOWN = 1_000
"""Frames of free prediction in a plot, at most."""
WIDTH = 88
"""Columns of text."""


@dataclass(frozen=True, eq=False, repr=False)
class RecoveredAssembly:
    """Connectivity, types and functions of an assembly, and a model that predicts it."""

    recovery: xr.Dataset
    """All that was recovered, as in ``recovery.zarr``: also ``latent``, ``visited``, ``connected``
    (which connections are called present) and a learned ``external_input``."""
    model: AssemblyGNN
    """The trained model."""
    diagnosis: Diagnosis | None
    """How well the recording determines W: ``.sentence``, and numbers as ``.expected_r2``. None if
    the recording is too short to tell."""
    training: Training
    """Options of the training."""
    held_out_loss: float
    """Mean squared error of the rate on held-out frames, over its mean square in training frames:
    that of predicting no change is about 1."""
    log: pd.DataFrame
    """Losses during training, as in ``training.csv``."""
    found: Opened
    """The recording: its stretches, and the frames that were held out."""

    @property
    def connectivity(self) -> xr.DataArray:
        """W[post, pre], row i the inputs of neuron i; 1 over the unit of dt."""
        return self.recovery["connectivity"]

    @property
    def errors(self) -> xr.DataArray:
        """Standard error of every weight ``(post, pre)``; NaN where it is not known."""
        unknown = xr.full_like(self.connectivity, np.nan).rename("connectivity_error")
        return self.recovery.get("connectivity_error", unknown)

    @property
    def types(self) -> xr.DataArray:
        """Type of every neuron, numbered from 0."""
        return self.recovery["neuron_type"]

    @property
    def phi(self) -> xr.DataArray:
        """Update function phi of every neuron ``(neuron, x)``; 1 over the unit of dt."""
        return self.recovery["phi"]

    @property
    def psi(self) -> xr.DataArray:
        """Transfer function psi ``(neuron, x)``, or ``(pair, x)`` of pairs of types."""
        return self.recovery["psi"]

    @property
    def dt(self) -> float:
        """Time from one frame to the next."""
        return self._recording.dt

    @property
    def neurons(self) -> np.ndarray:
        """Names of the neurons; numbers where they have none."""
        return containers.labels_of(self.connectivity, "post")

    def predict(
        self,
        initial: Any,  # noqa: ANN401
        n_frames: int | None = None,
        *,
        times: Any = None,  # noqa: ANN401
        start: int = 0,
    ) -> xr.DataArray:
        r"""Free prediction: :math:`x(t + dt) = x(t) + dt\, \dot x(t)`, from one frame on.

        Args:
            initial: activity of every neuron at time 0; with labels, in any order.
            n_frames: frames to predict; the result has one more, the initial one.
            times: in place of ``n_frames``, times from the initial frame on, multiples of dt.
            start: frame of the recording at which ``initial`` holds. It matters only to a model
                with an external input.

        Returns:
            Activity ``(time, neuron)``, NaN from where the model diverges.

        Raises:
            ArgumentError: both of ``n_frames`` and ``times``, or none of them; times between two
                frames; activity of other neurons.
        """
        frames = self._frames(n_frames, times)
        x0 = containers.vector(initial, self.neurons, "initial").astype(np.float32)
        with torch.no_grad():
            predicted, diverged = free_run(
                self.model.as_drift(),
                torch.from_numpy(x0).to(self.model.latent.device),
                dt=self.dt,
                n_frames=int(frames.max()) + 1,
                first=start,
                limit=FAR * self._recording.scales().reach,
            )
        if diverged is not None:
            warnings.warn(
                f"the model diverges after {diverged} frames: activity goes beyond {FAR:g} times "
                "the recording's largest, and is NaN from there on. Start from activity like that "
                "of the recording, or train longer",
                DoubtfulWarning,
                stacklevel=2,
            )
        return xr.DataArray(
            predicted.cpu().numpy()[frames],
            dims=containers.DIMS,
            coords={"time": self.dt * frames, "neuron": self.neurons},
            name="activity",
        )

    def score(
        self,
        activity: Any,  # noqa: ANN401
        drift: Any = None,  # noqa: ANN401
    ) -> float:
        r"""R2 of the rate predicted one step ahead, mean over neurons (as in scikit-learn).

        .. math:: R^2 = 1 - \sum_t (\hat{\dot x} - \dot x)^2 / \sum_t (\dot x - \bar{\dot x})^2,
            \qquad \dot x = (x(t + dt) - x(t)) / dt

        1 is perfect, a constant rate has 0, and it may be negative. It is taken of the change and
        not of x(t + dt) itself, of which predicting no change would already explain nearly all.

        Args:
            activity: of the same neurons at the same dt, in any form that ``recover`` takes; best
                of frames that it has not seen.
            drift: exact rate, in the place of differences.

        Raises:
            ArgumentError: other neurons, another dt, or a model with an external input, which is
                known for its own recording alone.
            StoreError: times that are no times.
        """
        if self.model.external is not None:
            raise ArgumentError(
                "score of a model with an external input (training.input: "
                f"{self.training.input}): the input of other activity is not known; see the "
                "held_out losses in `log`"
            )
        recording = self._of(activity, drift)
        if recording.n_usable < 2:
            raise ArgumentError(
                f"activity has {recording.n_usable} frames with a finite rate, expected at least "
                "2; give more frames"
            )
        targets, predicted = [], []
        with torch.no_grad():
            for frames in recording.usable.split(STRETCH):
                x, target = recording.batch(frames)
                rate = self.model(recording.times(frames), x.to(self.model.latent.device))
                targets.append(target)
                predicted.append(rate.cpu())
        return float(r2_score(torch.cat(targets).numpy(), torch.cat(predicted).numpy()))

    def plot(self, n_frames: int | None = None) -> Figure:
        """Activity, W, latents, phi, psi, and free prediction of held-out activity.

        Args:
            n_frames: frames of the prediction. None: as many as follow one another after a frame
                that was held out, 1,000 at most.

        Raises:
            StoreError: so many frames do not follow one another.
        """
        shown = min(SHOWN, self._recording.longest_rollout) if n_frames is None else n_frames
        rollout = store.described(roll_out(self.model, self._recording, shown), schemas.ROLLOUT)
        x = self._recording.activity[:].cpu().numpy()
        time = self.dt * np.arange(len(x))
        activity = xr.Dataset({"activity": (containers.DIMS, x)}, coords={"time": time})
        recorded = store.described(activity, schemas.SIMULATION)
        return overview(recorded, self.recovery, rollout, self.log)

    def __repr__(self) -> str:
        recording, off = self._recording, ~np.eye(len(self.neurons), dtype=bool)
        weights = f"W[post, pre], {off.sum():,} weights [{self.connectivity.attrs['units']}]"
        if "connected" in self.recovery:
            present = int(self.recovery["connected"].values[off].sum())
            error = float(np.nanmedian(self.errors.values[off]))
            weights += f", {present:,} called present; median standard error {error:.2g}"
        sizes = np.bincount(self.types.values)
        types = f"{types_in_words(self.recovery)} ({', '.join(map(str, sizes))} neurons)"
        told = "none: the recording is too short to tell"
        lines = {
            "connectivity": weights,
            "types": types,
            "held-out loss": f"{self.held_out_loss:.3g} of the mean squared rate",
            "diagnosis": told if self.diagnosis is None else self.diagnosis.sentence,
        }
        head = (
            f"Assembly of {recording.n_neurons} neurons, recovered from {recording.n_frames:,} "
            f"frames (dt {self.dt:g}, solver {self.training.solver})"
        )
        return "\n".join([head, *(_line(name, text) for name, text in lines.items())])

    @property
    def _recording(self) -> Recording:
        return self.found.recording

    def _frames(self, n_frames: int | None, times: Any) -> np.ndarray:  # noqa: ANN401
        """Frames to predict, counted from the initial one."""
        if (n_frames is None) == (times is None):
            raise ArgumentError("predict needs either n_frames or times; give one of them")
        if n_frames is not None:
            if n_frames < 0:
                raise ArgumentError(f"n_frames is {n_frames}, expected 0 or more")
            return np.arange(n_frames + 1)
        wanted = np.asarray(times, dtype=np.float64).reshape(-1) / self.dt
        frames = np.round(wanted)
        off = ~(np.abs(wanted - frames) <= sampling.AGREE) | (frames < 0)
        if off.any() or not len(frames):
            first = f"{wanted[off][0] * self.dt:g}" if off.any() else "empty"
            raise ArgumentError(
                f"times is {first}, expected multiples of dt ({self.dt:g}) from 0 on, as the "
                "model steps from frame to frame; round them"
            )
        return frames.astype(np.int64)

    def _of(self, activity: Any, drift: Any) -> Recording:  # noqa: ANN401
        """Other activity of the same neurons."""
        known = activity.attrs.get("dt") if hasattr(activity, "attrs") else None
        own = None if known is not None else self.dt
        seen = ["activity", "time", "segment", "session"]
        dataset = containers.recorded(activity, dt=own, drift=drift, variables=seen)
        if abs(dataset.attrs["dt"] - self.dt) > sampling.AGREE * self.dt:
            raise ArgumentError(
                f"activity has dt {dataset.attrs['dt']:g}, but the model is of dt {self.dt:g}; "
                "give activity at the same interval"
            )
        dataset = containers.in_order(dataset, self.neurons, "activity")
        broken = sampling.breaks(dataset, containers.NAME)
        found = survey.survey(dataset, containers.NAME, [*seen, "drift"])
        x, rate = (_tensor(dataset.get(name)) for name in ("activity", "drift"))
        stretches = survey.stretches(found.finite, broken)
        steps = sampling.steps(dataset, containers.NAME)
        return Recording(
            x,
            rate,
            dt=self.dt,
            held_out=0.5,
            stretches=stretches,
            intervals=None if steps is None else torch.from_numpy(steps),
        )


def _tensor(values: xr.DataArray | None) -> Any:  # noqa: ANN401
    return None if values is None else torch.from_numpy(values.values.astype(np.float32))


def _line(name: str, text: str) -> str:
    return textwrap.fill(
        f"{text}", WIDTH, initial_indent=f"  {name:<15}", subsequent_indent=" " * 17
    )
