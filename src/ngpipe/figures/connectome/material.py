"""Panels of the connectome system: what of its results each draws."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Bool
from matplotlib.axes import Axes

from ngpipe.config.panels import PanelKind
from ngpipe.errors import StoreError
from ngpipe.figures.connectome.responses import effect_bars, response_map
from ngpipe.figures.connectome.responses import fit_scatter as draw_fit
from ngpipe.figures.drawing.lattice import hexagonal_map
from ngpipe.figures.drawing.layered import layered_paths
from ngpipe.figures.drawing.material import Material, Result
from ngpipe.figures.drawing.row_names import say_nothing
from ngpipe.schemas import connectome as schemas
from ngpipe.wiring.container import Connectome

PATHS_SHOWN = 4
"""Steps of a paths panel that does not say how many."""
NAMED = 4
"""Groups that an empty paths panel names."""
AFTER_INPUT = 1
"""Step of layer 0: it answers the input of step 0, and already holds that of step 1."""


@dataclass(frozen=True)
class ConnectomeMaterial(Material):
    """The results of one experiment, and how to draw them."""

    connectome: ClassVar[Connectome] = Result("connectome.zarr", load=Connectome.load)
    fit: ClassVar[xr.Dataset] = Result("fit.zarr", schemas.FIT)
    stimuli: ClassVar[xr.Dataset] = Result("stimuli.zarr", schemas.STIMULI)
    attribution: ClassVar[xr.Dataset] = Result("attribution.zarr", schemas.ATTRIBUTION)
    control: ClassVar[xr.Dataset] = Result("control.zarr", schemas.CONTROL)
    paths: ClassVar[pd.DataFrame] = Result("paths.csv", text=("stimulus", "pre", "post"))

    def shown(self, known: np.ndarray, size: np.ndarray) -> list[str]:
        """Groups of the panel in its order; else the ``top`` largest, the largest first.

        Groups of size 0 are left out, unless all are: then their zeros are shown.

        Raises:
            StoreError: a group that does not exist.
        """
        if self.spec.groups is None:
            order = np.argsort(-size, kind="stable")[: self.spec.top]
            return [str(known[k]) for k in order if size[k] > 0 or not size.any()]
        absent = [group for group in self.spec.groups if group not in known]
        if absent:
            raise StoreError(
                f"panel kind '{self.spec.kind}' should show the groups {absent}, which are none of "
                f"{known[:20].tolist()}; correct `groups`"
            )
        return list(self.spec.groups)

    @property
    def run(self) -> xr.Dataset:
        """Stimulus and activity that the panel shows."""
        return self.stimuli.sel(run=self.spec.stimulus)

    @property
    def sensor_group(self) -> np.ndarray:
        """Group of every sensor."""
        return self.stimuli["neuron_group"].values[self.stimuli["sensor"].values]

    @property
    def layer(self) -> int:
        """Layer of the network that is shown on a lattice; without a word the last."""
        last = self.stimuli.sizes["layer"] - 1
        return last if self.spec.layer is None else self.spec.layer

    def on_lattice(self, neurons: np.ndarray) -> pd.DataFrame:
        """Columns ``u``, ``v`` of some neurons.

        Raises:
            StoreError: the neurons have no columns.
        """
        table = self.connectome.neurons
        if not {"u", "v"} <= set(table):
            raise StoreError(
                f"panel kind '{self.spec.kind}' draws a hexagonal lattice, but the neurons of "
                f"{self.spec.of} have no columns u, v; take kind 'responses', or leave out `layer`"
            )
        return table.loc[neurons, ["u", "v"]].reset_index(drop=True)


PANELS = (
    PanelKind(
        "type_weights",
        system="connectome",
        shows="summed input of a neuron of each group from every other group",
        reads=("connectome.zarr", "stimuli.zarr"),
        takes=("groups", "top"),
    ),
    PanelKind(
        "fit_scatter",
        system="connectome",
        shows="fitted against given responses; training and held-out stimuli have different "
        "markers",
        reads=("fit.zarr",),
    ),
    PanelKind(
        "stimulus",
        system="connectome",
        shows="input of the sensors: of each group over time, or at one step (`layer`) on "
        "the hexagonal lattice",
        reads=("connectome.zarr", "stimuli.zarr"),
        needs=("stimulus",),
        takes=("groups", "layer", "top"),
    ),
    PanelKind(
        "responses",
        system="connectome",
        shows="mean activity of each group over time to one stimulus",
        reads=("stimuli.zarr",),
        needs=("stimulus",),
        takes=("groups", "top"),
    ),
    PanelKind(
        "response_columns",
        system="connectome",
        shows="activity of groups along the columns of the lattice, at one step",
        reads=("connectome.zarr", "stimuli.zarr"),
        needs=("stimulus",),
        takes=("groups", "layer", "top"),
    ),
    PanelKind(
        "response_map",
        system="connectome",
        shows="activity of some groups on the hexagonal lattice, at one step",
        reads=("connectome.zarr", "stimuli.zarr"),
        needs=("stimulus",),
        takes=("groups", "layer", "top"),
        columns=2,
        draws="response_on_lattice",
    ),
    PanelKind(
        "attribution",
        system="connectome",
        shows="contribution of each sensor to a readout: by group over time, or on the lattice",
        reads=("connectome.zarr", "stimuli.zarr", "attribution.zarr"),
        needs=("readout",),
        takes=("groups", "layer", "top"),
    ),
    PanelKind(
        "paths",
        system="connectome",
        shows="active paths between groups, layer by layer, with excitation and inhibition "
        "distinguished",
        reads=("stimuli.zarr", "paths.csv"),
        needs=("stimulus",),
        takes=("groups", "layer", "top"),
        columns=3,
    ),
    PanelKind(
        "silencing",
        system="connectome",
        shows="change of a readout when each group is silenced",
        reads=("attribution.zarr",),
        needs=("readout",),
        takes=("groups", "top"),
    ),
    PanelKind(
        "control",
        system="connectome",
        shows="readouts of the connectome and of null connectomes",
        reads=("control.zarr",),
    ),
)
MATERIAL = ConnectomeMaterial
"""Material of these panels."""


def type_weights(material: ConnectomeMaterial, ax: Axes) -> Axes:
    """Input of a neuron of each group from every other group, as fractions of its input."""
    groups = material.stimuli["neuron_group"].values
    whole = material.connectome.normalised().described(group=groups).by_type("group", "mean_input")
    size = np.abs(whole.values).sum(0) + np.abs(whole.values).sum(1)
    names = material.shown(whole["post"].values.astype(str), size)
    part = whole.sel(post=names, pre=names)
    part.attrs = {"long_name": "share of input", "units": "1"}
    response_map(ax, part, material.style, symmetric=True)
    ax.set(xlabel="sending group", ylabel="receiving group")
    ax.set_title("connectivity of groups")
    return ax


def fit_scatter(material: ConnectomeMaterial, ax: Axes) -> Axes:
    """Fitted against given responses."""
    fit = material.fit
    draw_fit(
        ax,
        fit["given"].values,
        fit["fitted"].values,
        material.style,
        held_out=fit["held_out"].values.astype(bool),
        label="response",
    )
    ax.set_title("fitted responses")
    return ax


def stimulus(material: ConnectomeMaterial, ax: Axes) -> Axes:
    """Input of the sensors: over time by group, or on the lattice at one step."""
    shown = material.run["stimulus"]
    _sensors(material, ax, shown, "input", symmetric=False)
    ax.set_title(f"stimulus {material.spec.stimulus}{_at(material.spec.layer)}")
    return ax


def attribution(material: ConnectomeMaterial, ax: Axes) -> Axes:
    """Contribution of each sensor to a readout."""
    shown = material.attribution["attribution"].sel(readout=material.spec.readout)
    _sensors(material, ax, shown, "contribution", symmetric=True)
    ax.set_title(f"what {material.spec.readout} rests on{_at(material.spec.layer)}")
    return ax


def responses(material: ConnectomeMaterial, ax: Axes) -> Axes:
    """Mean activity of groups over time."""
    groups = material.stimuli["neuron_group"].values
    activity = material.run["activity"].transpose("neuron", "layer").values
    data = _by_group(material, groups, activity, AFTER_INPUT + np.arange(activity.shape[1]), "step")
    response_map(ax, data, material.style)
    ax.set_title(f"responses to {material.spec.stimulus}")
    return ax


def response_columns(material: ConnectomeMaterial, ax: Axes) -> Axes:
    """Mean activity of groups along the lattice, at one step."""
    groups = material.stimuli["neuron_group"].values
    u = material.on_lattice(np.arange(len(groups)))["u"].to_numpy(int)
    columns = np.unique(u)
    activity = material.run["activity"].isel(layer=material.layer).values
    spread = np.where(u[:, None] == columns, activity[:, None], np.nan)
    data = _by_group(material, groups, spread, columns, "column u")
    response_map(ax, data, material.style)
    ax.set_title(f"responses to {material.spec.stimulus}, step {AFTER_INPUT + material.layer}")
    return ax


def response_on_lattice(material: ConnectomeMaterial, ax: Axes) -> Axes:
    """Activity of some groups on the lattice, at one step."""
    groups = material.stimuli["neuron_group"].values
    activity = material.run["activity"].isel(layer=material.layer).values
    names, means = _means(groups, activity[:, None])
    _lattice(material, ax, groups, activity, material.shown(names, means[:, 0]), "activity")
    ax.set_title(f"responses to {material.spec.stimulus}, step {AFTER_INPUT + material.layer}")
    return ax


def paths(material: ConnectomeMaterial, ax: Axes) -> Axes:
    """Active paths between groups, layer by layer; to some groups only, if they are named."""
    spec, table = material.spec, material.paths
    table = table[table["stimulus"] == spec.stimulus]
    last = PATHS_SHOWN if spec.layer is None else spec.layer + 1
    table = table[table["layer"] <= last]
    found = set(table.loc[table["layer"] == table["layer"].max(), "post"])
    if spec.groups is not None:
        known = np.unique(material.stimuli["neuron_group"].values)
        found = set(material.shown(known, np.zeros(0)))
    chosen = leading_to(table, found, spec.top) if len(table) else table
    if chosen.empty:
        ends = ", ".join(sorted(found)[:NAMED]) or "any group"
        say_nothing(ax, f"no active path\nfrom {spec.stimulus} to {ends}\nin {last} steps")
    else:
        layered_paths(ax, chosen, material.style)
        columns = [int(column) for column in ax.get_xticks()]
        ax.set_xticks(columns, [f"step {column}" if column else "input" for column in columns])
    ax.set_title(f"active paths, {spec.stimulus}")
    return ax


def silencing(material: ConnectomeMaterial, ax: Axes) -> Axes:
    """Loss of a readout when each group is silenced, the largest losses first."""
    lost = material.attribution["silencing"].sel(readout=material.spec.readout).dropna("group")
    names = material.shown(lost["group"].values.astype(str), np.abs(lost.values))
    if names:
        table = pd.DataFrame({"group": names, "effect": lost.sel(group=names).values})
        effect_bars(ax, table, material.style, label="loss of activity")
    else:
        say_nothing(ax, f"no group that is silenced\nchanges {material.spec.readout}")
    ax.set_title(f"{material.spec.readout}, groups silenced")
    return ax


def control(material: ConnectomeMaterial, ax: Axes) -> Axes:
    """Readouts of the connectome over those of null connectomes."""
    found = material.control
    names = found["readout"].values.astype(str)
    table = pd.DataFrame({"group": names, "effect": found["value"].values})
    null = None
    if found["null"].size:
        null = found["null"].to_dataframe(name="effect").reset_index()
        null = null.rename(columns={"readout": "group"})[["group", "effect"]]
    effect_bars(ax, table, material.style, label="activity", null=null)
    ax.set_title("readouts" if null is None else f"nulls ({found.attrs['model']})")
    return ax


def _at(step: int | None) -> str:
    """The step of an input as part of a title, where one is shown."""
    return "" if step is None else f", step {step}"


def _sensors(
    material: ConnectomeMaterial, ax: Axes, values: xr.DataArray, label: str, *, symmetric: bool
) -> None:
    """Values (sensor, time): a heat map of groups, or maps of groups at a step."""
    groups, array = material.sensor_group, values.transpose("sensor", "time").values
    if material.spec.layer is not None:
        names, means = _means(groups, np.abs(array))
        shown = material.shown(names, means.sum(axis=1))
        now = array[:, material.spec.layer]
        _lattice(material, ax, groups, now, shown, label, symmetric=symmetric)
        return
    data = _by_group(material, groups, array, np.arange(array.shape[1]), "step")
    data.attrs["long_name"] = label
    response_map(ax, data, material.style, symmetric=symmetric)


def _lattice(
    material: ConnectomeMaterial,
    ax: Axes,
    groups: np.ndarray,
    values: np.ndarray,
    shown: list[str],
    label: str,
    *,
    symmetric: bool = False,
) -> None:
    """One map a group, of neurons or, where there are as many values, of sensors."""
    whole = len(groups) == len(material.connectome)
    neurons = np.arange(len(groups)) if whole else material.stimuli["sensor"].values
    parts = []
    for name in shown:
        mine = groups == name
        table = material.on_lattice(neurons[mine]).assign(value=values[mine], name=name)
        parts.append(table.groupby(["u", "v", "name"], as_index=False, sort=False).mean())
    hexagonal_map(ax, pd.concat(parts), material.style, label=label, symmetric=symmetric)


def _by_group(
    material: ConnectomeMaterial,
    groups: np.ndarray,
    values: np.ndarray,
    across: np.ndarray,
    across_name: str,
) -> xr.DataArray:
    """Means of groups (group, across), those of the panel."""
    names, means = _means(groups, values)
    shown = material.shown(names, np.nan_to_num(np.abs(means)).max(axis=1))
    data = xr.DataArray(means, {"group": names, across_name: across}, ("group", across_name))
    data.attrs = {"long_name": "mean activity", "units": "1"}
    return data.sel(group=shown)


def _means(groups: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Names of the groups, and their means over known values."""
    means = pd.DataFrame(values).groupby(groups).mean()
    return means.index.to_numpy().astype(str), means.to_numpy()


def leading_to(table: pd.DataFrame, found: set[str], top: int) -> pd.DataFrame:
    """Connections on paths from the first layer to some groups of the last.

    Of each layer the ``top`` most active senders are kept, and of the last the receivers.
    """
    layers = sorted(table["layer"].unique().tolist())
    last = table[(table["layer"] == layers[-1]) & _among(table["post"], found)]
    found = set(last.groupby("post")["post_activation"].max().nlargest(top).index)
    back = _swept(table, layers[::-1], found, "post", "pre", top)
    first = set(back.loc[back["layer"] == layers[0], "pre"])
    forth = _swept(back, layers, first, "pre", "post", len(back))
    return _swept(forth, layers[::-1], found, "post", "pre", len(back)).sort_values("layer")


def _swept(
    table: pd.DataFrame, layers: list[int], found: set[str], near: str, far: str, top: int
) -> pd.DataFrame:
    """Connections that are reached layer by layer from some groups at their near end."""
    kept = []
    for layer in layers:
        here = table[(table["layer"] == layer) & _among(table[near], found)]
        active = here.groupby("pre")["pre_activation"].max().nlargest(top).index
        here = here[_among(here["pre"], set(active))]
        found = set(here[far])
        kept.append(here)
    return pd.concat(kept, ignore_index=True)


def _among(names: pd.Series, found: set[str]) -> Bool[np.ndarray, " row"]:
    return names.isin(found).to_numpy()
