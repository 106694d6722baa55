"""A connectome, named, generated or read -> ``connectome.zarr``."""

from pathlib import Path

from ngpipe.artifacts.progress import say_notes
from ngpipe.config.wiring import Wiring
from ngpipe.wiring.sources.opened import noting
from ngpipe.wiring.sources.table import read_source


def run(cfg: Wiring, directory: Path, *, key: str) -> None:
    """Write a connectome, each weight with the sign of its sender.

    Args:
        cfg: where it comes from, and what senders without a known sign do.
        directory: the store goes there.
        key: chain key.

    Raises:
        StoreError: a source that is not there, with the ways to get it.
        ConnectomeError: one that contradicts itself.
    """
    with noting() as shown:
        connectome = read_source(cfg.source).signed(cfg.without_sign)
    say_notes("wire", connectome.notes, shown)
    connectome.save(directory / "connectome.zarr", key, cfg.model_dump(mode="json"))
