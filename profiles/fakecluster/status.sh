#!/bin/sh
# Print what became of a job: running, success or failed.
if [ -s ".snakemake/fakecluster/$1.rc" ]; then
    read -r rc <".snakemake/fakecluster/$1.rc"
    [ "$rc" = 0 ] && echo success || echo failed
elif kill -0 "$1" 2>/dev/null; then
    echo running
else
    echo failed
fi
