rule compare_with:
    input:
        files=named_files("compare_with"),
        recovery=ancient("results/runs/{experiment}/recovery.zarr"),
        recovered="results/runs/{experiment}/recovery.json",
    output:
        draws="results/runs/{experiment}/agreement.csv",
        manifest="results/runs/{experiment}/agreement.json",
        metrics="results/runs/{experiment}/agreement_metrics.csv",
    log:
        "logs/{experiment}/compare_with.log",
    benchmark:
        "benchmarks/{experiment}/compare_with.tsv"
    wildcard_constraints:
        experiment=one_of(makers("compare_with")),
    conda:
        "../envs/ngpipe.yaml"
    threads: threads_of("compare_with")
    resources:
        mem_mb=memory_of("compare_with"),
        runtime=minutes_of("compare_with"),
    params:
        key=stage_key("compare_with"),
    message:
        "Comparing W of {wildcards.experiment} with its connectome"
    shell:
        "python -m ngpipe compare_with config/experiments/{wildcards.experiment}.yaml"
        " --key {params.key} --threads {threads} 2>&1 | tee {log} >&2"
