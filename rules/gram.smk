rule gram:
    input:
        simulation=ancient("results/runs/{experiment}/simulation.zarr"),
        found="results/runs/{experiment}/parts/psi.safetensors",
    output:
        part=temp("results/runs/{experiment}/parts/gram_{job}_of_{jobs}.safetensors"),
        manifest=temp("results/runs/{experiment}/parts/gram_{job}_of_{jobs}.json"),
    log:
        "logs/{experiment}/gram_{job}_of_{jobs}.log",
    benchmark:
        "benchmarks/{experiment}/gram_{job}_of_{jobs}.tsv"
    wildcard_constraints:
        experiment=one_of(makers("train")),
        job="[0-9]+",
        jobs="[0-9]+",
    conda:
        "../envs/ngpipe.yaml"
    threads: threads_of("gram")
    resources:
        device="cpu",
        mem_mb=memory_of("gram"),
        runtime=minutes_of("gram"),
    params:
        key=stage_key("gram"),
    message:
        "Summing products, job {wildcards.job} of {wildcards.jobs} of {wildcards.experiment}"
    shell:
        "python -m ngpipe gram config/experiments/{wildcards.experiment}.yaml"
        " --key {params.key} --threads {threads} --device {resources.device}"
        " --job {wildcards.job} --jobs {wildcards.jobs}"
        " 2>&1 | tee {log} >&2"
