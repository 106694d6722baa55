#!/usr/bin/env bash
# Start a Slurm of one node that belongs to this test alone: no service, no database, no cgroups.
# usage: slurm_up.sh DIRECTORY [CPUS]; then `. DIRECTORY/env.sh`; slurm_down.sh DIRECTORY stops it.
# Keys, sockets, state, logs and process ids stay in DIRECTORY. Works as root or as any user.
set -euo pipefail
home=${1:?usage: slurm_up.sh DIRECTORY [CPUS]}
cpus=${2:-16} # may be more than there are
host=$(hostname -s)
user=$(id -un)
port=$((20000 + RANDOM % 20000))

umask 022
mkdir -p "$home"/{bin,log,munge,spool,state}
home=$(realpath "$home")
chmod 700 "$home/state"
head -c 1024 /dev/urandom >"$home/munge/key"
chmod 400 "$home/munge/key"

cat >"$home/slurm.conf" <<CONF
ClusterName=ngpipe
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$((port + 1))
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
AuthInfo=socket=$home/munge/socket
StateSaveLocation=$home/state
SlurmdSpoolDir=$home/spool
SlurmctldPidFile=$home/slurmctld.pid
SlurmdPidFile=$home/slurmd.pid
SlurmctldLogFile=$home/log/slurmctld.log
SlurmdLogFile=$home/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=2
SlurmdParameters=config_overrides
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
MinJobAge=600
GresTypes=gpu
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cpus RealMemory=32000 Gres=gpu:1
PartitionName=main Nodes=$host Default=YES MaxTime=1-00:00:00 State=UP
CONF
# For scheduling any character device will do as a GPU.
echo "NodeName=$host Name=gpu File=/dev/null" >"$home/gres.conf"

# The executor starts srun inside a job without SLURM_CONF, so srun has to bring it along.
cat >"$home/bin/srun" <<SRUN
#!/bin/sh
SLURM_CONF=$home/slurm.conf exec $(command -v srun) "\$@"
SRUN
chmod 755 "$home/bin/srun"
printf 'export SLURM_CONF=%s/slurm.conf PATH=%s/bin:$PATH\n' "$home" "$home" >"$home/env.sh"
export SLURM_CONF=$home/slurm.conf

munged --force --key-file="$home/munge/key" --socket="$home/munge/socket" \
    --pid-file="$home/munged.pid" --log-file="$home/log/munged.log" \
    --seed-file="$home/munge/seed" --num-threads=2
slurmctld -c -f "$SLURM_CONF"
slurmd -c -f "$SLURM_CONF"
while [ "$SECONDS" -lt 30 ]; do
    [ "$(timeout 5 sinfo --noheader --format=%T 2>/dev/null)" = idle ] && exit 0
    sleep 0.1
done
echo "Slurm did not come up:" >&2
tail -n 5 "$home"/log/*.log >&2
exit 1
