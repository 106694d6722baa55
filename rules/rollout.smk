rule rollout:
    input:
        simulation=ancient("results/runs/{experiment}/simulation.zarr"),
        simulated="results/runs/{experiment}/simulation.json",
        model="results/runs/{experiment}/model.safetensors",
    output:
        store=directory("results/runs/{experiment}/rollout.zarr"),
        manifest="results/runs/{experiment}/rollout.json",
    log:
        "logs/{experiment}/rollout.log",
    benchmark:
        "benchmarks/{experiment}/rollout.tsv"
    wildcard_constraints:
        experiment=one_of(makers("rollout")),
    conda:
        "../envs/ngpipe.yaml"
    threads: threads_of("rollout")
    resources:
        device="cpu",
        mem_mb=memory_of("rollout"),
        runtime=minutes_of("rollout"),
    params:
        key=stage_key("rollout"),
    message:
        "Predicting held-out activity of {wildcards.experiment}"
    shell:
        "python -m ngpipe rollout config/experiments/{wildcards.experiment}.yaml"
        " --key {params.key} --threads {threads} --device {resources.device} 2>&1 | tee {log} >&2"
