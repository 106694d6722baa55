"""Panels of measured responses."""

from itertools import pairwise

import pytest
from drawing import panel

from ngpipe.figures.atlas.material import name_ticks

NAMES = ["none\n22,272", "1-2\n747", "3-5\n350", "6-10\n217", "any\n33"]


@pytest.mark.parametrize("width", [1.5, 2.4])
def test_numbers_of_pairs_stay_apart(width):
    def draw(ax, style):
        name_ticks(ax, NAMES, style.font_size)

    shown = panel(draw, size=(width, 1.9)).axes[0].get_xticklabels()
    assert [text.get_text() for text in shown] == NAMES
    boxes = [text.get_window_extent() for text in shown]
    assert all(left.x1 + 1 < right.x0 for left, right in pairwise(boxes))
