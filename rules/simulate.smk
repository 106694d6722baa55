rule simulate:
    input:
        files=named_files("simulate"),
    output:
        store=directory("results/runs/{experiment}/simulation.zarr"),
        manifest="results/runs/{experiment}/simulation.json",
    log:
        "logs/{experiment}/simulate.log",
    benchmark:
        "benchmarks/{experiment}/simulate.tsv"
    wildcard_constraints:
        experiment=one_of(makers("simulate")),
    conda:
        "../envs/ngpipe.yaml"
    threads: threads_of("simulate")
    resources:
        device="cpu",
        mem_mb=memory_of("simulate"),
        runtime=minutes_of("simulate"),
    params:
        key=stage_key("simulate"),
    message:
        "Simulating {wildcards.experiment}"
    shell:
        "python -m ngpipe simulate config/experiments/{wildcards.experiment}.yaml"
        " --key {params.key} --threads {threads} --device {resources.device} 2>&1 | tee {log} >&2"
