"""Images of values that live at scattered sites: every pixel shows the site nearest to it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree

SIDE = 256
"""Pixels along the longer side of an image."""
HOLE = 3.0
"""Pixels farther than this from every site, in units of the spacing of sites, stay empty."""

Positions = Float[np.ndarray, "site 2"]


@dataclass(frozen=True)
class Raster:
    """Site that every pixel shows; row 0 is at the bottom, so that axis 1 points up."""

    site: Int[np.ndarray, "y x"]
    empty: Bool[np.ndarray, "y x"]
    width: float
    height: float

    def image(self, values: Float[np.ndarray, " site"]) -> np.ma.MaskedArray:
        """The image of one value per site."""
        return np.ma.masked_array(values[self.site], self.empty)


def raster(positions: Positions) -> Raster:
    """The raster of these sites; it reaches half their spacing beyond the outermost."""
    step = spacing(positions)
    low, high = positions.min(axis=0) - step / 2, positions.max(axis=0) + step / 2
    width, height = high - low
    pixel = max(width, height) / SIDE
    x, y = (
        start + (np.arange(max(1, round(length / pixel))) + 0.5) * pixel
        for start, length in zip(low, (width, height), strict=True)
    )
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    distance, site = cKDTree(positions).query(grid)
    return Raster(site, distance > HOLE * step, float(width), float(height))


def spacing(positions: Positions) -> float:
    """The median distance of a site to its nearest neighbour."""
    distance, _ = cKDTree(positions).query(positions, k=2)
    return float(np.median(distance[:, 1]))
