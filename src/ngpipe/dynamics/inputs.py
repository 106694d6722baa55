r"""External inputs :math:`\Omega_i(t)`: tables of images in time, and where their neurons sit.

Every input is a table ``(image, driven neuron)`` and a rule that says which image shows at time t;
neurons that are not driven have the value that changes nothing: 1 where the input multiplies, 0
where it adds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import isqrt
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import grid_sample

from ngpipe.arrays import PerNeuron
from ngpipe.config.assembly.inputs import Input as InputConfig
from ngpipe.config.assembly.inputs import Mode, Movie, Oscillation, Pulses, Video
from ngpipe.dynamics.movie import Images, generate, read, resized
from ngpipe.errors import ConfigError

Positions = Float[np.ndarray, "neuron 2"]


@dataclass(frozen=True)
class ExternalInput:
    """Input of all neurons as a function of time."""

    table: Float[Tensor, "image neuron"]
    """Omega of every neuron in every image [1 or 1/tau]."""
    period: float
    """Time from one image to the next [tau]; the first one begins at time 0."""
    interpolation: Literal["held", "linear"]
    mode: Mode
    before: PerNeuron
    """Omega of every neuron before time 0: during burn-in."""

    def image(self, t: float | np.ndarray) -> float | np.ndarray:
        """Index of the image at time t [tau]; a fraction lies between two of them."""
        index = np.asarray(t) / self.period
        if self.interpolation == "held":
            # Rounding must not show an image one frame late; a frame is far more than the addend.
            index = np.floor(index + 1e-9)
        return np.clip(index, 0, len(self.table) - 1)

    def at(self, t: float) -> PerNeuron:
        """Omega of every neuron at time t [tau]."""
        if t < 0:
            return self.before
        index = float(self.image(t))
        left = int(index)
        if index == left:
            return self.table[left]
        return torch.lerp(self.table[left], self.table[left + 1], index - left)

    def to(self, device: torch.device) -> "ExternalInput":
        """The same input on another device."""
        return replace(self, table=self.table.to(device), before=self.before.to(device))


def external_input(
    cfg: InputConfig, positions: Positions, *, n_frames: int, dt: float
) -> ExternalInput:
    """The input a config describes.

    Args:
        cfg: the config section `simulation.input`.
        positions: of all neurons; the first ``cfg.n_inputs`` are driven.
        n_frames: frames of the recording; the images of a movie share them evenly.
        dt: time from frame to frame [tau].

    Raises:
        ConfigError: the movie file is unusable, a driven neuron lies outside the unit square, or
            the field is zero everywhere.
    """
    if isinstance(cfg, Movie | Video):
        images = IMAGES[type(cfg)](cfg)
        driven = sample(images, positions[: cfg.n_inputs])
        spans = len(images) - (cfg.interpolation == "linear")
        period, interpolation = n_frames * dt / spans, cfg.interpolation
    else:
        period, interpolation = cfg.every * dt, "linear"
        times = period * np.arange(-(-n_frames // cfg.every) + 1)
        driven = TRACES[type(cfg)](cfg, times)
    if not np.any(driven):
        raise ConfigError(
            "simulation.input: the input is zero everywhere and at all times; expected one that "
            "drives its neurons, so name another movie or raise amplitude and rate"
        )
    rest = 1.0 if cfg.mode == "multiplicative" else 0.0
    table = np.full((len(driven), len(positions)), rest, dtype=np.float32)
    table[:, : cfg.n_inputs] = driven
    before = {
        "first_frame": torch.from_numpy(table[0].copy()),
        "one": torch.ones(len(positions)),
        "zero": torch.zeros(len(positions)),
    }[cfg.burn_in_input]
    return ExternalInput(torch.from_numpy(table), period, interpolation, cfg.mode, before)


def grid_positions(cfg: Movie | Video, generator: np.random.Generator) -> Positions:
    """Cell centres of a square grid over the unit square, row by row from the top, jittered.

    Raises:
        ConfigError: the jitter moves a neuron out of the unit square.
    """
    side = isqrt(cfg.n_inputs)
    centres = (np.arange(side) + 0.5) / side
    x, y = np.meshgrid(centres, centres[::-1])
    positions = np.stack([x.ravel(), y.ravel()], axis=1)
    positions += cfg.jitter * generator.standard_normal(positions.shape)
    outside = np.flatnonzero(((positions < 0) | (positions > 1)).any(axis=1))
    if len(outside):
        raise ConfigError(
            f"simulation.input.jitter ({cfg.jitter:g}) moves {len(outside)} driven neurons out of "
            f"the unit square, the first of them number {outside[0]} to "
            f"{positions[outside[0]].round(4).tolist()}; lower it"
        )
    return positions


def sample(images: Images, positions: Positions) -> Float[np.ndarray, "image neuron"]:
    """Read every image at positions in the unit square; y points up, row 0 is on top.

    Bilinear between pixel centres, constant in the outer half pixel.

    Raises:
        ConfigError: a position lies outside the unit square.
    """
    if (positions < 0).any() or (positions > 1).any():
        worst = positions[np.abs(positions - 0.5).max(axis=1).argmax()]
        raise ConfigError(
            f"a driven neuron lies at {worst.tolist()}, outside the unit square that the movie "
            "covers; move it inside"
        )
    where = torch.from_numpy(2 * positions - 1) * torch.tensor([1.0, -1.0])
    movie = torch.from_numpy(np.ascontiguousarray(images, dtype=np.float64))[None]
    values = grid_sample(
        movie, where[None, None], mode="bilinear", padding_mode="border", align_corners=False
    )
    return values[0, :, 0].numpy()


def _oscillations(cfg: Oscillation, times: np.ndarray) -> np.ndarray:
    generator = np.random.default_rng(cfg.seed)
    low, high = np.log(cfg.period)
    period = np.exp(generator.uniform(low, high, cfg.n_inputs))
    phase = generator.uniform(0, 2 * np.pi, cfg.n_inputs)
    return cfg.baseline + cfg.amplitude * np.sin(2 * np.pi * times[:, None] / period + phase)


def _pulses(cfg: Pulses, times: np.ndarray) -> np.ndarray:
    """Pulses of one neuron add up where they overlap."""
    generator = np.random.default_rng(cfg.seed)
    step = times[1] - times[0]
    triggers = generator.poisson(cfg.rate * step, (len(times), cfg.n_inputs))
    # Half a second to load, for this one kind of input.
    from scipy.signal import lfilter

    trace = lfilter([1.0], [1.0, -np.exp(-step / cfg.decay)], triggers, axis=0)
    return cfg.baseline + cfg.amplitude * trace


IMAGES: Mapping[type, Callable[[Any], Images]] = {
    Movie: lambda cfg: generate(cfg, isqrt(cfg.n_inputs)),
    Video: lambda cfg: resized(read(cfg), isqrt(cfg.n_inputs)),
}
"""Inputs that neurons see as images, by section."""
TRACES: Mapping[type, Callable[[Any, np.ndarray], np.ndarray]] = {
    Oscillation: _oscillations,
    Pulses: _pulses,
}
"""Inputs with a trace of their own for each neuron, by section: (section, times) -> table."""
