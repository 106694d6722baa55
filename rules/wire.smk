rule wire:
    input:
        files=named_files("wire"),
    output:
        store=directory("results/runs/{experiment}/connectome.zarr"),
        manifest="results/runs/{experiment}/connectome.json",
    log:
        "logs/{experiment}/wire.log",
    benchmark:
        "benchmarks/{experiment}/wire.tsv"
    wildcard_constraints:
        experiment=one_of(makers("wire")),
    conda:
        "../envs/ngpipe.yaml"
    threads: threads_of("wire")
    resources:
        mem_mb=memory_of("wire"),
        runtime=minutes_of("wire"),
    params:
        key=stage_key("wire"),
    message:
        "Wiring {wildcards.experiment}"
    shell:
        "python -m ngpipe wire config/experiments/{wildcards.experiment}.yaml"
        " --key {params.key} --threads {threads} 2>&1 | tee {log} >&2"
