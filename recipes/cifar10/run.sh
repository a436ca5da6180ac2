#!/usr/bin/env bash
# CIFAR-10: a class-conditional wavelet-gated UNet with EDM, fine-tuned with and without amplitude and phase.
RECIPE=cifar10
DATASETS=(cifar10)
REGULARIZERS=(amplitude_phase)
source "$(dirname "${BASH_SOURCE[0]}")/../common/recipe.sh"

fetch() {
  [[ -n $data ]] || die "give the pictures with --data PATH: README.md says where to get them."
}

prepare() { # DATASET FOLDER
  python -m data_prep.images "$data" "$2" --size 32 --classes parent --holdout 0.1
}

recipe "$@"
