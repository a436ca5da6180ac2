#!/usr/bin/env bash
# Spoken digits: a 1D teacher, and slim 1D students with and without wavelet gates, with and without distillation.
RECIPE=distill_speech NUM=256 TUNING=distill_speech DIMS=_1d
FAST_TEACHER=500 FAST_STUDENT=200 FAST_NUM=96
common=$(dirname "${BASH_SOURCE[0]}")/../common
source "$common/recipe.sh"
source "$common/table.sh"
source "$common/distill.sh"

fetch() {
  [[ -n $data ]] || die "give the recordings with --data PATH: README.md says where to get them."
}

prepare() { # FOLDER
  python -m data_prep.audio "$data" "$1" --sample-rate 8000 --seconds 1.024 --peak 0.9 \
    --holdout-pattern '*_[0-4].wav' # the data set's own test recordings
}

distill_recipe "$@"
