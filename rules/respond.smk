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
    threads: threads_of("respond")
    resources:
        device="cpu",
        mem_mb=memory_of("respond"),
        runtime=minutes_of("respond"),
    params:
        key=stage_key("respond"),
    message:
        "Running {wildcards.experiment}"
    shell:
        "python -m ngpipe respond config/experiments/{wildcards.experiment}.yaml"
        " --key {params.key} --threads {threads} --device {resources.device} 2>&1 | tee {log} >&2"
