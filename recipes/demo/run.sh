#!/usr/bin/env bash
# The ten digits, drawn and spoken: two small models in minutes on a laptop, and whether a regularizer helps them.
RECIPE=demo
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../common/recipe.sh"
datasets=drawn_digits,spoken_digits seeds=0,1,2 steps=60
OPTIONS=(stage stop_stage datasets seeds steps exp)

usage() {
  cat <<EOF
usage: recipes/$RECIPE/run.sh [options]

  --stage N        first stage to run (default $stage)
  --stop-stage N   last stage to run (default $stop_stage)
                   1 prepare  2 train  3 train on with and without a regularizer  6 report
  --datasets LIST  several at the same time, a core each (default $datasets)
  --seeds LIST     of order, noise and samples (default $seeds)
  --steps N        of training on (default $steps)
  --exp DIR        where everything is written (default $exp)

A stage whose command was run before with the same inputs is skipped; one that was cut off goes on where it stopped.
EOF
}

treatment() { # DATASET: what it is trained on with
  case $1 in
    drawn_digits) echo amplitude ;;
    spoken_digits) echo amplitude_phase ;;
    *) die "--datasets $1: expected some of drawn_digits, spoken_digits." ;;
  esac
}

learn() { # DATASET: a model of it, then arms with a regularizer, a placebo and nothing
  local packed home=$exp/$RECIPE/$1 regularizer history="" draw
  packed=$(packed_folder "$1") regularizer=$(treatment "$1")
  case $1 in
    drawn_digits) draw=(num=100 sampling.steps=12) ;;
    spoken_digits) draw=(num=40 sampler=diffwave sampling.steps=6) ;;
  esac
  once 1 "prepare-$1" python -m "data_prep.$1" "$packed"
  once 2 "train-$1" mmspec train "experiment=$1" "run_dir=$home/base" "data.train=$packed/train" "data.test=$packed/test"
  once 3 "treat-$1" mmspec verify "from=$home/base" "out=$home/arms" "treatments=[$regularizer]" "seeds=[$seeds]" \
    "steps=$steps" "${draw[@]}"
}

show() { # DATASET...: a page of what the first seed drew, with and without
  local dataset kind runs=() names=() found=()
  for dataset; do
    for kind in none "$(treatment "$dataset")"; do
      runs+=("$exp/$RECIPE/$dataset/arms/$kind/seed_${seeds%%,*}")
    done
    names+=("'${dataset//_/ }, without a regularizer'" "'${dataset//_/ }, with $(treatment "$dataset")'")
    found+=("$exp/$RECIPE/$dataset/arms")
  done
  mmspec report "runs=[$(IFS=,; echo "${runs[*]}")]" "names=[$(IFS=,; echo "${names[*]}")]" \
    "verifications=[$(IFS=,; echo "${found[*]}")]" "out=$exp/$RECIPE/report.html" title="The ten digits, drawn and spoken" \
    lead="$lead"
}

lead="Two small models, trained for a few minutes on a laptop: one draws digits, told which one; one speaks them, told their \
spectrograms. Look at the first row of each: real ones; then what was made by the model as it is, and by the same model trained \
on with a regularizer, same digits, same noise. Whether that helped is said first, over several seeds and beside a placebo."

parse_options "$@"
((${#overrides[@]} == 0)) || die "${overrides[0]}: key=value is for no stage of this recipe (see --help)."
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
if [[ $datasets == *,* ]]; then # a process each, with one thread, which a busy machine does not slow down further
  tr , '\n' <<<"$datasets" | xargs -P 2 -I DATASET "$here/run.sh" --stage "$stage" \
    --stop-stage "$((stop_stage < 5 ? stop_stage : 5))" --datasets DATASET --seeds "$seeds" --steps "$steps" --exp "$exp"
else
  learn "$datasets"
fi
((stop_stage < 6)) || show ${datasets//,/ }
