#!/usr/bin/env bash
# Train on several machines under Slurm:  sbatch examples/slurm.sh DATASET RUN
# DATASET and RUN lie in folders that all machines share. A job that is submitted again goes on with the run.
# Not yet run under Slurm; `torchrun` with two nodes was, on one machine (see cluster.md).
#SBATCH --job-name=lnfgen
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1       # one torchrun on each machine, which starts the processes
#SBATCH --gpus-per-node=4         # leave out for CPUs
#SBATCH --cpus-per-task=16
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@120         # two minutes before the end: the run is saved
set -euo pipefail

dataset=$1 run=$2
processes=${SLURM_GPUS_ON_NODE:-${SLURM_CPUS_PER_TASK:-1}}
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)

train=(train "$dataset" --preset paper --seed 1 --out "$run")
if [ -f "$run/config.json" ]; then train=(train --resume --out "$run"); fi

srun torchrun --nnodes "$SLURM_JOB_NUM_NODES" --nproc-per-node "$processes" --max-restarts 3 \
  --rdzv-backend c10d --rdzv-id "$SLURM_JOB_ID" --rdzv-endpoint "$first:29500" \
  -m lnfgen "${train[@]}"
