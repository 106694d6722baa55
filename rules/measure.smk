rule measure:
    input:
        files=named_files("measure"),
    output:
        store=directory("results/runs/{experiment}/measured.zarr"),
        manifest="results/runs/{experiment}/measured.json",
    log:
        "logs/{experiment}/measure.log",
    benchmark:
        "benchmarks/{experiment}/measure.tsv"
    wildcard_constraints:
        experiment=one_of(makers("measure")),
    conda:
        "../envs/ngpipe.yaml"
    threads: threads_of("measure")
    resources:
        mem_mb=memory_of("measure"),
        runtime=minutes_of("measure"),
    params:
        key=stage_key("measure"),
    message:
        "Reading the measured responses of {wildcards.experiment}"
    shell:
        "python -m ngpipe measure config/experiments/{wildcards.experiment}.yaml"
        " --key {params.key} --threads {threads} 2>&1 | tee {log} >&2"
