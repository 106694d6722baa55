"""The stores of an experiment -> the movie of a panel, as gif."""

from pathlib import Path
from typing import Any

from ngpipe import hashing, store
from ngpipe.artifacts import materials
from ngpipe.config.figures import Panel, Style
from ngpipe.figures import movie


def run(spec: Panel, style: Style, directory: Path, output: Path, *, key: str) -> None:
    """Draw the movie of one panel.

    Args:
        spec: the panel.
        style: how it looks.
        directory: the results of the experiment it draws on.
        output: where to, without suffix; a manifest goes beside the movie.
        key: chain key.
    """
    provenance = store.Provenance("movie", key, spec.model_dump(mode="json"))
    target = output.with_name(f"{output.name}.gif")
    with store.result(target) as partial:
        material: Any = materials.load(directory, spec, style)  # the one of its kind of panel
        movie.save(material, partial)
    manifest = {"files": {target.name: hashing.file_digest(target)}, **store.record(provenance)}
    store.write_manifest(output.with_name(f"{output.name}.movie.json"), manifest)
