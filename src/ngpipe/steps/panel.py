"""The stores of an experiment -> one panel, as svg and png."""

from pathlib import Path

from ngpipe import hashing, store
from ngpipe.artifacts import materials
from ngpipe.config.figures import Panel, Style
from ngpipe.figures.drawing import compose


def run(spec: Panel, style: Style, directory: Path, output: Path, *, key: str) -> None:
    """Draw one panel.

    Args:
        spec: what to draw.
        style: how it looks.
        directory: the results of the experiment it draws on.
        output: where to, without suffix; a manifest goes beside the pictures.
        key: chain key.
    """
    provenance = store.Provenance("panel", key, spec.model_dump(mode="json"))
    figure = compose.panel_figure(materials.load(directory, spec, style))
    pictures = [output.with_name(f"{output.name}.{suffix}") for suffix in ("svg", "png")]
    for picture in pictures:
        with store.result(picture) as partial:
            compose.save(figure, partial, style)
    files = {picture.name: hashing.file_digest(picture) for picture in pictures}
    manifest = {"files": files, **store.record(provenance)}
    store.write_manifest(output.with_name(f"{output.name}.json"), manifest)
