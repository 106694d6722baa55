rule score:
    input:
        simulation=ancient("results/runs/{experiment}/simulation.zarr"),
        simulated="results/runs/{experiment}/simulation.json",
        history=ancient("results/runs/{experiment}/training.zarr"),
        trained="results/runs/{experiment}/training.json",
        recovery=ancient("results/runs/{experiment}/recovery.zarr"),
        recovered="results/runs/{experiment}/recovery.json",
        rollout=ancient("results/runs/{experiment}/rollout.zarr"),
        predicted="results/runs/{experiment}/rollout.json",
        agreement=own_results("compare_with"),
    output:
        metrics="results/runs/{experiment}/metrics.csv",
        manifest="results/runs/{experiment}/metrics.json",
        curve="results/runs/{experiment}/learning_curve.csv",
    log:
        "logs/{experiment}/score.log",
    benchmark:
        "benchmarks/{experiment}/score.tsv"
    wildcard_constraints:
        experiment=one_of(makers("score")),
    conda:
        "../envs/ngpipe.yaml"
    threads: threads_of("score")
    resources:
        mem_mb=memory_of("score"),
        runtime=minutes_of("score"),
    params:
        key=stage_key("score"),
    message:
        "Scoring {wildcards.experiment}"
    shell:
        "python -m ngpipe score config/experiments/{wildcards.experiment}.yaml"
        " --key {params.key} --threads {threads} 2>&1 | tee {log} >&2"
