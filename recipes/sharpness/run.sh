#!/usr/bin/env bash
# When is a small denoiser too noisy, when too dull, and what mends it: networks of equal cost, regularizers, correction.
RECIPE=sharpness
source "$(dirname "${BASH_SOURCE[0]}")/../common/recipe.sh"
results="" networks=unet,wavelet_unet count=20 leaves=4096 seeds=0,1,2,3,4 steps=300,1000,3000 long=10000 long_seed=100 branch=300 num=256 sampling=18
OPTIONS=(stage stop_stage data results networks count leaves seeds steps long branch num sampling exp)

usage() {
  cat <<EOF
usage: $program --data PATH [options]

  --data PATH      photographs: a folder, .tar, .tar.gz or .zip; a fifth is held out
  --fast           a look at two seeds and few steps, in a folder of its own
  --stage N        first stage to run (default $stage)
  --stop-stage N   last stage to run (default $stop_stage)
                   1 prepare  2 train and measure  3 one seed for long  4 branches  6 tables
  --networks LIST  trained on photographs (default $networks)
  --count N        crops of each photograph (default $count)
  --leaves N       pictures of dead leaves to train on (default $leaves)
  --seeds LIST     of weights, order, noise and samples (default $seeds)
  --steps LIST     after which samples are measured (default $steps)
  --long N         steps of one seed of each network (default $long)
  --branch N       steps of each branch (default $branch)
  --num N          samples of each measurement (default $num)
  --sampling N     steps of Heun's sampler (default $sampling)
  --results DIR    a JSON for each result, and results.md (default $exp/$RECIPE/results)
  --exp DIR        where data and runs are written (default $exp)

What is in DIR already is not done again; what was cut off goes on from its last checkpoint. Two processes can share the
work of stage 2: --stage 2 --stop-stage 2 --seeds 0,1,2 and --stage 2 --stop-stage 2 --seeds 3,4.
EOF
}

arguments=()
for argument; do
  if [[ $argument == --fast ]]; then
    RECIPE+=-fast
    leaves=400 seeds=0,1 steps=50,150 long=200 branch=20 num=40 sampling=9
  else
    arguments+=("$argument")
  fi
done
parse_options "${arguments[@]}"
((${#overrides[@]} == 0)) || die "${overrides[0]}: key=value is for no stage of this recipe (see --help)."
for option in count leaves long branch sampling; do
  [[ ${!option} =~ ^[1-9][0-9]*$ ]] || die "--$option must be a whole number, not '${!option}'."
done
[[ -n $data ]] || die "give the photographs with --data PATH, such as BSDS500's."

export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
photographs=$(packed_folder sharpness)/photographs dead_leaves=$(packed_folder sharpness)/dead_leaves
runs=$exp/$RECIPE/runs
results=${results:-$exp/$RECIPE/results}
stages() { ((stage <= $1 && $1 <= stop_stage)); }
follow() { # DATA [option ...]
  python -m recipes.sharpness.trajectory --data "$1" --runs "$runs" --results "$results" --num "$num" \
    --sampling "$sampling" "${@:2}"
}

history="$data "
once 1 photographs python -m data_prep.crops "$data" "$photographs" --size 32 --reduce 2 --count "$count"
once 1 dead-leaves python -m data_prep.dead_leaves "$dead_leaves" --size 32 --train "$leaves" --test "$((leaves / 4))"
! stages 2 || follow "$photographs" --networks "$networks" --seeds "$seeds" --steps "$steps"
! stages 2 || follow "$dead_leaves" --networks unet --seeds "$seeds" --steps "$steps"
! stages 3 || follow "$photographs" --networks unet --seeds "$long_seed" --steps "$steps,$long"

branches() { # NETWORK: from the first seed's run, whose weights all arms have
  local network=$1 base=$runs/photographs-$1-${seeds%%,*} home=$exp/$RECIPE/branches-$1
  once 4 "calibrate-$network" mmspec calibrate "from=$base" "data=$halves/calibrating" "out=$home.json"
  local correction="{name: correction, sample: {correction: $home.json}}"
  mmspec verify "from=$base" "out=$home" "data.test=$halves/verifying" "seeds=[$seeds]" "steps=$branch" "num=$num" \
    "sampling.steps=$sampling" learning_rate_end=1e-4 \
    "treatments=[train_on,amplitude,amplitude_phase,haar,$correction]"
  python -m recipes.common.arms "$home" "$results/branches-$network"
}

halves=$(packed_folder sharpness)/halves
once 4 halves python -m recipes.sharpness.halves "$photographs/test" "$halves" --count "$count"
for network in ${networks//,/ }; do
  ! stages 4 || branches "$network"
done
! stages 6 || python -m recipes.sharpness.tables "$results"
