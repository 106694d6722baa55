"""Named connectomes: found by path, in an installed package, or by a verified download.

Where they can be had says :mod:`ngpipe.wiring.sources.places`. Nothing of them is copied into
ngpipe: licence and citation travel in the connectome's origin.
"""

import contextlib
import json
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ngpipe.errors import StoreError
from ngpipe.wiring.container import Connectome
from ngpipe.wiring.edges import few, sender_signs
from ngpipe.wiring.origin import Origin
from ngpipe.wiring.sources import worm
from ngpipe.wiring.sources.places import (
    CELEGANS,
    OPTIC_LOBE,
    WORM_POSITIONS,
    Source,
    locate,
    packaged,
)
from ngpipe.wiring.sources.tables import read
from ngpipe.wiring.sources.unroll import TypeConnectome


def celegans(
    path: Path | str | None = None, *, positions: bool = False, download: bool = True
) -> Connectome:
    """Chemical synapses among the 300 neurons of the adult C. elegans hermaphrodite.

    Weights are numbers of EM sections with synapses, without sign; ``sign`` is -1 for the 26
    classical GABA neurons and +1 for all others, an assumption (see
    :mod:`ngpipe.wiring.sources.worm`).
    Cells other than neurons are left out and counted.

    Args:
        path: the sheet ``herm_chem_adj.csv``, ``Cook2019HermReader.json`` of cect, or a directory
            with one of them; found by itself if not given.
        positions: whether the neurons get columns ``x``, ``y`` (from head to tail) and ``z`` from
            wormneuroatlas, in the unit of its file.
        download: whether the file may be downloaded where no package has it.

    Raises:
        StoreError: not found, with how to get it; or a file of another kind.
    """
    file = locate(CELEGANS, path, download=download)
    if file.suffix == ".json":
        whole = _parsed(CELEGANS, file, _cect)
    else:
        whole = read(file, rows="pre")
        whole = whole.described(id=worm.standard_names(whole.ids))
    origin = _origin(CELEGANS, file).counted(whole.origin.counts)
    neurons = worm.neurons()
    absent = sorted(set(neurons["id"]) - set(whole.ids))
    if absent:
        raise StoreError(
            f"{file} lacks {len(absent)} of the 300 neurons, {few(absent)}; take the sheet of the "
            f"hermaphrodite's chemical synapses, {CELEGANS.url}"
        )
    known = Connectome(whole.weights, whole.neurons[["id"]], "sections", origin)
    known = known.select(neurons["id"].to_numpy())
    found = Connectome(known.weights, neurons, known.unit, known.origin)
    return _placed(found, locate(WORM_POSITIONS, download=download)) if positions else found


def optic_lobe(
    path: Path | str | None = None, *, radius: int = 15, fill: float = 0.0, download: bool = True
) -> Connectome:
    """The fly's optic lobe, motion pathway: 65 cell types unrolled on a hexagonal lattice.

    Weights are numbers of synapses (means over columns, so not whole) with the sign of the pair of
    types; ``sign`` is missing for the few types that excite some and inhibit others. ``role`` is
    ``input`` (photoreceptors), ``output`` or ``intermediate``.

    Args:
        path: ``fib25-fib19_v2.2.json`` of flyvis, or a directory with it.
        radius: of the lattice [columns]; 15 gives 45,669 neurons.
        fill: see :meth:`TypeConnectome.unroll`; 1 gives the network that was published.
        download: whether the file may be downloaded where no package has it.

    Raises:
        StoreError: not found, with how to get it; or a file of another kind.
    """
    return optic_lobe_types(path, download=download).unroll(radius, fill)


def optic_lobe_types(path: Path | str | None = None, *, download: bool = True) -> TypeConnectome:
    """The cell types of :func:`optic_lobe` and their hexagonal offsets."""
    file = locate(OPTIC_LOBE, path, download=download)
    types, offsets = _parsed(OPTIC_LOBE, file, _flyvis)
    return TypeConnectome(types, offsets, _origin(OPTIC_LOBE, file))


def _placed(connectome: Connectome, file: Path) -> Connectome:
    """The worm with the positions of a file whose first line names the neurons."""
    with file.open() as lines:
        names = worm.matched_names(lines.readline().lstrip("#").split())
        place = dict(zip(names, np.loadtxt(lines, ndmin=2), strict=True))
    columns = {a: {name: at[k] for name, at in place.items()} for k, a in enumerate("xyz")}
    origin = connectome.origin
    added = Origin.of_files(file)
    origin = replace(origin, files={**origin.files, **added.files})
    placed = connectome.described(**columns)
    return replace(placed, origin=origin.noted(f"positions: {WORM_POSITIONS.citation}"))


def _origin(source: Source, file: Path) -> Origin:
    """Origin of a file; with a note where it is neither the package's nor the published one."""
    version, known = "", file == packaged(source)
    if known:
        with contextlib.suppress(metadata.PackageNotFoundError):
            version = f"{source.package} {metadata.version(source.package)}"
    about = {"licence": source.licence, "citation": source.citation, "version": version}
    origin = Origin.of_files(file, source=source.name, **about)
    same = known or origin.files[file.name] == source.sha256
    return origin if same else origin.noted(f"not the file at {source.url}, but {file}")


def _parsed(source: Source, file: Path, parse: Callable):  # noqa: ANN202
    try:
        return parse(json.loads(file.read_text()))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise StoreError(
            f"{file} is not a file of the connectome '{source.name}' ({type(error).__name__}: "
            f"{error}); expected the content of {source.inside} of package {source.package}"
        ) from error


def _cect(content: dict) -> Connectome:
    """All cells of a data set of cect, whose rows send."""
    weights = np.asarray(content["connections"]["Generic_CS"], dtype=np.float32).T
    return Connectome(weights, pd.DataFrame({"id": worm.standard_names(content["nodes"])}))


def _flyvis(content: dict) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Types and offsets of flyvis, where du, dv lead from sender to receiver."""
    rows = [
        (edge["src"], edge["tar"], du, dv, edge["alpha"] * n)
        for edge in content["edges"]
        for (du, dv), n in edge["offsets"]
    ]
    offsets = pd.DataFrame(rows, columns=["pre", "post", "du", "dv", "weight"])
    names = [node["name"] for node in content["nodes"]]
    roles = {**dict.fromkeys(content["input_units"], "input")}
    roles.update(dict.fromkeys(content["output_units"], "output"))
    strides = np.array([_strides(*node["pattern"]) for node in content["nodes"]])
    pre = pd.Index(names).get_indexer(offsets["pre"])
    types = pd.DataFrame(
        {
            "cell_type": names,
            "role": [roles.get(name, "intermediate") for name in names],
            "sign": sender_signs(pre, offsets["weight"].to_numpy(), len(names)),
            "stride_u": strides[:, 0],
            "stride_v": strides[:, 1],
        }
    )
    return types, offsets


def _strides(pattern: str, args: Any) -> tuple[int, int]:  # noqa: ANN401
    match pattern:
        case "stride":
            u, v = args
            return u, v
        case "tile":
            return args, args
        case "single":
            return 0, 0
    raise ValueError(f"unknown pattern '{pattern}' of a cell type")
