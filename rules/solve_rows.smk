rule solve_rows:
    input:
        simulation=ancient("results/runs/{experiment}/simulation.zarr"),
        found="results/runs/{experiment}/parts/psi.safetensors",
        ready="results/runs/{experiment}/parts/factor.safetensors",
    output:
        part=temp(
            "results/runs/{experiment}/parts/solve_rows_{job}_of_{jobs}.safetensors"
        ),
        manifest=temp("results/runs/{experiment}/parts/solve_rows_{job}_of_{jobs}.json"),
    log:
        "logs/{experiment}/solve_rows_{job}_of_{jobs}.log",
    benchmark:
        "benchmarks/{experiment}/solve_rows_{job}_of_{jobs}.tsv"
    wildcard_constraints:
        experiment=one_of(makers("train")),
        job="[0-9]+",
        jobs="[0-9]+",
    conda:
        "../envs/ngpipe.yaml"
    threads: threads_of("solve_rows")
    resources:
        device="cpu",
        mem_mb=memory_of("solve_rows"),
        runtime=minutes_of("solve_rows"),
    params:
        key=stage_key("solve_rows"),
    message:
        "Solving rows, job {wildcards.job} of {wildcards.jobs} of {wildcards.experiment}"
    shell:
        "python -m ngpipe solve_rows config/experiments/{wildcards.experiment}.yaml"
        " --key {params.key} --threads {threads} --device {resources.device}"
        " --job {wildcards.job} --jobs {wildcards.jobs}"
        " 2>&1 | tee {log} >&2"
