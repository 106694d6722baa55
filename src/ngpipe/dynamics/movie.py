"""Movies that drive neurons: generated, or read from a file."""

import importlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from scipy.ndimage import gaussian_filter
from scipy.special import ndtr
from torch.nn.functional import interpolate

from ngpipe import store
from ngpipe.config.assembly.inputs import Movie, Video
from ngpipe.errors import ConfigError, StoreError

Images = Float[np.ndarray, "image y x"]


def generate(cfg: Movie, side: int) -> Images:
    r"""A movie with a static image, blobs that drift over it, and evenly spread grey values.

    .. math:: v = \mathrm{low} + (\mathrm{high} - \mathrm{low})\,
        \Phi\!\left(\sqrt{s}\, u(x, y) + \sqrt{1 - s}\, m(x, y, t)\right)

    Phi is the normal distribution function; u is white noise smoothed over a twelfth of the image,
    m the sum of ``n_blobs`` Gaussian blobs of either sign on closed, smooth paths, without its
    average over time; both have unit variance, so s is the static share of the variance.

    Args:
        cfg: the config section.
        side: pixels along each side.
    """
    generator = np.random.default_rng(cfg.seed)
    static = gaussian_filter(generator.standard_normal((side, side)), side / 12, mode="reflect")
    moving = np.zeros(1)
    for _ in range(cfg.n_blobs):
        moving = moving + _blob(cfg.n_images, side, generator)
    moving = moving - moving.mean(axis=0)
    static = (static - static.mean()) / static.std()
    mixed = cfg.static**0.5 * static + (1 - cfg.static) ** 0.5 * moving / moving.std()
    return cfg.low + (cfg.high - cfg.low) * ndtr(mixed)


def _blob(n_images: int, side: int, generator: np.random.Generator) -> Images:
    """One blob on a Lissajous path that closes after the whole movie."""
    t = 2 * np.pi * np.arange(n_images)[:, None, None] / n_images
    most = min(2, n_images - 1)  # two turns in two images would stand still
    turns, phase = generator.integers(1, most + 1, 2), generator.uniform(0, 2 * np.pi, 2)
    x0, y0 = 0.5 + 0.45 * np.sin(turns[:, None, None, None] * t + phase[:, None, None, None])
    centres = (np.arange(side) + 0.5) / side
    width = generator.uniform(0.08, 0.16)
    squared = (centres[None, None, :] - x0) ** 2 + (centres[None, :, None] - y0) ** 2
    return generator.choice([-1.0, 1.0]) * np.exp(-squared / (2 * width**2))


def read(cfg: Video) -> Images:
    """Read a movie file: ``(image, y, x)``, row 0 on top.

    Raises:
        ConfigError: the file is missing or unreadable, has the wrong rank, fewer than two images,
            or holds values that are not finite numbers.
    """
    path = Path(cfg.path)
    reader = _READERS.get(path.suffix.lower())
    if not path.exists():
        raise ConfigError(f"simulation.input.path: no file at {path.absolute()}")
    if reader is None:
        raise ConfigError(
            f"simulation.input.path: {path} is not a movie file; expected one of "
            f"{', '.join(_READERS)}"
        )
    try:
        images = np.asarray(reader(path, cfg))
    except ConfigError:
        raise
    except ImportError as error:
        raise ConfigError(
            f"{path} needs the package av to be read; install it with: pip install 'ngpipe[video]'"
        ) from error
    except Exception as error:  # readers of foreign files raise whatever they like
        raise ConfigError(
            f"{path} cannot be read as a movie ({type(error).__name__}: {error}); write the file "
            "again, or name another in simulation.input.path"
        ) from error
    return _rescaled(_checked(images, path), cfg)


def resized(images: Images, side: int) -> Float[np.ndarray, "image {side} {side}"]:
    """Resample to ``side`` pixels a side: averaged over areas where it shrinks, else bilinear."""
    if images.shape[1:] == (side, side):
        return images
    movie = torch.from_numpy(np.ascontiguousarray(images, dtype=np.float64))[:, None]
    smaller = [min(n, side) for n in images.shape[1:]]
    movie = interpolate(movie, size=smaller, mode="area")
    movie = interpolate(movie, size=(side, side), mode="bilinear", align_corners=False)
    return movie[:, 0].numpy()


def _checked(images: np.ndarray, path: Path) -> Images:
    largest = {"uint8": 255, "uint16": 65_535}.get(images.dtype.name, 1)
    if images.dtype.kind not in "buif":
        raise ConfigError(f"{path} holds {images.dtype.name}, expected real numbers; convert it")
    if images.ndim == 4 and images.shape[-1] in (3, 4):
        images = images[..., :3].mean(axis=-1, dtype=np.float64)
    if images.ndim != 3 or images.size == 0:
        raise ConfigError(
            f"{path} holds an array of shape {images.shape}; a movie is (image, y, x), or "
            "(image, y, x, colour)"
        )
    if len(images) < 2:
        raise ConfigError(f"{path} holds {len(images)} image; a movie needs at least 2")
    images = images / np.float64(largest)
    bad = ~np.isfinite(images)
    if bad.any():
        raise ConfigError(
            f"{path} holds {bad.sum()} values that are not finite, the first in image "
            f"{bad.any(axis=(1, 2)).argmax()}; replace them"
        )
    return images


def _rescaled(images: Images, cfg: Video) -> Images:
    if cfg.low is None or cfg.high is None:
        return images
    smallest, largest = images.min(), images.max()
    if smallest == largest:
        raise ConfigError(
            f"{cfg.path} is {smallest:g} everywhere, so it cannot be rescaled to "
            f"{cfg.low:g} .. {cfg.high:g}; leave out low and high, or name another movie"
        )
    return cfg.low + (cfg.high - cfg.low) * (images - smallest) / (largest - smallest)


def _read_zarr(path: Path, cfg: Video) -> np.ndarray:
    try:
        dataset = store.read(path, {})
    except StoreError as error:
        raise ConfigError(
            f"{path} cannot be read as a movie; write it again, or name another in "
            f"simulation.input.path: {error}"
        ) from error
    names = sorted(map(str, dataset.data_vars))
    name = names[0] if cfg.variable is None and len(names) == 1 else cfg.variable
    if name not in names:
        raise ConfigError(
            f"{path} holds {names}, not '{name}'; say which one is the movie in "
            "simulation.input.variable"
        )
    return dataset[name].values


def _read_tif(path: Path, _: Video) -> np.ndarray:
    with importlib.import_module("tifffile").TiffFile(path) as file:
        series = file.series[0]
        if series.axes in ("YXS", "SYX"):
            raise ConfigError(f"{path} holds 1 image, in colour; a movie needs at least 2")
        return series.asarray()


def _read_npy(path: Path, _: Video) -> np.ndarray:
    return np.load(path, allow_pickle=False)


def _read_video(path: Path, _: Video) -> np.ndarray:
    imageio = importlib.import_module("imageio.v3")
    return imageio.imread(path, plugin="pyav" if path.suffix != ".gif" else "pillow")


_READERS: dict[str, Callable[[Path, Video], np.ndarray]] = {
    ".tif": _read_tif,
    ".tiff": _read_tif,
    ".npy": _read_npy,
    ".zarr": _read_zarr,
    ".mp4": _read_video,
    ".avi": _read_video,
    ".mov": _read_video,
    ".gif": _read_video,
}
