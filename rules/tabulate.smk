rule tabulate:
    input:
        connectome=ancient("results/runs/{experiment}/connectome.zarr"),
        wired="results/runs/{experiment}/connectome.json",
        network="results/runs/{experiment}/network.safetensors",
        fit=ancient("results/runs/{experiment}/fit.zarr"),
        fitted="results/runs/{experiment}/fit.json",
        stimuli=ancient("results/runs/{experiment}/stimuli.zarr"),
        driven="results/runs/{experiment}/stimuli.json",
        attribution=ancient("results/runs/{experiment}/attribution.zarr"),
        explained="results/runs/{experiment}/attribution.json",
        control=ancient("results/runs/{experiment}/control.zarr"),
        compared="results/runs/{experiment}/control.json",
    output:
        metrics="results/runs/{experiment}/metrics.csv",
        manifest="results/runs/{experiment}/metrics.json",
        responses="results/runs/{experiment}/responses.csv",
        paths="results/runs/{experiment}/paths.csv",
        silencing="results/runs/{experiment}/silencing.csv",
        contributions="results/runs/{experiment}/contributions.csv",
    log:
        "logs/{experiment}/tabulate.log",
    benchmark:
        "benchmarks/{experiment}/tabulate.tsv"
    wildcard_constraints:
        experiment=one_of(makers("tabulate")),
    conda:
        "../envs/ngpipe.yaml"
    threads: threads_of("tabulate")
    resources:
        mem_mb=memory_of("tabulate"),
        runtime=minutes_of("tabulate"),
    params:
        key=stage_key("tabulate"),
    message:
        "Tabulating {wildcards.experiment}"
    shell:
        "python -m ngpipe tabulate config/experiments/{wildcards.experiment}.yaml"
        " --key {params.key} --threads {threads} 2>&1 | tee {log} >&2"
