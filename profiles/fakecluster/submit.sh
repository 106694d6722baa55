#!/bin/sh
# Start a job script in the background and print its process id, as sbatch prints a job id.
mkdir -p .snakemake/fakecluster
sh -c 'cd .snakemake/fakecluster && rm -f $$.rc && sh "$0" >$$.out 2>&1; echo $? >$$.rc' \
    "$(realpath "$1")" >/dev/null 2>&1 </dev/null &
echo $!
