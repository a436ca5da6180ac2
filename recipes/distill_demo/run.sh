#!/usr/bin/env bash
# Pictures of CIFAR-10: what a teacher, and which of its terms, brings to students with and without wavelet gates.
RECIPE=distill_demo
common=$(dirname "${BASH_SOURCE[0]}")/../common
source "$common/recipe.sh"
source "$common/students.sh"

prepare() { # FOLDER
  python -m data_prep.images "$data" "$1" --size 32 --classes none --holdout 0.1
}

students_recipe "$@"
