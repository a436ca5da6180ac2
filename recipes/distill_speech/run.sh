#!/usr/bin/env bash
# Spoken digits as waveforms: what a teacher, and which of its terms, brings to slim 1D students.
RECIPE=distill_speech DIMS=_1d
common=$(dirname "${BASH_SOURCE[0]}")/../common
source "$common/recipe.sh"
source "$common/students.sh"

prepare() { # FOLDER
  python -m data_prep.audio "$data" "$1" --sample-rate 8000 --seconds 1.024 --peak 0.9 \
    --holdout-pattern '*_[0-4].wav' # the data set's own test recordings
}

students_recipe "$@"
