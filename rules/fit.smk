rule fit:
    input:
        connectome=ancient("results/runs/{experiment}/connectome.zarr"),
        wired="results/runs/{experiment}/connectome.json",
        files=named_files("fit"),
    output:
        network="results/runs/{experiment}/network.safetensors",
        store=directory("results/runs/{experiment}/fit.zarr"),
        manifest="results/runs/{experiment}/fit.json",
    log:
        "logs/{experiment}/fit.log",
    benchmark:
        "benchmarks/{experiment}/fit.tsv"
    wildcard_constraints:
        experiment=one_of(makers("fit")),
    conda:
        "../envs/ngpipe-cuda.yaml"
    threads: threads_of("fit")
    resources:
        device="auto",
        mem_mb=memory_of("fit"),
        runtime=minutes_of("fit"),
        gpu=1,
    params:
        key=stage_key("fit"),
    message:
        "Fitting {wildcards.experiment}"
    shell:
        "python -m ngpipe fit config/experiments/{wildcards.experiment}.yaml"
        " --key {params.key} --threads {threads} --device {resources.device} 2>&1 | tee {log} >&2"
