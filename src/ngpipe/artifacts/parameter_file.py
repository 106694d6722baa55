"""Parameters on disk: one safetensors file that says what they belong to."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ngpipe import ownership, store
from ngpipe.errors import StoreError


def write(path: Path, state: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write tensors by name and what they belong to, whole or not at all."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    # One entry: the order of several is not reproducible.
    metadata = {"ngpipe": json.dumps(dict(about), sort_keys=True)}
    with store.result(path) as partial:
        partial.write_bytes(save(tensors, metadata=metadata))


def read(path: Path, what: str, step: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Metadata of parameters, and tensors by name; messages say ``what`` the file should be.

    Raises:
        StoreError: the file is absent, truncated, or not one of ngpipe.
    """
    with opened(path, what, step) as (about, tensors):
        return about, {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118


@contextmanager
def opened(path: Path, what: str, step: str) -> Iterator[tuple[dict[str, Any], Any]]:
    """Metadata of parameters, and the open file: ``get_tensor`` reads one of them.

    Raises:
        StoreError: as for :func:`read`.
    """
    if not path.is_file():
        raise StoreError(f"no {what} at {path}; {ownership.how_to_make(path)}")
    try:
        with safe_open(path, "pt") as file:
            yield json.loads(file.metadata()["ngpipe"]), file
    except (OSError, SafetensorError, KeyError, TypeError) as error:
        raise StoreError(
            f"{path} is not a {what} of ngpipe ({error}); move it away and run the step "
            f"`{step}` again"
        ) from error
