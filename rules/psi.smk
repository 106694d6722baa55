rule psi:
    input:
        simulation=ancient("results/runs/{experiment}/simulation.zarr"),
        simulated="results/runs/{experiment}/simulation.json",
    output:
        part=temp("results/runs/{experiment}/parts/psi.safetensors"),
        manifest=temp("results/runs/{experiment}/parts/psi.json"),
    log:
        "logs/{experiment}/psi.log",
    benchmark:
        "benchmarks/{experiment}/psi.tsv"
    wildcard_constraints:
        experiment=one_of(makers("train")),
    conda:
        "../envs/ngpipe.yaml"
    threads: threads_of("psi")
    resources:
        device="cpu",
        mem_mb=memory_of("psi"),
        runtime=minutes_of("psi"),
    params:
        key=stage_key("psi"),
    message:
        "Finding psi of {wildcards.experiment}"
    shell:
        "python -m ngpipe psi config/experiments/{wildcards.experiment}.yaml"
        " --key {params.key} --threads {threads} --device {resources.device}"
        " 2>&1 | tee {log} >&2"
