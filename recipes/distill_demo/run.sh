#!/usr/bin/env bash
# Pictures of CIFAR-10: a teacher, and students with and without wavelet gates, with and without distillation, over seeds.
RECIPE=distill_demo NUM=256 TUNING=distill_demo
FAST_TEACHER=700 FAST_STUDENT=200 FAST_NUM=96
common=$(dirname "${BASH_SOURCE[0]}")/../common
source "$common/recipe.sh"
source "$common/table.sh"
source "$common/distill.sh"

fetch() {
  [[ -n $data ]] || die "give the pictures with --data PATH: README.md says which."
}

prepare() { # FOLDER
  python -m data_prep.images "$data" "$1" --size 32 --classes none --holdout 0.1
}

distill_recipe "$@"
