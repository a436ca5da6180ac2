#!/usr/bin/env bash
# CIFAR-10: EDM's class-conditional checkpoints, fine-tuned with and without spectral regularizers, and the paper's table.
RECIPE=cifar10 NUM=32 SAMPLING=(steps=18)
WEIGHTS=(https://nvlabs-fi-cdn.nvidia.com/edm/pretrained/edm-cifar10-32x32-cond-{ve,vp}.pkl)
ARCHIVE=cifar-10-binary.tar.gz
common=$(dirname "${BASH_SOURCE[0]}")/../common
source "$common/recipe.sh"
source "$common/download.sh"
source "$common/table.sh"

fetch() {
  [[ -n $data ]] || download "https://www.cs.toronto.edu/~kriz/$ARCHIVE" "$exp/downloads/$ARCHIVE" \
    c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd
}

prepare() { # FOLDER
  case ${data:=$exp/downloads/$ARCHIVE} in
    *"$ARCHIVE") python -m data_prep.cifar10 "$data" "$1" ;;
    *) python -m data_prep.images "$data" "$1" --size 32 --classes parent ;;
  esac
}

parse_options "$@"
table_recipe
