#!/usr/bin/env bash
# Pictures and speech on a laptop: two small wavelet-gated UNets, fine-tuned with and without amplitude and phase.
RECIPE=demo
DATASETS=(photographs digits)
REGULARIZERS=(amplitude_phase)
NUM=96
source "$(dirname "${BASH_SOURCE[0]}")/../common/recipe.sh"

fetch() { :; } # both data sets come with mmspec's dependencies

prepare() { # DATASET FOLDER
  case $1 in
    photographs) python -m data_prep.photographs "$2" ;;
    digits) python -m data_prep.spoken_digits "$2" ;;
  esac
}

recipe "$@"
