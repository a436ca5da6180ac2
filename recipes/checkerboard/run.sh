#!/usr/bin/env bash
# Checkerboards: a DDPM from scratch with and without amplitude and phase, over seeds; figures 1 and 2 of the paper.
RECIPE=checkerboard NUM=96 SPLIT=yes TUNING=checkerboard SAMPLING=(sampler=ddpm sampler.clip_denoised=true steps=100)
common=$(dirname "${BASH_SOURCE[0]}")/../common
source "$common/recipe.sh"
source "$common/table.sh"
seeds=0,1,2 strengths=balanced,unweighted regularizers=none,amplitude_phase size=64
OPTIONS=(stage stop_stage num gpus nodes exp seeds strengths regularizers size)
WHOLE+=(size)

more_usage() {
  cat <<EOF
  --size N         height and width of the checkerboards (default $size, the paper's)
  --seeds LIST     of training and sampling (default $seeds)
  --regularizers LIST   (default $regularizers)
  --strengths LIST      (default $strengths)
EOF
}

fetch() { :; } # they are drawn in stage 1

prepare() { # FOLDER
  python -m data_prep.checkerboards "$1" --size "$size"
}

bases() { :; } # every run starts from scratch, in stage 3

parse_options "$@"
table_recipe
