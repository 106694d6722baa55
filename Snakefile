from snakemake.utils import min_version

min_version("9.20")


configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


include: "rules/common.smk"
include: "rules/screen.smk"


# One file for each stage that is registered.
for stage in stages.every_stage():

    include: f"rules/{stage}.smk"


include: "rules/sweep.smk"
include: "rules/figures.smk"
include: "rules/manifests.smk"  # after all rules that have a key


rule all:
    default_target: STUDY.figures.without_target == "all"
    input:
        expand("results/{figure}", figure=STUDY.figures.figures),


rule list_figures:
    default_target: STUDY.figures.without_target == "list"
    log:
        "logs/figures.log",
    localrule: True
    conda:
        "envs/ngpipe.yaml"
    message:
        "No target was named. These figures can be made:"
    shell:
        "python -m ngpipe figures 2>&1 | tee {log}"
