#!/usr/bin/env bash
# FFHQ at 64x64: EDM's checkpoints, fine-tuned with and without spectral regularizers, and the paper's table.
RECIPE=ffhq NUM=32 SAMPLING=(steps=40)
WEIGHTS=(https://nvlabs-fi-cdn.nvidia.com/edm/pretrained/edm-ffhq-64x64-uncond-{ve,vp}.pkl)
common=$(dirname "${BASH_SOURCE[0]}")/../common
source "$common/recipe.sh"
source "$common/download.sh"
source "$common/table.sh"

fetch() {
  [[ -n $data ]] || die "give the pictures with --data PATH: $readme says where to get them."
}

prepare() { # FOLDER
  python -m data_prep.images "$data" "$1" --size 64 --classes none
}

parse_options "$@"
table_recipe
