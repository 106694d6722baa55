"""Print what a store holds and where it comes from, and draw a quick look beside it."""

import sys
from pathlib import Path

from ngpipe import store
from ngpipe.config.figures import Style
from ngpipe.figures.compose import save
from ngpipe.figures.quicklook import quick_look


def run(path: Path) -> None:
    """Describe a store on standard output and draw ``<store>.look.png`` beside it."""
    dataset = store.read(path, {})
    lines = [f"{path}: {dataset.attrs.get('title', 'no ngpipe store')}", ""]
    for name, v in [*dataset.coords.items(), *dataset.data_vars.items()]:
        shape = ", ".join(f"{d} {n}" for d, n in v.sizes.items())
        units = v.attrs.get("units", "?")
        meaning = v.attrs.get("long_name", "")
        lines.append(f"  {name!s:<18} ({shape})  {v.dtype}  [{units}]  {meaning}")
    lines += ["", *(f"  {k}: {v}" for k, v in dataset.attrs.items() if k != "config")]
    manifest = store.manifest_path(path)
    if manifest.exists():
        about = store.read_json(manifest)
        keys = ("command", "device", "wall_seconds", "peak_memory_mb", "digest")
        lines += [f"  {k}: {about.get(k)}" for k in keys]
    picture = path.with_name(f"{path.stem}.look.png")
    save(quick_look(dataset), picture, Style())
    sys.stdout.write("\n".join([*lines, "", f"quick look: {picture}"]) + "\n")
