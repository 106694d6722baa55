rule search:
    input:
        connectome=ancient("results/runs/{experiment}/connectome.zarr"),
        wired="results/runs/{experiment}/connectome.json",
        network="results/runs/{experiment}/network.safetensors",
    output:
        store=directory("results/runs/{experiment}/stimuli.zarr"),
        manifest="results/runs/{experiment}/stimuli.json",
    log:
        "logs/{experiment}/search.log",
    benchmark:
        "benchmarks/{experiment}/search.tsv"
    wildcard_constraints:
        experiment=one_of(makers("search")),
    conda:
        "../envs/ngpipe-cuda.yaml"
    threads: threads_of("search")
    resources:
        device="auto",
        mem_mb=memory_of("search"),
        runtime=minutes_of("search"),
        gpu=1,
    params:
        key=stage_key("search"),
    message:
        "Driving {wildcards.experiment}"
    shell:
        "python -m ngpipe search config/experiments/{wildcards.experiment}.yaml"
        " --key {params.key} --threads {threads} --device {resources.device} 2>&1 | tee {log} >&2"
