#!/usr/bin/env bash
# A vocoder on spoken digits: amplitude, amplitude and phase, multi-resolution STFT, beside none and a placebo.
RECIPE=vocoder_digits NUM=all
source "$(dirname "${BASH_SOURCE[0]}")/../common/recipe.sh"
results="" seeds=0,1,2,3,4 steps=300 treatments=amplitude,amplitude_phase,stft
OPTIONS=(stage stop_stage data results seeds steps treatments num exp)
WHOLE+=(steps)

usage() {
  cat <<EOF
usage: $program --data PATH [options] [key=value ...]

  --data PATH      recordings of digits, such as the Free Spoken Digit Dataset's: a folder, .tar, .tar.gz or .zip
  --fast           a look at two seeds and few steps, in a folder of its own
  --stage N        first stage to run (default $stage)
  --stop-stage N   last stage to run (default $stop_stage)
                   1 prepare  2 train a base  3 treat it, and measure  6 tables
  --seeds LIST     of order, noise and samples (default $seeds)
  --steps N        of each arm (default $steps)
  --treatments LIST   regularizers (default $treatments)
  --num N          held-out recordings (default $num)
  --results DIR    a JSON for each arm and seed, and the tables (default $exp/$RECIPE/results)
  --exp DIR        where data and runs are written (default $exp)

  key=value        overrides for \`mmspec train\` in stage 2

What is there already is not done again; what was cut off goes on from its last checkpoint. Several processes with
--stage 3 --stop-stage 3 share the arms.
EOF
}

arguments=()
for argument; do
  if [[ $argument == --fast ]]; then
    RECIPE+=-fast
    seeds=0,1 steps=30 num=32 overrides+=(trainer.max_steps=300)
  else
    arguments+=("$argument")
  fi
done
parse_options "${arguments[@]}"
[[ -n $data ]] || die "give the recordings with --data PATH, such as the Free Spoken Digit Dataset's."

export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
packed=$(packed_folder vocoder_digits) base=$exp/$RECIPE/base arms=$exp/$RECIPE/arms
results=${results:-$exp/$RECIPE/results}
stages() { ((stage <= $1 && $1 <= stop_stage)); }

history="$data "
once 1 prepare python -m data_prep.audio "$data" "$packed" --sample-rate 8000 --label none --peak 0.9 \
  --holdout-pattern '*_[0-4].wav'
once 2 train mmspec train experiment=vocoder_digits "run_dir=$base" "data.train=$packed/train" "data.test=$packed/test" \
  "${overrides[@]}"
! stages 3 || mmspec verify "from=$base" "out=$arms" "treatments=[$treatments]" "seeds=[$seeds]" "steps=$steps" \
  "num=$num" sampler=diffwave sampling.steps=6 learning_rate_end=1e-4
! stages 6 || python -m recipes.common.arms "$arms" "$results"
