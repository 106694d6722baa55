"""Location of the workflow: next to the source in a clone, or where a wheel has put it."""

import sysconfig
from pathlib import Path


def workflow_root() -> Path | None:
    """Directory of the Snakefile, its rules, profiles and figures; None if it is not installed."""
    clone = Path(__file__).parents[2]
    shared = Path(sysconfig.get_path("data")) / "share" / "ngpipe"
    return next((p for p in (clone, shared) if (p / "rules" / "common.smk").exists()), None)
