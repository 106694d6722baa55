# Points of a sweep are experiments like any other; what follows is all that is particular to them.


# A stage in which a point does not differ from its experiment is not run again.
for _stage in sorted({stage for found in REUSED.values() for stage in found}):

    rule:
        name:
            f"reuse_{_stage}"
        input:
            base_results(_stage),
        output:
            [
                directory(path) if path.endswith(".zarr") else path
                for path in expand(
                    "results/runs/{{experiment}}/{name}",
                    name=stages.outputs_of(_stage),
                )
            ],
        log:
            f"logs/{{experiment}}/{_stage}.log",
        wildcard_constraints:
            experiment=one_of(name for name in REUSED if _stage in REUSED[name]),
        localrule: True
        conda:
            "../envs/ngpipe.yaml"
        params:
            key=stage_key(_stage),
            links=lambda wildcards, input: [
                path.replace("results/runs", "..", 1) for path in input
            ],
        message:
            f"Linking {_stage} of {{wildcards.experiment}} to that of its experiment"
        shell:
            "ln -sf {params.links} results/runs/{wildcards.experiment}/ 2>&1 | tee {log} >&2"


rule sweep:
    input:
        swept_runs,
    output:
        table="results/sweeps/{experiment}.csv",
        manifest="results/sweeps/{experiment}.json",
    log:
        "logs/{experiment}/sweep.log",
    benchmark:
        "benchmarks/{experiment}/sweep.tsv"
    conda:
        "../envs/ngpipe.yaml"
    threads: 1
    resources:
        mem_mb=800,
        runtime=20,
    params:
        key=sweep_key,
    message:
        "Collecting the sweep of {wildcards.experiment}"
    shell:
        "python -m ngpipe sweep config/experiments/{wildcards.experiment}.yaml"
        " --key {params.key} 2>&1 | tee {log} >&2"
