"""Titles over panels, with their letters: shortened where there is no room, never cut."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

GAP = 4.0
"""Gap between a title and the text next to it [pt]."""


@dataclass(frozen=True)
class Headline:
    """Title and letter of a panel."""

    ax: Axes
    title: str
    letter: str = ""

    def show(self, title: str) -> Text:
        """Write a title behind the letter."""
        before = f"$\\bf{{{self.letter}}}$  " if self.letter else ""
        return self.ax.set_title(before + title, loc="left")


def fit_headlines(headlines: Sequence[Headline]) -> None:
    """Write all titles; what is too long loses its middle.

    To be called when the figure is laid out: titles are no part of the layout, as a long one would
    narrow its axes, and a title may reach over empty room at the right of its own panel.
    """
    texts = [headline.show(headline.title) for headline in headlines]
    boxes = [_occupied(*pair) for pair in zip(headlines, texts, strict=True)]
    for k, (headline, text) in enumerate(zip(headlines, texts, strict=True)):
        others = [box for other in boxes[:k] + boxes[k + 1 :] for box in other]
        room = _room(text, others, headline.ax.figure)
        kept = len(_signs(headline.title))
        while kept > 1 and text.get_window_extent().width > room:
            kept -= 1
            headline.show(shortened(headline.title, kept))


def shortened(text: str, length: int) -> str:
    """A text of at most so many signs: its beginning and end; math stays whole."""
    signs = _signs(text)
    if len(signs) <= length:
        return text
    tail = (length - 1) // 3
    start, end = signs[: length - 1 - tail], signs[len(signs) - tail :]
    return f"{''.join(start).rstrip()}…{''.join(end).lstrip()}"


def _signs(text: str) -> list[str]:
    """The characters of a text; what stands between dollars counts as one."""
    return re.findall(r"\$[^$]*\$|.", text, flags=re.DOTALL)


def _occupied(headline: Headline, text: Text) -> list[Bbox]:
    """Boxes of the start of a title, of labels of its axes and of other text there."""
    ax = headline.ax
    parts = [ax.yaxis, ax.xaxis, *ax.texts, *ax.child_axes]
    boxes = [part.get_tightbbox(ax.figure.canvas.get_renderer()) for part in parts]
    return [text.get_window_extent(), *[box for box in boxes if box is not None]]


def _room(text: Text, boxes: Sequence[Bbox], figure: Figure | SubFigure) -> float:
    """Largest width of a title [pixel]: to the next text on its right, or the edge of the page."""
    own = text.get_window_extent()
    beside = [b.x0 for b in boxes if b.x0 > own.x0 and b.y0 < own.y1 and own.y0 < b.y1]
    return min([figure.figure.bbox.x1, *beside]) - GAP * figure.dpi / 72 - own.x0
