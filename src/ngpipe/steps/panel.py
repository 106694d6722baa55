"""The stores of an experiment -> one panel, as svg and png."""

from pathlib import Path

from ngpipe import store
from ngpipe.config.figures import Panel, Style
from ngpipe.figures import compose
from ngpipe.steps import materials


def run(spec: Panel, style: Style, directory: Path, output: Path) -> None:
    """Draw one panel.

    Args:
        spec: what to draw.
        style: how it looks.
        directory: the results of the experiment it draws on.
        output: where to, without suffix.
    """
    figure = compose.panel_figure(materials.load(directory, spec, style))
    for suffix in (".svg", ".png"):
        with store.atomic(output.with_name(output.name + suffix)) as partial:
            compose.save(figure, partial, style)
