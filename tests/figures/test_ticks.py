"""Numbers of a logarithmic axis never overlap, whatever its range."""

import pytest
from drawing import overlapping, texts

from ngpipe.config.figures import Style
from ngpipe.figures.drawing.style import new_figure, styled
from ngpipe.figures.drawing.ticks import log_axis


@pytest.mark.quick(3)
@pytest.mark.parametrize("high", [1.3, 3.0, 15.0, 60.0, 1e3, 1e9, 1e15])
@pytest.mark.parametrize("low", [0.05, 3e-6, 20.0])
def test_ticks_are_there_and_apart(low, high):
    with styled(Style()):
        figure = new_figure(2.2, 2.0)
        ax = figure.subplots()
        ax.set(xlim=(low, low * high), yticks=[])
        log_axis(ax, "x")
        figure.draw_without_rendering()
        shown = [t for t in texts(figure) if t.get_text()]
        assert not overlapping(shown)
        assert len(shown) >= (0 if high < 3 else 1)
