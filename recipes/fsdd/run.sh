#!/usr/bin/env bash
# Free Spoken Digit Dataset: a class-conditional 1D wavelet-gated UNet with EDM on waveforms.
RECIPE=fsdd
DATASETS=(fsdd)
REGULARIZERS=(amplitude_phase)
source "$(dirname "${BASH_SOURCE[0]}")/../common/recipe.sh"

fetch() {
  [[ -n $data ]] || die "give the recordings with --data PATH: $readme says where to get them."
}

prepare() { # DATASET FOLDER
  python -m data_prep.audio "$data" "$2" --sample-rate 8000 --seconds 1.024 --peak 0.9 --label name:0 \
    --holdout-pattern '*_[0-4].wav' # the data set's own test recordings
}

recipe "$@"
