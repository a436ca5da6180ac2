#!/usr/bin/env bash
# Checkerboards: a DDPM from scratch with and without amplitude and phase, and a placebo, over seeds; figures 1 and 2 of the paper.
RECIPE=checkerboard NUM=96 SPLIT=yes TUNING=checkerboard SAMPLING=(sampler=ddpm sampler.clip_denoised=true steps=100)
common=$(dirname "${BASH_SOURCE[0]}")/../common
source "$common/recipe.sh"
source "$common/table.sh"
seeds=0,1,2,3,4 strengths=balanced,unweighted regularizers=none,placebo,amplitude_phase size=64
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

more_tables() { # differences of what pairs, seed by seed
  local treated=amplitude_phase-balanced
  python -m recipes.common.paired "$home/runs" "$home/paired.md" \
    --pairs "$treated:none" "$treated:placebo-balanced" placebo-balanced:none amplitude_phase-unweighted:none \
    --metrics log_spectral_distance frequency_error_low frequency_error_high octave_error frechet_random_projection
}

parse_options "$@"
table_recipe
