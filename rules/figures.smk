rule panel:
    input:
        panel_run,
    output:
        svg="results/panels/{figure}/{panel}.svg",
        png="results/panels/{figure}/{panel}.png",
        manifest="results/panels/{figure}/{panel}.json",
    log:
        "logs/{figure}/{panel}.log",
    benchmark:
        "benchmarks/{figure}/{panel}.tsv"
    conda:
        "../envs/ngpipe.yaml"
    threads: 1
    resources:
        mem_mb=800,
        runtime=20,
    params:
        key=picture_key(STUDY.panel_key, "svg", "png", "json"),
    message:
        "Drawing panel {wildcards.panel} of {wildcards.figure}"
    shell:
        "python -m ngpipe panel {wildcards.figure} {wildcards.panel}"
        " --key {params.key} 2>&1 | tee {log} >&2"


rule movie:
    input:
        panel_run,
    output:
        gif="results/panels/{figure}/{panel}.gif",
        manifest="results/panels/{figure}/{panel}.movie.json",
    log:
        "logs/{figure}/{panel}.movie.log",
    benchmark:
        "benchmarks/{figure}/{panel}.movie.tsv"
    wildcard_constraints:
        panel=one_of(movie_panels()),
    conda:
        "../envs/ngpipe.yaml"
    threads: 1
    resources:
        mem_mb=800,
        runtime=20,
    params:
        key=picture_key(STUDY.movie_key, "gif", "movie.json"),
    message:
        "Drawing movie {wildcards.panel} of {wildcards.figure}"
    shell:
        "python -m ngpipe movie {wildcards.figure} {wildcards.panel}"
        " --key {params.key} 2>&1 | tee {log} >&2"


rule figure:
    input:
        panels=figure_panels,
        runs=figure_runs,
    output:
        report(
            directory("results/{figure}"),
            patterns=["{name}.svg", "{name}.gif", "{name}.csv"],
            category="Figures",
            subcategory="{figure}",
            caption="../workflow/report/figure.rst",
        ),
    log:
        "logs/{figure}/figure.log",
    benchmark:
        "benchmarks/{figure}/figure.tsv"
    conda:
        "../envs/ngpipe.yaml"
    threads: 1
    resources:
        mem_mb=1200,
        runtime=20,
    params:
        key=figure_key,
        shown=shown_in,
    message:
        "Composing {wildcards.figure}"
    shell:
        "python -m ngpipe figure {wildcards.figure}"
        " --key {params.key} 2>&1 | tee {log} >&2"
