#!/usr/bin/env bash
# AFHQv2 at 64x64: EDM's checkpoints, fine-tuned with and without spectral regularizers, and the paper's table.
RECIPE=afhq NUM=32 SAMPLING=(steps=40)
WEIGHTS=(https://nvlabs-fi-cdn.nvidia.com/edm/pretrained/edm-afhqv2-64x64-uncond-{ve,vp}.pkl)
common=$(dirname "${BASH_SOURCE[0]}")/../common
source "$common/recipe.sh"
source "$common/download.sh"
source "$common/table.sh"

fetch() {
  [[ -n $data ]] || download "https://www.dropbox.com/s/vkzjokiwof5h8w6/afhq_v2.zip?dl=1" "$exp/downloads/afhq_v2.zip"
}

prepare() { # FOLDER
  python -m data_prep.images "${data:-$exp/downloads/afhq_v2.zip}" "$1" --size 64 --classes none
}

parse_options "$@"
table_recipe
