rule compare:
    input:
        connectome=ancient("results/runs/{experiment}/connectome.zarr"),
        wired="results/runs/{experiment}/connectome.json",
        responses=ancient("results/runs/{experiment}/responses.zarr"),
        run="results/runs/{experiment}/responses.json",
    output:
        metrics="results/runs/{experiment}/metrics.csv",
        manifest="results/runs/{experiment}/metrics.json",
        measures="results/runs/{experiment}/measures.csv",
        comparison="results/runs/{experiment}/comparison.csv",
    log:
        "logs/{experiment}/compare.log",
    benchmark:
        "benchmarks/{experiment}/compare.tsv"
    wildcard_constraints:
        experiment=one_of(makers("compare")),
    conda:
        "../envs/ngpipe.yaml"
    threads: threads_of("compare")
    resources:
        mem_mb=memory_of("compare"),
        runtime=minutes_of("compare"),
    params:
        key=stage_key("compare"),
    message:
        "Comparing {wildcards.experiment} with its conditions"
    shell:
        "python -m ngpipe compare config/experiments/{wildcards.experiment}.yaml"
        " --key {params.key} --threads {threads} 2>&1 | tee {log} >&2"
