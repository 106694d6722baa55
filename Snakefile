from snakemake.utils import min_version

min_version("9.20")


configfile: "config/config.yaml"


include: "rules/common.smk"
include: "rules/simulate.smk"
include: "rules/train.smk"
include: "rules/recover.smk"
include: "rules/rollout.smk"
include: "rules/score.smk"
include: "rules/figures.smk"


rule all:
    default_target: True
    input:
        expand("results/{figure}", figure=STUDY.figures.figures),
