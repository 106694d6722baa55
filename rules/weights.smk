rule weights:
    input:
        simulation=ancient("results/runs/{experiment}/simulation.zarr"),
        found=parts("psi"),
        ready=parts("factor"),
    output:
        part=temp("results/runs/{experiment}/parts/weights_{job}_of_{jobs}.safetensors"),
        manifest=temp("results/runs/{experiment}/parts/weights_{job}_of_{jobs}.json"),
    log:
        "logs/{experiment}/weights_{job}_of_{jobs}.log",
    benchmark:
        "benchmarks/{experiment}/weights_{job}_of_{jobs}.tsv"
    wildcard_constraints:
        experiment=one_of(makers("train")),
        job="[0-9]+",
        jobs="[0-9]+",
    conda:
        "../envs/ngpipe.yaml"
    threads: threads_of("weights")
    resources:
        device="cpu",
        mem_mb=memory_of("weights"),
        runtime=minutes_of("weights"),
    params:
        key=stage_key("weights"),
    message:
        "Solving rows, job {wildcards.job} of {wildcards.jobs} of {wildcards.experiment}"
    shell:
        "python -m ngpipe weights config/experiments/{wildcards.experiment}.yaml"
        " --key {params.key} --threads {threads} --device {resources.device} --job {wildcards.job} --jobs {wildcards.jobs}"
        " 2>&1 | tee {log} >&2"
