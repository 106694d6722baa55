rule factor:
    input:
        simulation=ancient("results/runs/{experiment}/simulation.zarr"),
        found="results/runs/{experiment}/parts/psi.safetensors",
        summed=parts("gram"),
    output:
        part=temp("results/runs/{experiment}/parts/factor.safetensors"),
        manifest=temp("results/runs/{experiment}/parts/factor.json"),
    log:
        "logs/{experiment}/factor.log",
    benchmark:
        "benchmarks/{experiment}/factor.tsv"
    wildcard_constraints:
        experiment=one_of(makers("train")),
    conda:
        "../envs/ngpipe.yaml"
    threads: threads_of("factor")
    resources:
        device="cpu",
        mem_mb=memory_of("factor"),
        runtime=minutes_of("factor"),
        gathered=gathering,
    params:
        key=stage_key("factor"),
    message:
        "Factoring the Gram matrix of {wildcards.experiment}"
    shell:
        "python -m ngpipe factor config/experiments/{wildcards.experiment}.yaml"
        " --key {params.key} --threads {threads} --device {resources.device}"
        " {resources.gathered} 2>&1 | tee {log} >&2"
