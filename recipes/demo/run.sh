#!/usr/bin/env bash
# Digits, plucked strings and photographs: what small models make of them in minutes, and which regularizer helps.
RECIPE=demo
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../common/recipe.sh"
datasets=drawn_digits,plucked_strings,photographs seeds=0,1,2 steps="" num=60
OPTIONS=(stage stop_stage datasets seeds steps num exp)
WHOLE+=(steps)

usage() {
  cat <<EOF
usage: $program [options] [key=value ...]

  --stage N        first stage to run (default $stage)
  --stop-stage N   last stage to run (default $stop_stage)
                   1 prepare  2 train  3 train on with and without regularizers  4 sample  5 evaluate  6 report
  --datasets LIST  a process of one thread each, as many at a time as there are cores (default $datasets)
  --seeds LIST     of stage 3 (default $seeds)
  --steps N        of stage 3 (default: each data set's own)
  --num N          samples drawn from each model (default $num)
  --exp DIR        where everything is written (default $exp)

  key=value        overrides for \`mmspec train\` in stage 2

A stage whose command was run before with the same inputs is skipped; one that was cut off goes on where it stopped.
EOF
}

describe() { # DATASET: sets how it is learnt and, where regularizers are tried on it, how (arguments of mmspec verify)
  case $1 in
    drawn_digits | plucked_strings) training=("experiment=$1") treating=() ;;
    photographs) # with the network of recipes/sharpness, which is too noisy at first
      training=(experiment=sharpness trainer.max_steps=500)
      treating=("treatments=[haar,amplitude]" strength.weight=0.3 steps=120 sampling.steps=12)
      ;;
    *) die "--datasets $1: expected some of drawn_digits, plucked_strings, photographs." ;;
  esac
}

learn() { # DATASET: a model of it, and what it draws, or draws after training on with each regularizer and without
  local training treating history="" packed run=$exp/$RECIPE/$1
  describe "$1"
  packed=$(packed_folder "$1")
  once 1 "prepare-$1" python -m "data_prep.$1" "$packed"
  once 2 "train-$1" mmspec train "run_dir=$run" "data.train=$packed/train" "data.test=$packed/test" \
    "${training[@]}" "${overrides[@]}"
  if ((${#treating[@]})); then
    once 3 "treat-$1" mmspec verify "from=$run" "out=$exp/$RECIPE/arms/$1" "${treating[@]}" "seeds=[$seeds]" "num=$num" \
      ${steps:+"steps=$steps"}
  else
    once 4 "sample-$1" mmspec sample "from=$run" "num=$num"
    once 5 "evaluate-$1" mmspec evaluate "samples=$run"
  fi
}

show() { # DATASET...: a page of what they drew, of the first seed where there are several
  local dataset arms training treating runs=() names=() found=() kind
  for dataset; do
    describe "$dataset"
    arms=$exp/$RECIPE/arms/$dataset
    if ((${#treating[@]})); then
      for kind in none haar amplitude; do runs+=("$arms/$kind/seed_${seeds%%,*}"); done
      names+=("without a regularizer" "with Haar" "with amplitude")
      found+=("$arms")
    else
      runs+=("$exp/$RECIPE/$dataset")
      names+=("generated ${dataset#*_}")
    fi
  done
  mmspec report "runs=[$(IFS=,; echo "${runs[*]}")]" "names=[$(IFS=,; echo "${names[*]}")]" \
    "verifications=[$(IFS=,; echo "${found[*]}")]" "out=$exp/$RECIPE/report.html" "title=$title" "lead='$lead'"
}

title="Digits, notes and photographs, generated after minutes of training"
lead="Small models that learnt from nothing on this machine made the digits, notes of plucked strings and patches of photographs \
below; real ones stand beside them. Photographs were learnt with two regularizers, Haar and amplitude, without any (none), and \
with a placebo for each, which pulls as hard and knows nothing of spectra. Decibels say by how much more the spectrum of what was \
made is wrong than without: below 0 it is less wrong. In brackets is where that lies with a confidence of 95%."

parse_options "$@"
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
for dataset in ${datasets//,/ }; do describe "$dataset"; done
if [[ $datasets == *,* ]]; then # threads of one process, which wait for each other, are slow on a busy machine
  longest_first=""
  for dataset in ${datasets//,/ }; do longest_first="$dataset $longest_first"; done
  tr ' ' '\n' <<<"${longest_first% }" | xargs -P "$(getconf _NPROCESSORS_ONLN)" -I DATASET "$here/run.sh" --stage "$stage" \
    --stop-stage "$((stop_stage < 5 ? stop_stage : 5))" --datasets DATASET --seeds "$seeds" --num "$num" --exp "$exp" \
    ${steps:+--steps "$steps"} "${overrides[@]}" || exit
else
  learn "$datasets"
fi
((stop_stage < 6)) || show ${datasets//,/ }
