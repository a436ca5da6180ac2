#!/usr/bin/env bash
# Figure 4 of "Diffusion Probabilistic Model Made Slim": a small network misses the rarer of two frequencies.
RECIPE=frequency_bias
source "$(dirname "${BASH_SOURCE[0]}")/../common/recipe.sh"
seeds=0,1,2
OPTIONS=(seeds exp)

usage() {
  cat <<EOF
usage: $program [options] [key=value ...]

  --seeds LIST     of weights, training and samples (default $seeds)
  --exp DIR        where everything is written (default $exp)

  key=value        overrides for \`mmspec analyze frequency_bias\`, such as training.steps=300
                   (mmspec analyze frequency_bias --help lists them)

Trains a large network, a small one, and the small one with each tool; writes report.html and report.md. When it was
done before with the same options it is skipped.
EOF
}

parse_options "$@"
history=""
once 2 analyze mmspec analyze frequency_bias "seeds=[$seeds]" "out=$exp/$RECIPE/report.html" "${overrides[@]}"
