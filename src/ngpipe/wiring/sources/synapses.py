"""From a table of synapses and a table of cells to the connectome of one population, filtered.

Tables differ in what their columns are called: :data:`V1300` and :data:`PHASE1` know two releases
of MICrONS, ``dataclasses.replace`` of one of them knows yours. Every filter writes into the origin
how many cells and synapses it took.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from ngpipe.config.filters import NOTEBOOK, Filters
from ngpipe.errors import ConnectomeError, StoreError
from ngpipe.wiring import columns, edges, layout
from ngpipe.wiring.columns import few
from ngpipe.wiring.container import Connectome
from ngpipe.wiring.origin import Origin
from ngpipe.wiring.sources.tables import TableFile, read_table


@dataclass(frozen=True)
class Release:
    """Column names of a pair of tables, and the source of the tables.

    Attributes:
        name: of the release.
        pre: column of the synapse table with the sender's id.
        post: with the receiver's id.
        size: with the size of the synapse [``unit``].
        id: column of the cell table with the id.
        cell_type: with the type.
        position: with the position of the soma: three columns, or one of text ``[x y z]``.
        resolution: what 1 in ``position`` is [nm].
        region: with the brain region, if there is one.
        proofread: with what is known of proofreading; if there is one.
        proofread_values: its words that say that a cell is proofread; none if it is a flag.
        unit: of ``size``.
        sha256: digests of the files as they were published, where known.
        url: where the files are.
        licence: under which they may be used.
        citation: what to cite.
    """

    name: str
    pre: str
    post: str
    size: str
    id: str
    cell_type: str
    position: tuple[str, str, str] | str
    resolution: tuple[float, float, float] = (1.0, 1.0, 1.0)
    region: str | None = None
    proofread: str | None = None
    proofread_values: tuple[str, ...] = ()
    unit: str = "voxels"
    sha256: Mapping[str, str] = field(default_factory=dict)
    url: str = ""
    licence: str = ""
    citation: str = ""


V1300 = Release(
    name="MICrONS minnie65 v1300",
    pre="pre_pt_root_id",
    post="post_pt_root_id",
    size="size",
    id="pt_root_id",
    cell_type="cell_type_auto",
    position=("pt_position_x", "pt_position_y", "pt_position_z"),
    region="region",
    proofread="proofreading_strategy",
    proofread_values=("axon_fully_extended", "axon_interareal", "axon_partially_extended"),
    sha256={
        "cell_info_1300.feather": "68645464005865c4fc8941e7ec207e88d927eb26b9444216f405ea9533d5af5f"
    },
    url="https://github.com/sdorkenw/MICrONS_workshop_CNC_forum/tree/main/data",
    citation="MICrONS Consortium 2025, Nature 640:435, doi:10.1038/s41586-025-08790-w",
)
"""``synapses_proofread_V1_neurons_1300.feather`` and ``cell_info_1300.feather``; positions in nm,
sizes in cleft voxels of 4 x 4 x 40 nm."""

PHASE1 = Release(
    name="MICrONS phase 1 v185",
    pre="pre_root_id",
    post="post_root_id",
    size="cleft_vx",
    id="pt_root_id",
    cell_type="cell_type",
    position="pt_position",
    resolution=(3.58, 3.58, 40.0),
    sha256={
        "soma_subgraph_synapses_spines_v185.csv": (
            "ac22845bf2078fad27f895b0d4ab1f8b1bf980a2f00056be3f1eec6183770ae4"
        ),
        "soma_valence_v185.csv": "4d1ecffea0706dddc457badb7d12faa473957d6d8e983533a725ed6d515651fc",
    },
    url="https://github.com/AllenInstitute/OFS-EM-Connectomics/tree/413f2dd/data",
    licence="Allen Institute licence (BSD-2-Clause, no commercial redistribution)",
    citation="Turner et al. 2022, Cell 185:1082; Dorkenwald et al. 2022, eLife 11:e76120",
)
"""``soma_subgraph_synapses_spines_v185.csv`` and ``soma_valence_v185.csv``. The table's own
``soma_*_nm`` columns are wrong (all three are multiples of x) and are not read."""

RELEASES = {"v1300": V1300, "phase1": PHASE1}

UNFINISHED = (864691135356398031, 864691135810708172, 864691135868118038, 864691136228125521)
"""L2/3 cells of V1 that v1300 lists as needing more proofreading though its cell table calls them
proofread: their own synapses were not queried, so only those with others' are known."""


FLAGS = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False, "": False}
"""Words for true and false in tables."""


def read_synapses(
    synapses: Path | str | TableFile,
    cells: Path | str | TableFile,
    release: Release = V1300,
    filters: Filters = NOTEBOOK,
    *,
    weight: str = "size",
    verify: bool = True,
) -> Connectome:
    """:func:`from_synapses` of two files, read in place.

    The source is called by the name of the release only where both digests are those published.

    Args:
        synapses: file of the synapse table (.feather, .parquet, .csv, .tsv, .txt, .xlsx), as
            :class:`TableFile` where its layout is to be told.
        cells: file of the cell table, likewise.
        release: what their columns are called.
        filters: what is left out.
        weight: see :func:`from_synapses`.
        verify: refuse a file that has the name of a published one and another content.

    Raises:
        StoreError: a file that is absent, unreadable, or not the one published.
        ConnectomeError: see :func:`from_synapses`.
    """
    named = [synapses, cells]
    paths = [Path(one.path if isinstance(one, TableFile) else one) for one in named]
    for path in paths:
        if not path.exists():
            raise StoreError(
                f"no file at {path.absolute()}; correct the path, or get the tables of "
                f"{release.name} from {release.url}"
            )
    origin = Origin.of_files(*paths, licence=release.licence, citation=release.citation)
    same = [origin.files[path.name] == release.sha256.get(path.name) for path in paths]
    for path, known in zip(paths, same, strict=True):
        if verify and path.name in release.sha256 and not known:
            raise StoreError(
                f"{path} has SHA-256 {origin.files[path.name]}, {release.name} was published with "
                f"{release.sha256[path.name]}; get it again from {release.url}, or say verify=False"
            )
    source = release.name if all(same) else f"{paths[0]}, in the columns of {release.name}"
    origin = replace(origin, source=source)
    synapses, cells = (read_table(one) for one in named)
    return from_synapses(synapses, cells, release, filters, weight=weight, origin=origin)


def from_synapses(
    synapses: pd.DataFrame,
    cells: pd.DataFrame,
    release: Release = V1300,
    filters: Filters = NOTEBOOK,
    *,
    weight: str = "size",
    origin: Origin | None = None,
) -> Connectome:
    r"""The connectome of the cells that the filters leave, ids ascending.

    .. math:: W_{ij} = \sum_{s:\, j \to i} \mathrm{size}_s

    in the unit of the release, not scaled; or the number of synapses. Sums of voxels are exact up
    to 2^24. The neuron table has ``id``, ``cell_type``, ``x``, ``y``, ``z`` [um] and, where the
    release has them, ``region`` and ``proofread``.

    Args:
        synapses: one row for each synapse, pre -> post.
        cells: one row for each cell; ids 0 (no cell) and ids of several rows are left out.
        release: what the columns are called.
        filters: what is left out; the counts of the origin tell how much.
        weight: ``size``, the summed size of a connection's synapses, or ``synapses``, their number.
        origin: where the tables come from.

    Raises:
        ConnectomeError: columns that are missing, ids of different or wrong types, a filter whose
            column the release lacks, positions that are none, or no neuron left, with the counts.
    """
    layout.check_choice("weight", weight, ("size", "synapses"))
    synapses = columns.named(synapses, "the synapse table")
    cells = columns.named(cells, "the cell table")
    _check_columns(synapses, cells, release)
    cells, notes = columns.tidy(cells, "the cell table")
    counts: dict[str, int] = {}
    neurons = _filtered_cells(cells, release, filters, counts)
    kept, left = _filtered_synapses(synapses, neurons, release, filters, counts)
    return Connectome.from_edges(
        synapses.iloc[kept],
        neurons[left],
        unit=release.unit if weight == "size" else "synapses",
        origin=(origin or Origin()).counted(counts).noted(f"filtered: {filters}", *notes),
        pre=release.pre,
        post=release.post,
        weight=release.size if weight == "size" else None,
    )


def _check_columns(synapses: pd.DataFrame, cells: pd.DataFrame, release: Release) -> None:
    place = [release.position] if isinstance(release.position, str) else list(release.position)
    optional = [name for name in (release.region, release.proofread) if name is not None]
    for name, table, needed in (
        ("synapse", synapses, [release.pre, release.post, release.size]),
        ("cell", cells, [release.id, release.cell_type, *place, *optional]),
    ):
        missing = [column for column in needed if column not in table]
        if missing:
            raise ConnectomeError(
                f"the {name} table has columns {list(table)}, not {missing}, which {release.name} "
                "has; give the table of that release, or name your columns with "
                "dataclasses.replace(release, ...)"
            )


def _filtered_cells(
    cells: pd.DataFrame, release: Release, filters: Filters, counts: dict[str, int]
) -> pd.DataFrame:
    """The neuron table of the cells that are left, ids ascending; adds to the counts."""
    left = np.ones(len(cells), bool)
    counts["cells"] = len(cells)
    for name, passed in _tests(cells, release, filters).items():
        counts[f"cells_{name}"] = int((left & ~passed).sum())
        left &= passed.to_numpy()
    if not left.any():
        _refuse(counts, filters)
    columns.ids(cells.loc[left, release.id], release.id)
    return _neuron_table(cells[left].sort_values(release.id), release)


def _tests(cells: pd.DataFrame, release: Release, filters: Filters) -> dict[str, pd.Series]:
    """Mask of the cells that pass each filter, by the name of the count of those that do not."""
    ids, types = columns.labels(cells[release.id]), filters.cell_type
    tests = {
        "without_id": ids.notna() & ids.ne("0"),
        "of_shared_id": ~ids.duplicated(keep=False) | ids.isna(),
    }
    if filters.proofread:
        tests["not_proofread"] = _proofread(cells[_column(release, "proofread")], release, filters)
    if types is not None:
        tests["of_other_type"] = _is_one_of(cells[release.cell_type], types)
    if filters.region is not None:
        tests["of_other_region"] = _is_one_of(cells[_column(release, "region")], filters.region)
    listed = {columns.label(one) for one in filters.exclude}
    unknown = sorted(listed - set(ids))
    if unknown:
        raise ConnectomeError(
            f"exclude names {len(unknown)} ids that the cell table lacks, {few(unknown)}; its ids "
            f"begin with {few(ids)} ({cells[release.id].dtype})"
        )
    tests["excluded"] = ~ids.isin(listed)
    return tests


def _proofread(said: pd.Series, release: Release, filters: Filters) -> pd.Series:
    """Mask of proofread cells; cells without an entry are not.

    Raises:
        ConnectomeError: words of which it is not known whether they say so.
    """
    words = columns.labels(said).fillna("")
    asked = filters.proofread
    if isinstance(asked, tuple):
        columns.chosen(said, asked, f"filters.proofread: no cell has {said.name}")
        return words.isin({columns.label(value) for value in asked})
    flags = words.str.lower().map(FLAGS)
    known = words.isin(["", *release.proofread_values])
    if flags.notna().all():
        return flags.astype(bool)
    if not known.all():
        raise ConnectomeError(
            f"column '{said.name}' holds {few(map(repr, words[~known].unique()))}, of which it is "
            f"not known whether they mean proofread; name those that do in filters: proofread: "
            "[...], or leave that filter out"
        )
    return words != ""


def _is_one_of(column: pd.Series, wanted: str | tuple[str, ...]) -> pd.Series:
    values = [wanted] if isinstance(wanted, str) else wanted
    return columns.labels(column).isin({columns.label(value) for value in values})


def _column(release: Release, name: str) -> str:
    column = getattr(release, name)
    if column is None:
        raise ConnectomeError(
            f"{release.name} has no column that tells '{name}', so it cannot filter; leave the "
            f"filter out, or name the column with dataclasses.replace(release, {name}=...)"
        )
    return column


def _neuron_table(cells: pd.DataFrame, release: Release) -> pd.DataFrame:
    """``id``, ``cell_type``, position [um] and what else is known."""
    place: str | Sequence[str] = release.position
    lists = [f"{place}_{axis}" for axis in range(3)]
    if lists[0] in cells and place not in cells:  # a column of lists, which is split
        place = lists
    if isinstance(place, str):
        number = r"([^\s,\[\]]+)"
        found = (
            cells[place].astype(str).str.extract(rf"^[\s\[]*{number}[\s,]+{number}[\s,]+{number}")
        )
    else:
        found = cells[list(place)]
    found = found.apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    lost = np.isnan(found).any(axis=1)
    if lost.any():
        raise ConnectomeError(
            f"the position ({place}) of {lost.sum()} of {len(cells)} cells is not three numbers, "
            f"the first of cell {cells[release.id].iloc[lost.argmax()]}; correct it, or leave "
            "those cells out"
        )
    x, y, z = (found * release.resolution / 1000).T
    table = {"id": cells[release.id], "cell_type": cells[release.cell_type]}
    table |= {"x": x, "y": y, "z": z}
    named = {"region": release.region, "proofread": release.proofread}
    table |= {name: cells[column] for name, column in named.items() if column is not None}
    return pd.DataFrame(table).reset_index(drop=True)


def _filtered_synapses(
    synapses: pd.DataFrame,
    neurons: pd.DataFrame,
    release: Release,
    filters: Filters,
    counts: dict[str, int],
) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the synapses that are left, and a mask of the neurons; adds to the counts."""
    sides = (columns.ids(synapses[name], name) for name in (release.pre, release.post))
    ends = [edges.positions(side, neurons)[0] for side in sides]
    kept = np.flatnonzero((ends[0] >= 0) & (ends[1] >= 0))
    pre, post = (end[kept] for end in ends)
    counts |= {"synapses": len(synapses), "synapses_of_other_cells": len(synapses) - len(kept)}
    if filters.autapses == "drop":
        other = pre != post
        counts["autapses_dropped"] = int((~other).sum())
        kept, pre, post = kept[other], pre[other], post[other]
    left = np.ones(len(neurons), bool)
    for name, wanted in (
        ("with_few_synapses", lambda sent, got: sent + got >= filters.min_synapses),
        ("without_input_or_output", lambda sent, got: (sent > 0) & (got > 0)),
    ):
        if name == "without_input_or_output" and not filters.input_and_output:
            continue
        sent, got = (np.bincount(end, minlength=len(neurons)) for end in (pre, post))
        passed = wanted(sent, got)
        counts[f"neurons_{name}"] = int((left & ~passed).sum())
        left &= passed
        inside = left[pre] & left[post]
        counts[f"synapses_of_neurons_{name}"] = int((~inside).sum())
        kept, pre, post = kept[inside], pre[inside], post[inside]
    if not left.any():
        _refuse(counts, filters)
    return kept, left


def _refuse(counts: Mapping[str, int], filters: Filters) -> None:
    listed = "\n".join(f"  {name}: {n:,}" for name, n in counts.items())
    raise ConnectomeError(
        f"no neuron is left after filtering by {filters}:\n{listed}\nloosen the filter that "
        "removed most"
    )
