rule attribute:
    input:
        connectome=ancient("results/runs/{experiment}/connectome.zarr"),
        wired="results/runs/{experiment}/connectome.json",
        network="results/runs/{experiment}/network.safetensors",
        stimuli=ancient("results/runs/{experiment}/stimuli.zarr"),
        driven="results/runs/{experiment}/stimuli.json",
    output:
        store=directory("results/runs/{experiment}/attribution.zarr"),
        manifest="results/runs/{experiment}/attribution.json",
    log:
        "logs/{experiment}/attribute.log",
    benchmark:
        "benchmarks/{experiment}/attribute.tsv"
    wildcard_constraints:
        experiment=one_of(makers("attribute")),
    conda:
        "../envs/ngpipe-cuda.yaml"
    threads: threads_of("attribute")
    resources:
        device="auto",
        mem_mb=memory_of("attribute"),
        runtime=minutes_of("attribute"),
        gpu=1,
    params:
        key=stage_key("attribute"),
    message:
        "Explaining responses of {wildcards.experiment}"
    shell:
        "python -m ngpipe attribute config/experiments/{wildcards.experiment}.yaml"
        " --key {params.key} --threads {threads} --device {resources.device} 2>&1 | tee {log} >&2"
