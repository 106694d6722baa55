rule recover:
    input:
        simulation=ancient("results/runs/{experiment}/simulation.zarr"),
        simulated="results/runs/{experiment}/simulation.json",
        model="results/runs/{experiment}/model.safetensors",
    output:
        store=directory("results/runs/{experiment}/recovery.zarr"),
        manifest="results/runs/{experiment}/recovery.json",
    log:
        "logs/{experiment}/recover.log",
    benchmark:
        "benchmarks/{experiment}/recover.tsv"
    wildcard_constraints:
        experiment=one_of(makers("recover")),
    conda:
        "../envs/ngpipe.yaml"
    threads: threads_of("recover")
    resources:
        device="cpu",
        mem_mb=memory_of("recover"),
        runtime=minutes_of("recover"),
    params:
        key=stage_key("recover"),
    message:
        "Reading out the model of {wildcards.experiment}"
    shell:
        "python -m ngpipe recover config/experiments/{wildcards.experiment}.yaml"
        " --key {params.key} --threads {threads} --device {resources.device} 2>&1 | tee {log} >&2"
