"""Measured responses of neurons to the stimulation of others -> ``measured.zarr``."""

from pathlib import Path

from ngpipe import store
from ngpipe.config.atlas.measured import ResponseTable, WormAtlas
from ngpipe.schemas.atlas import MEASURED
from ngpipe.wiring.sources.functional_atlas import measured_responses


def run(cfg: WormAtlas | ResponseTable, directory: Path, *, key: str) -> None:
    """Write the responses under the names of the connectome.

    Args:
        cfg: where they come from.
        directory: the store goes there.
        key: chain key.

    Raises:
        StoreError: a file that is not there or not of that kind, with the ways to get it.
    """
    provenance = store.Provenance("measure", key, cfg.model_dump(mode="json"))
    store.write(measured_responses(cfg), directory / "measured.zarr", MEASURED, provenance)
