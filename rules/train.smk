rule train:
    input:
        simulation=ancient("results/runs/{experiment}/simulation.zarr"),
        manifest="results/runs/{experiment}/simulation.json",
        # None, unless training.closed_form.jobs are to share the work.
        found=parts("psi"),
        ready=parts("factor"),
        solved=parts("solve_rows"),
    output:
        model="results/runs/{experiment}/model.safetensors",
        table="results/runs/{experiment}/training.csv",
        history=directory("results/runs/{experiment}/training.zarr"),
        manifest="results/runs/{experiment}/training.json",
    log:
        "logs/{experiment}/train.log",
    benchmark:
        "benchmarks/{experiment}/train.tsv"
    wildcard_constraints:
        experiment=one_of(makers("train")),
    conda:
        "../envs/ngpipe-cuda.yaml"
    threads: threads_of("train")
    resources:
        device="auto",
        mem_mb=memory_of("train"),
        runtime=minutes_of("train"),
        gpu=1,
        # No parameter: switching it on or off makes no result stale.
        board=tensorboard,
        gathered=gathering,
    params:
        key=stage_key("train"),
    message:
        "Training on {wildcards.experiment}"
    shell:
        "python -m ngpipe train config/experiments/{wildcards.experiment}.yaml"
        " --key {params.key} --threads {threads} --device {resources.device} {resources.board}"
        " {resources.gathered} 2>&1 | tee {log} >&2"
