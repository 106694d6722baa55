rule motifs:
    input:
        connectome=ancient("results/runs/{experiment}/connectome.zarr"),
        wired="results/runs/{experiment}/connectome.json",
    output:
        table="results/runs/{experiment}/motifs.csv",
        manifest="results/runs/{experiment}/motifs.json",
        mixing="results/runs/{experiment}/mixing.csv",
    log:
        "logs/{experiment}/motifs.log",
    benchmark:
        "benchmarks/{experiment}/motifs.tsv"
    wildcard_constraints:
        experiment=one_of(makers("motifs")),
    conda:
        "../envs/ngpipe.yaml"
    threads: threads_of("motifs")
    resources:
        mem_mb=memory_of("motifs"),
        runtime=minutes_of("motifs"),
    params:
        key=stage_key("motifs"),
    message:
        "Counting motifs of {wildcards.experiment}"
    shell:
        "python -m ngpipe motifs config/experiments/{wildcards.experiment}.yaml"
        " --key {params.key} --threads {threads} 2>&1 | tee {log} >&2"
