rule record:
    input:
        files=named_files("record"),
    output:
        truth=directory("results/runs/{experiment}/truth.zarr"),
        about="results/runs/{experiment}/truth.json",
        sessions=directory("results/runs/{experiment}/recorded"),
        manifest="results/runs/{experiment}/recorded.json",
    log:
        "logs/{experiment}/record.log",
    benchmark:
        "benchmarks/{experiment}/record.tsv"
    wildcard_constraints:
        experiment=one_of(makers("record")),
    conda:
        "../envs/ngpipe.yaml"
    threads: threads_of("record")
    resources:
        device="cpu",
        mem_mb=memory_of("record"),
        runtime=minutes_of("record"),
    params:
        key=stage_key("record"),
    message:
        "Recording {wildcards.experiment}"
    shell:
        "python -m ngpipe record config/experiments/{wildcards.experiment}.yaml"
        " --key {params.key} --threads {threads} --device {resources.device} 2>&1 | tee {log} >&2"
