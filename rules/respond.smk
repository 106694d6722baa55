rule respond:
    input:
        connectome=ancient("results/runs/{experiment}/connectome.zarr"),
        wired="results/runs/{experiment}/connectome.json",
    output:
        store=directory("results/runs/{experiment}/responses.zarr"),
        manifest="results/runs/{experiment}/responses.json",
    log:
        "logs/{experiment}/respond.log",
    benchmark:
        "benchmarks/{experiment}/respond.tsv"
    wildcard_constraints:
        experiment=one_of(makers("respond")),
    conda:
        "../envs/ngpipe.yaml"
    threads: 2
    resources:
        device="cpu",
        mem_mb=4000,
        runtime=60,
    params:
        key=stage_key("respond"),
    message:
        "Running {wildcards.experiment}"
    shell:
        "python -m ngpipe respond config/experiments/{wildcards.experiment}.yaml"
        " --key {params.key} --threads {threads} --device {resources.device} 2>&1 | tee {log} >&2"
