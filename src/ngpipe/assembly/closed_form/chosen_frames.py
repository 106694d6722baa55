"""The frames that the closed-form solver works on, and what senders send at them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ngpipe.assembly.closed_form.spline import Basis, Spline
from ngpipe.assembly.fitted_input import InputSeries
from ngpipe.assembly.recording import NOT_FINITE, Recording
from ngpipe.errors import DivergenceError

CHUNK_ELEMENTS = 2**22
"""Activities whose basis functions are held at once: 0.5 GB with 32 of them in float32."""


STRETCH_BYTES = 256 * 2**20
"""Memory for the columns of the equations at a stretch of frames."""

STEP = 0.02
"""Change of activity over which derivatives are taken, in units of splines."""
TINY, SMOOTH, STIFF = 1e-13, 1e-9, 1e-4
"""Weights on the size and on the roughness of phi, relative to its basis' mean square; the last
where rates are estimated, whose few frames at the ends of activity would make phi wild."""


@dataclass(frozen=True)
class Transfer:
    """psi of every sender's group: a spline each, psi(0) = 0."""

    spline: Spline
    coefficients: Float[Tensor, "group basis"]
    group: Int[Tensor, " pre"]
    """Index of the function of each sender."""

    def sent(self, x: Float[Tensor, "frame pre"]) -> Float[Tensor, "frame pre"]:
        """Psi of every sender at its activity, in the precision of the coefficients."""
        own = self.coefficients[self.group]
        at_rest = self.spline.read(self.coefficients, own.new_zeros(1, len(self.coefficients)))
        rows = max(1, CHUNK_ELEMENTS // (4 * x.shape[1]))
        parts = [self.spline.read(own, part.to(own.dtype)) for part in x.split(rows)]
        return torch.cat(parts) - at_rest[0, self.group]

    @property
    def height(self) -> Float[Tensor, " group"]:
        """Half the difference of psi between half of its reach on either side."""
        reach = self.coefficients.new_tensor([-0.5, 0.5]) * self.spline.reach
        low, high = self.curves(reach).T
        return (high - low) / 2

    def curves(self, x: Float[Tensor, " x"]) -> Float[Tensor, "group x"]:
        """Psi of every group on a grid."""
        points = x.to(self.coefficients.dtype)[:, None].expand(-1, len(self.coefficients))
        return (
            self.spline.read(self.coefficients, points)
            - self.spline.read(self.coefficients, torch.zeros_like(points[:1]))
        ).T

    def on(self, spline: Spline) -> "Transfer":
        """The same functions on another spline."""
        return replace(
            self, spline=spline, coefficients=spline.refit(self.spline, self.coefficients)
        )

    def split(self, group: Int[Tensor, " pre"]) -> "Transfer":
        """One function for each of new groups of senders: at first that of its first member."""
        first = [int((group == k).nonzero()[0, 0]) for k in range(int(group.max()) + 1)]
        return replace(self, coefficients=self.coefficients[self.group[first]], group=group)


@dataclass(frozen=True)
class Frames:
    r"""Some frames of a recording, as the rows of W see them.

    A multiplicative input that is known divides a row's equation,
    :math:`y / \Omega = \phi / \Omega + \sum_j W_{ij} \psi_j`, so that all rows keep one Gram
    matrix; an additive one is subtracted.
    """

    x: Float[Tensor, "frame neuron"]
    rate: Float[Tensor, "frame neuron"]
    phi: Basis
    times: Float[Tensor, " frame"]
    omega: Float[Tensor, "frame neuron"] | None = None
    mode: str | None = None
    stiffness: float = SMOOTH
    """Weight on the roughness of phi."""
    inputs: Float[Tensor, "frame input"] | None = None
    """Recorded inputs, each a further column of every row."""
    drive: Float[Tensor, "frame neuron"] | None = None
    """Of multiplicative ones: sum_j W_ij psi_j as far as it is known, which they scale."""
    kappa: Float[Tensor, " neuron"] | None = None
    """Covariance of the noise of every state and its rate, if they share some."""

    def __len__(self) -> int:
        return len(self.x)

    @property
    def n_neurons(self) -> int:
        """Number of neurons."""
        return self.x.shape[1]

    def divisor(self, rows: Int[Tensor, " row"]) -> Float[Tensor, "frame row"] | float:
        """Multiplicative input of some rows; 1 if there is none."""
        if self.omega is None or self.mode != "multiplicative":
            return 1.0
        return self.omega[:, rows].double()

    def target(self, rows: Int[Tensor, " row"]) -> Float[Tensor, "frame row"]:
        """Rate of some rows, free of what is known of their input."""
        rate = self.rate[:, rows].double()
        if self.omega is not None and self.mode == "additive":
            rate = rate - self.omega[:, rows]
        return rate / self.divisor(rows)

    def own(
        self, rows: Int[Tensor, " row"], shift: Float[Tensor, " row"] | float = 0.0
    ) -> Float[Tensor, "frame row column"]:
        """Basis of phi of some rows, at their activity or that far from it, and their inputs."""
        columns = self.phi.basis(self.x[:, rows].double() + shift)
        if self.inputs is not None:
            more = self.inputs.double()[:, None].expand(-1, len(rows), -1)
            if self.drive is not None:
                more = more * self.drive[:, rows, None]
            columns = torch.cat([columns, more], 2)
        divisor = self.divisor(rows)
        return columns if isinstance(divisor, float) else columns / divisor[..., None]

    def own_noise(self, rows: Int[Tensor, " row"]) -> Float[Tensor, "row column"]:
        r"""Products of own columns with the noise that state and rate share.

        .. math:: \langle \epsilon_i b_k(x_i) \rangle = \kappa_i \langle b_k'(x_i) \rangle
        """
        if self.kappa is None:
            return torch.zeros(len(rows), self.n_own, dtype=torch.float64, device=self.x.device)
        step = STEP * self.phi.unit
        rise = (self.own(rows, step) - self.own(rows, -step)) / (2 * step)
        divisor = self.divisor(rows)
        if not isinstance(divisor, float):
            rise = rise / divisor[..., None]
        return self.kappa[rows, None] * rise.mean(0)

    @property
    def n_own(self) -> int:
        """Columns of a row of its own: phi, and inputs."""
        return self.phi.n + (0 if self.inputs is None else self.inputs.shape[1])

    def thinned(self, n: int) -> "Frames":
        """At most ``n`` of the frames, evenly spaced."""
        few = self.part(slice(0, None, max(1, -(-len(self) // n))))
        return replace(few, x=few.x.contiguous(), rate=few.rate.contiguous())

    def stretches(self, width: int) -> Iterator["Frames"]:
        """The frames in stretches that fit the memory, each frame needing ``width`` numbers."""
        size = stretch_length(width)
        for start in range(0, len(self), size):
            yield self.part(slice(start, start + size))

    def part(self, part: slice) -> "Frames":
        """Some of the frames."""
        return replace(
            self,
            x=self.x[part],
            rate=self.rate[part],
            times=self.times[part],
            omega=None if self.omega is None else self.omega[part],
            inputs=None if self.inputs is None else self.inputs[part],
            drive=None if self.drive is None else self.drive[part],
        )


def smoothness(equations: "Equations", device: torch.device) -> Float[Tensor, "column column"]:
    """Small penalty on the roughness of phi, so that it is a line where a neuron has no data.

    It is zero for the columns of inputs.
    """
    eye = torch.eye(equations.phi.n, dtype=torch.float64, device=device)
    of_phi = TINY * eye + equations.stiffness * equations.phi.roughness(eye[0, 0])
    more = equations.n_own - equations.phi.n
    return torch.block_diag(of_phi, of_phi.new_zeros(more, more)) if more else of_phi


OmegaAt = Callable[[Float[Tensor, " time"]], Float[Tensor, "time neuron"]]
"""Input of all neurons at some times [tau]."""
DriveOf = Callable[[Float[Tensor, "frame neuron"]], Float[Tensor, "frame neuron"]]
"""From activity to what every neuron receives, sum_j W_ij psi_j."""


@dataclass(frozen=True)
class Source:
    """Frames that are read from the recording when they are needed, a stretch at a time."""

    recording: Recording
    chosen: Int[Tensor, " frame"]
    phi: Basis
    omega_at: OmegaAt | None = None
    """The input, if it is known."""
    mode: str | None = None
    kappa: Float[Tensor, " neuron"] | None = None
    """Covariance of the noise of every state and its rate, if they share some."""
    drive_of: DriveOf | None = None
    """What recorded inputs scale, if they are multiplicative, as far as it is known."""

    def __len__(self) -> int:
        return len(self.chosen)

    @property
    def stiffness(self) -> float:
        """Weight on the roughness of phi."""
        return STIFF if self.recording.reach is not None else SMOOTH

    @property
    def n_neurons(self) -> int:
        """Number of neurons."""
        return self.recording.n_neurons

    @property
    def n_own(self) -> int:
        """Columns of a row of its own: phi, and inputs."""
        series = self._series
        return self.phi.n + (0 if series is None else series.values.shape[1])

    @property
    def _series(self) -> InputSeries | None:
        """Inputs that are columns: additive ones, and others once it is known what they scale."""
        series = self.recording.inputs
        unknown = series is not None and series.mode != "additive" and self.drive_of is None
        return None if unknown else series

    def stretches(self, width: int) -> Iterator[Frames]:
        """The frames in stretches that fit the memory, each frame needing ``width`` numbers."""
        for chosen in self.chosen.split(stretch_length(width)):
            yield self._read(chosen)

    def part(self, part: slice) -> "Source":
        """Some of the frames."""
        return replace(self, chosen=self.chosen[part])

    def thinned(self, n: int) -> "Source":
        """At most ``n`` of the frames, evenly spaced."""
        return self.part(slice(0, None, max(1, -(-len(self) // n))))

    def read(self) -> Frames:
        """All of the frames in memory.

        Raises:
            DivergenceError: activity or rate is not finite.
        """
        return self._read(self.chosen)

    def beside(
        self, now: Int[Tensor, " frame"], past: Int[Tensor, " frame"], width: int
    ) -> Iterator[tuple[Frames, Frames]]:
        """Some frames, and as many others, a stretch at a time."""
        size = stretch_length(width)
        for here, there in zip(now.split(size), past.split(size), strict=True):
            yield self._read(here), self._read(there)

    def _read(self, chosen: Int[Tensor, " frame"]) -> Frames:
        x, rate = self.recording.batch(chosen)
        broken = ~(x.isfinite() & rate.isfinite())
        if broken.any():
            frame, neuron = torch.nonzero(broken)[0].tolist()
            raise DivergenceError(
                f"activity or rate of neuron {neuron} at frame {int(chosen[frame])} is not finite; "
                f"{NOT_FINITE}"
            )
        times = self.recording.times(chosen).to(x.device)
        omega = None if self.omega_at is None else self.omega_at(times)
        if omega is not None and self.mode == "multiplicative" and not omega.all():
            frame, neuron = torch.nonzero(omega == 0)[0].tolist()
            raise DivergenceError(
                f"the multiplicative input of neuron {neuron} is 0 at frame {int(chosen[frame])}, "
                "and the equations of the closed form are divided by it; leave such frames out, "
                "or set training.solver: gradient"
            )
        frames = Frames(x, rate, self.phi, times, omega, self.mode, self.stiffness)
        frames = replace(frames, kappa=self.kappa)
        if (series := self._series) is None:
            return frames
        drive = None if self.drive_of is None else self.drive_of(x)
        return replace(frames, inputs=series.values[chosen].to(x.device), drive=drive)


Equations = Frames | Source
"""Frames in memory, or to be read."""


def stretch_length(width: int) -> int:
    """Frames of a stretch, each needing ``width`` numbers in double precision."""
    return max(1, STRETCH_BYTES // (8 * width))
