# Without its record of a result Snakemake compares file times alone. The manifest beside it says
# under which key it was made: one that was made under another key than today's is made again.
from snakemake.settings.enums import RerunTrigger

from ngpipe.ownership import recorded_key, written_under


def manifest_among(outputs):
    """The manifest of a result: one of its files, or a file in its directory."""
    found = [path for path in outputs if path.endswith(".json")]
    return Path(found[0] if found else f"{outputs[0]}/manifest.json")


def has_own_recording(wildcards):
    """Whether a result is made from a recording of the user's own, whose content is its key."""
    names = [getattr(wildcards, "experiment", None)]
    if "figure" in wildcards.keys():
        names = STUDY.experiments_of(wildcards.figure)
    stores = [Path(f"results/runs/{name}/simulation.zarr") for name in names]
    return any(store.is_dir() and written_under(store) is None for store in stores)


def made_again(rule):
    """Input function without files: has Snakemake make a result that config and source outdate.

    It is called for the jobs that the targets need and for no others, before Snakemake decides
    which of them to run. Nothing is written.
    """

    def forget(wildcards):
        if RerunTrigger.PARAMS not in workflow.rerun_triggers:
            return []
        outputs = rule.expand_output(wildcards)[0]
        if all(workflow.persistence.metadata(path) for path in outputs):
            return []
        made = recorded_key(manifest_among(outputs))
        if made in (None, rule.params.key.find(wildcards)) or has_own_recording(
            wildcards
        ):
            return []
        workflow.dag.forcefiles.update(outputs)
        return []

    return forget


if workflow.is_main_process:
    for _one in workflow.rules:
        if "key" in _one.params.keys():
            _one.set_input(made_again(_one))
