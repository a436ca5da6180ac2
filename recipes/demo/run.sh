#!/usr/bin/env bash
# Digits, plucked strings and checkerboards: what small models make of them in minutes on a laptop, and where a regularizer helps.
RECIPE=demo
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../common/recipe.sh"
datasets=checkerboards,plucked_strings,drawn_digits seeds=0,1,2 steps="" num=60 regularizer=amplitude_phase
OPTIONS=(stage stop_stage datasets seeds steps num exp)

usage() {
  cat <<EOF
usage: recipes/$RECIPE/run.sh [options] [key=value ...]

  --stage N        first stage to run (default $stage)
  --stop-stage N   last stage to run (default $stop_stage)
                   1 prepare  2 train  3 train on with and without a regularizer  4 sample  5 evaluate  6 report
  --datasets LIST  two at a time, a core each (default $datasets)
  --seeds LIST     of stage 3 (default $seeds)
  --steps N        of stage 3 (default: each data set's own)
  --num N          samples drawn from each model (default $num)
  --exp DIR        where everything is written (default $exp)

  key=value        overrides for \`mmspec train\` in stage 2

A stage whose command was run before with the same inputs is skipped; one that was cut off goes on where it stopped.
EOF
}

describe() { # DATASET: sets how it is learnt (experiment, arguments of its command) and treated (arguments of mmspec verify)
  case $1 in
    drawn_digits) experiment=drawn_digits training=() treating=() ;;
    plucked_strings) experiment=plucked_strings training=() treating=(steps=40 sampling.steps=12) ;;
    checkerboards) # treated from almost the beginning: where it is dull at all frequencies
      experiment=checkerboard training=(trainer.max_steps=100)
      treating=(steps=250 sampling.steps=100 sampler=ddpm sampler.clip_denoised=true)
      ;;
    *) die "--datasets $1: expected some of checkerboards, plucked_strings, drawn_digits." ;;
  esac
}

learn() { # DATASET: a model of it; and trained on with the regularizer, with a placebo and with neither, or what it draws
  local experiment training treating history="" packed home=$exp/$RECIPE/$1 size=()
  describe "$1"
  packed=$(packed_folder "$1-demo")
  [[ $1 != checkerboards ]] || size=(--size 32)
  once 1 "prepare-$1" python -m "data_prep.$1" "$packed" "${size[@]}"
  once 2 "train-$1" mmspec train "experiment=$experiment" "run_dir=$home/base" "data.train=$packed/train" \
    "data.test=$packed/test" "${training[@]}" "${overrides[@]}"
  if ((${#treating[@]})); then
    once 3 "treat-$1" mmspec verify "from=$home/base" "out=$home/arms" "treatments=[$regularizer]" "seeds=[$seeds]" \
      "num=$num" "${treating[@]}" ${steps:+"steps=$steps"}
  else
    once 4 "sample-$1" mmspec sample "from=$home/base" "num=$num"
    once 5 "evaluate-$1" mmspec evaluate "samples=$home/base"
  fi
}

show() { # DATASET...: a page of what they drew, of the first seed where there are several
  local dataset home experiment training treating runs=() names=() found=()
  for dataset; do
    describe "$dataset"
    home=$exp/$RECIPE/$dataset
    if ((${#treating[@]})); then
      runs+=("$home/arms/none/seed_${seeds%%,*}" "$home/arms/$regularizer/seed_${seeds%%,*}")
      names+=("${dataset//_/ } without a regularizer" "${dataset//_/ } with amplitude and phase")
      found+=("$home/arms")
    else
      runs+=("$home/base")
      names+=("${dataset//_/ } of the model")
    fi
  done
  once 6 report mmspec report "runs=[$(IFS=,; echo "${runs[*]}")]" "names=[$(IFS=,; echo "${names[*]}")]" \
    "verifications=[$(IFS=,; echo "${found[*]}")]" "out=$exp/$RECIPE/report.html" "title=$title" "lead=$lead"
}

title="What small models make in minutes"
lead="Everything below was learnt from nothing, on a laptop, while you waited. Look at real samples first, then at what a model \
made: the same digits, notes and boards in the same places. Whether a regularizer helped is said first, over several seeds and \
beside a placebo: it does on checkerboards, and not everywhere."

parse_options "$@"
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
for dataset in ${datasets//,/ }; do describe "$dataset"; done
if [[ $datasets == *,* ]]; then # a process each, of one thread: threads that wait for each other are slow on a busy machine
  tr , '\n' <<<"$datasets" | xargs -P 2 -I DATASET "$here/run.sh" --stage "$stage" \
    --stop-stage "$((stop_stage < 5 ? stop_stage : 5))" --datasets DATASET --seeds "$seeds" --num "$num" --exp "$exp" ${steps:+--steps "$steps"} "${overrides[@]}"
else
  learn "$datasets"
fi
((stop_stage < 6 || stage > 6)) || history="" show ${datasets//,/ }
