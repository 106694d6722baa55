rule control:
    input:
        connectome=ancient("results/runs/{experiment}/connectome.zarr"),
        wired="results/runs/{experiment}/connectome.json",
        network="results/runs/{experiment}/network.safetensors",
        stimuli=ancient("results/runs/{experiment}/stimuli.zarr"),
        driven="results/runs/{experiment}/stimuli.json",
    output:
        store=directory("results/runs/{experiment}/control.zarr"),
        manifest="results/runs/{experiment}/control.json",
    log:
        "logs/{experiment}/control.log",
    benchmark:
        "benchmarks/{experiment}/control.tsv"
    wildcard_constraints:
        experiment=one_of(makers("control")),
    conda:
        "../envs/ngpipe.yaml"
    threads: threads_of("control")
    resources:
        device="cpu",
        mem_mb=memory_of("control"),
        runtime=minutes_of("control"),
    params:
        key=stage_key("control"),
    message:
        "Comparing {wildcards.experiment} with null connectomes"
    shell:
        "python -m ngpipe control config/experiments/{wildcards.experiment}.yaml"
        " --key {params.key} --threads {threads} --device {resources.device} 2>&1 | tee {log} >&2"
