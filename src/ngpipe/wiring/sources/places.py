"""Places of named connectomes: in a package, at an address, at a path.

A package is located and its data file read; its code is never imported. Imports nothing but the
standard library up here: Snakemake loads this for every job.
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from ngpipe.errors import StoreError


@dataclass(frozen=True)
class Source:
    """Places where a connectome can be found.

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
