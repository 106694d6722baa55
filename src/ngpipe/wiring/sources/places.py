"""Places of named data sets: in a package, at an address, at a path.

A package is located and its data file read; its code is never imported. Imports nothing but the
standard library up here: Snakemake loads this for every job.
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from ngpipe.errors import StoreError


@dataclass(frozen=True)
class Source:
    """Places where a connectome, or data beside it, can be found.

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
_ATLAS = (
    "https://raw.githubusercontent.com/francescorandi/wormneuroatlas/"
    "b2e13d88b670efcb3438aeacba2ad4bd6c383933/wormneuroatlas/data/"
)
WORM_ATLAS = Source(
    name="worm_atlas",
    package="wormneuroatlas",
    inside="data/funatlas.h5",
    url=f"{_ATLAS}funatlas.h5",
    sha256="53a99055667b853e1d3d6be573ec2613d38c9f6989f302ec38ecd38dd50c7975",
    known=("funatlas.h5",),
    licence="GPL-3.0-or-later (wormneuroatlas)",
    citation="Randi et al. 2023, Nature 623:406, doi:10.1038/s41586-023-06683-4",
)
WORM_POSITIONS = Source(
    name="worm_positions",
    package="wormneuroatlas",
    inside="data/anatlas_neuron_positions.txt",
    url=f"{_ATLAS}anatlas_neuron_positions.txt",
    sha256="b854b039929185f22dcb2eadce24b08408bfdec80f1a88581fe33edb382ede40",
    known=("anatlas_neuron_positions.txt",),
    licence="GPL-3.0-or-later (wormneuroatlas)",
    citation="Randi et al. 2023, Nature 623:406, doi:10.1038/s41586-023-06683-4",
)
SOURCES = {source.name: source for source in (CELEGANS, OPTIC_LOBE, WORM_ATLAS, WORM_POSITIONS)}


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
        f"no file of the data set '{source.name}': {reason}. Get it in one of these ways:\n"
        f"  pip install --no-deps {source.package}\n"
        f"  save {source.url} and give its path\n"
        "  pip install pooch, and run again with a network connection"
    )
