rule agree:
    input:
        connectome=ancient("results/runs/{experiment}/connectome.zarr"),
        wired="results/runs/{experiment}/connectome.json",
        responses=ancient("results/runs/{experiment}/measured.zarr"),
        measured="results/runs/{experiment}/measured.json",
    output:
        metrics="results/runs/{experiment}/metrics.csv",
        manifest="results/runs/{experiment}/metrics.json",
        draws="results/runs/{experiment}/agreement.csv",
    log:
        "logs/{experiment}/agree.log",
    benchmark:
        "benchmarks/{experiment}/agree.tsv"
    wildcard_constraints:
        experiment=one_of(makers("agree")),
    conda:
        "../envs/ngpipe.yaml"
    threads: threads_of("agree")
    resources:
        mem_mb=memory_of("agree"),
        runtime=minutes_of("agree"),
    params:
        key=stage_key("agree"),
    message:
        "Comparing responses of {wildcards.experiment} with its connectome"
    shell:
        "python -m ngpipe agree config/experiments/{wildcards.experiment}.yaml"
        " --key {params.key} --threads {threads} 2>&1 | tee {log} >&2"
