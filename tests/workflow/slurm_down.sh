#!/usr/bin/env bash
# Stop the Slurm that slurm_up.sh started in DIRECTORY, with all its jobs.
home=$(realpath "${1:?usage: slurm_down.sh DIRECTORY}")
export SLURM_CONF=$home/slurm.conf
scancel --user="$(id -un)" 2>/dev/null
for name in slurmd slurmctld munged; do
    [ -s "$home/$name.pid" ] || continue
    process=$(cat "$home/$name.pid")
    kill "$process" 2>/dev/null
    for _ in $(seq 100); do
        kill -0 "$process" 2>/dev/null || break
        sleep 0.1
    done
    kill -9 "$process" 2>/dev/null
done
# Without cgroups a job's inner snakemake may outlive it; what it was started with gives it away.
for environment in /proc/[0-9]*/environ; do
    process=${environment//[!0-9]/}
    if grep -qz "^SLURM_CONF=$SLURM_CONF$" "$environment" 2>/dev/null &&
        grep -qz "^SLURM_JOB_ID=" "$environment" 2>/dev/null; then
        kill -9 "$process" 2>/dev/null
    fi
done
exit 0
