"""Named connectomes: found by path, in an installed package, or by a verified download.

A package is located and its data file read; its code is never imported. Nothing here is copied
into ngpipe: licence and citation travel in the connectome's origin.
"""

import contextlib
import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas as pd

from ngpipe.errors import StoreError
from ngpipe.wiring import worm
from ngpipe.wiring.connectome import Connectome
from ngpipe.wiring.edges import few, sender_signs
from ngpipe.wiring.origin import Origin
from ngpipe.wiring.tables import read
from ngpipe.wiring.unroll import TypeConnectome


@dataclass(frozen=True)
class Source:
    """Where a connectome can be had.

    Attributes:
        name: what a config calls it.
        package: a package that carries it.
        inside: the data file in that package.
        url: the file as its authors published it.
        sha256: of the file at ``url``.
        known: names of files looked for in a directory, patterns.
        licence: of the data.
        citation: what to cite.
    """

    name: str
    package: str
    inside: str
    url: str
    sha256: str
    known: tuple[str, ...]
    licence: str
    citation: str


CELEGANS = Source(
    name="celegans",
    package="cect",
    inside="cache/Cook2019HermReader.json",
    url="https://raw.githubusercontent.com/neurodata/bgm/"
    "4ec4642d50b3cc2240ff35db5f58fa37883be0c1/data/c_elegans/herm_chem_adj.csv",
    sha256="0ecb228c825ef2e7860ef4643684ce42d6154bc3b023317f87638d98faf07d07",
    known=("*herm_chem_adj.csv", "Cook2019HermReader.json"),
    licence="MIT (cect; neurodata/bgm)",
    citation="Cook et al. 2019, Nature 571:63, doi:10.1038/s41586-019-1352-7",
)
OPTIC_LOBE = Source(
    name="optic_lobe",
    package="flyvis",
    inside="connectome/fib25-fib19_v2.2.json",
    url="https://raw.githubusercontent.com/TuragaLab/flyvis/"
    "a76037e6309277b18d3c4e86c01a05860d69eadf/flyvis/connectome/fib25-fib19_v2.2.json",
    sha256="bfbb0766251ff09e22723d0ebbf7b14793e70b3ae8ad0eea64eac9d28223351a",
    known=("fib25-fib19_v2.2.json",),
    licence="MIT (flyvis)",
    citation="Lappalainen et al. 2024, Nature 634:1132, doi:10.1038/s41586-024-07939-3",
)
SOURCES = {source.name: source for source in (CELEGANS, OPTIC_LOBE)}


def celegans(path: Path | str | None = None, *, download: bool = True) -> Connectome:
    """Chemical synapses among the 300 neurons of the adult C. elegans hermaphrodite.

    Weights are numbers of EM sections with synapses, without sign; ``sign`` is -1 for the 26
    classical GABA neurons and +1 for all others, an assumption (see :mod:`ngpipe.wiring.worm`).
    Cells other than neurons are left out and counted.

    Args:
        path: the sheet ``herm_chem_adj.csv``, ``Cook2019HermReader.json`` of cect, or a directory
            with one of them; found by itself if not given.
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
    return Connectome(known.weights, neurons, known.unit, known.origin)


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


def locate(source: Source, path: Path | str | None = None, *, download: bool = True) -> Path:
    """The file of a source: the path given, else in its package, else downloaded and verified.

    Raises:
        StoreError: the path does not exist or does not hold it; or, without a path, nothing was
            found, with all ways to get it.
    """
    if path is not None:
        return _given(source, Path(path))
    if (file := packaged(source)) is not None:
        return file
    if not download:
        raise StoreError(_ways(source, f"package {source.package} is not installed"))
    return _downloaded(source)


def packaged(source: Source) -> Path | None:
    """The file inside an installed package, which is not imported; None without it."""
    spec = importlib.util.find_spec(source.package)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        if (file := Path(place) / source.inside).is_file():
            return file
    return None


def _given(source: Source, path: Path) -> Path:
    if path.is_file():
        return path
    found = [file for pattern in source.known for file in sorted(path.glob(pattern))]
    if not found:
        state = f"holds none of {list(source.known)}" if path.is_dir() else "does not exist"
        raise StoreError(_ways(source, f"{path.absolute()} {state}"))
    return found[0]


def _downloaded(source: Source) -> Path:
    try:
        import pooch  # only where no package and no path is given
    except ImportError as error:
        reason = f"package {source.package} is not installed, nor pooch to download it"
        raise StoreError(_ways(source, reason)) from error
    name = source.url.rsplit("/", 1)[1]
    try:
        # no progress bar, no log: a step says what it read in its manifest
        pooch.get_logger().setLevel("ERROR")
        file = pooch.retrieve(source.url, f"sha256:{source.sha256}", name, pooch.os_cache("ngpipe"))
    except (OSError, ValueError) as error:  # no network; other content than was published
        reason = f"package {source.package} is not installed, the download failed ({error})"
        raise StoreError(_ways(source, reason)) from error
    return Path(file)


def _ways(source: Source, reason: str) -> str:
    return (
        f"no file of the connectome '{source.name}': {reason}. Get it in one of these ways:\n"
        f"  pip install --no-deps {source.package}\n"
        f"  save {source.url} and give its path\n"
        "  pip install pooch, and run again with a network connection"
    )


def _origin(source: Source, file: Path) -> Origin:
    """Origin of a file, with a note where it is not the one that was published."""
    version = ""
    if file == packaged(source):
        with contextlib.suppress(metadata.PackageNotFoundError):
            version = f"{source.package} {metadata.version(source.package)}"
    about = {"licence": source.licence, "citation": source.citation, "version": version}
    origin = Origin.of_files(file, source=source.name, **about)
    same = origin.files[file.name] == source.sha256
    return origin if same else origin.noted(f"not the file at {source.url}, but {file}")


def _parsed(source: Source, file: Path, parse: Callable):  # noqa: ANN202
    try:
        return parse(json.loads(file.read_text()))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise StoreError(
            f"{file} is no file of the connectome '{source.name}' ({type(error).__name__}: "
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


def _strides(pattern: str, args: object) -> tuple[int, int]:
    match pattern:
        case "stride":
            return tuple(args)
        case "tile":
            return args, args
        case "single":
            return 0, 0
    raise ValueError(f"unknown pattern '{pattern}' of a cell type")
