"""The width of a line of text is that of its outlines, curves and all."""

import pytest
from matplotlib.textpath import TextPath

from ngpipe.figures.drawing.style import text_width


@pytest.mark.parametrize("text", ["Ohno, go", "l", "R² of 0.31 ", "$W_{ij}$ of $\\alpha$"])
@pytest.mark.parametrize("size", [5.5, 12.0])
def test_it_is_that_of_the_outlines(text, size):
    exact = TextPath((0, 0), text, size=size).get_extents().width
    assert text_width(text, size) == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("text", ["", "  "])
def test_of_no_text_it_is_zero(text):
    assert text_width(text, 9.0) == 0
