#!/usr/bin/env bash
# LJSpeech: LMNT's DiffWave as a vocoder, fine-tuned with and without spectral regularizers, and the paper's table; or,
# with --model waveform, stretches of speech out of nothing by the 1D wavelet-gated UNet.
RECIPE=speech NUM=all BASE=diffwave FORMAT=diffwave SPLIT=yes
DATASETS=(speech_waveform) REGULARIZERS=(amplitude_phase stft)
WEIGHTS=(https://lmnt.com/assets/diffwave/diffwave-ljspeech-22kHz-1000578.pt)
ARCHIVE=LJSpeech-1.1.tar.bz2
common=$(dirname "${BASH_SOURCE[0]}")/../common
source "$common/recipe.sh"
source "$common/download.sh"
source "$common/table.sh"
model=vocoder experiment=speech_small strengths=lambda_1e-4,lambda_1e-5,lambda_1e-6
OPTIONS+=(model)

more_usage() {
  cat <<EOF
  --model M        vocoder, from spectrograms, or waveform, out of nothing (default $model)
and for the vocoder's table:
  --weights FILE   base weights: LMNT's .pt, or "official" to fetch it (stage 0)
  --experiment E   without --weights: what trains a base from scratch in stage 2 (default $experiment, a small network
                   for a look; diffwave is LMNT's)
  --seeds LIST     of fine-tuning and sampling (default $seeds; the paper: five)
  --regularizers LIST   (default $regularizers)
  --strengths LIST      (default $strengths)
EOF
}

base_weights() {
  echo "$BASE ${weights/#official/$exp/downloads/${WEIGHTS[0]##*/}}"
}

fetch_weights() {
  [[ $weights != official ]] || download "${WEIGHTS[0]}" "$exp/downloads/${WEIGHTS[0]##*/}" \
    d415d2117bb0bba3999afabdd67ed11d9e43400af26193a451d112e2560821a8
}

fetch() {
  [[ -n $data ]] || download "https://data.keithito.com/data/speech/$ARCHIVE" "$exp/downloads/$ARCHIVE" \
    be1a30453f28eb8dd26af4101ae40cbf2c50413b1bb21936cbcdc6fae3de8aa5
}

prepare() { # [DATASET] FOLDER
  python -m data_prep.audio "${data:-$exp/downloads/$ARCHIVE}" "${*: -1}" --sample-rate 22050 \
    --holdout-pattern 'LJ00[12]-*'
}

packed_folder() { # of both models
  echo "$exp/data/speech"
}

parse_options "$@"
EVALUATION=(ndb_bins=50 "${EVALUATION[@]}")
case $model in
  vocoder)
    if python -c 'import pesq, pystoi' 2>/dev/null; then EVALUATION=(perceptual=true "${EVALUATION[@]}"); fi
    EVALUATION=(crop=15872 "${EVALUATION[@]}") # as in training
    SAMPLING=(sampler=diffwave steps=6 "recordings=$(packed_folder)/test" "${SAMPLING[@]}")
    table_recipe
    ;;
  waveform)
    RECIPE=speech-waveform
    recipe --num "${num/all/256}"
    ;;
  *) die "--model must be vocoder or waveform, not '$model'." ;;
esac
