rule import:
    input:
        files=named_files("import"),
        recorded=own_results("record"),
    output:
        store=directory("results/runs/{experiment}/simulation.zarr"),
        manifest="results/runs/{experiment}/simulation.json",
    log:
        "logs/{experiment}/import.log",
    benchmark:
        "benchmarks/{experiment}/import.tsv"
    wildcard_constraints:
        experiment=one_of(makers("import")),
    conda:
        "../envs/ngpipe.yaml"
    threads: threads_of("import")
    resources:
        mem_mb=memory_of("import"),
        runtime=minutes_of("import"),
    params:
        key=stage_key("import"),
    message:
        "Importing the recording of {wildcards.experiment}"
    shell:
        "python -m ngpipe import config/experiments/{wildcards.experiment}.yaml"
        " --key {params.key} --threads {threads} 2>&1 | tee {log} >&2"
