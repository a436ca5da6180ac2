#!/usr/bin/env bash
# Which band of a first stage's latents carries which octave of a picture, and what mends its decoder's spectrum.
RECIPE=first_stage
source "$(dirname "${BASH_SOURCE[0]}")/../common/recipe.sh"
first_stage="" size=256 results=""
transfer_pictures=24 pictures=60 seeds=0,1,2,3,4 arms=l1,placebo,amplitude_phase,haar steps=5,200 crop=128
OPTIONS=(stage stop_stage data first_stage size results pictures seeds arms steps crop exp)

usage() {
  cat <<EOF
usage: $program --data PATH --first-stage PATH [options]

  --data PATH      pictures: a folder, .tar, .tar.gz or .zip; a fifth is held out
  --first-stage PATH   of the pictures, such as taef2_encoder.pth with taef2_decoder.pth beside it
  --fast           a look at a few pictures and steps, in a folder of its own
  --stage N        first stage to run (default $stage)
  --stop-stage N   last stage to run (default $stop_stage)
                   1 prepare  2 transfer of noise between bands  3 fine-tune the decoder  6 tables
  --size N         height and width that the middle of each picture is resized to (default $size)
  --pictures N     held-out pictures that decoders are measured on (default $pictures)
  --seeds LIST     of crops and their order (default $seeds)
  --arms LIST      what the decoder is fine-tuned with (default $arms)
  --steps LIST     after which it is measured (default $steps)
  --crop N         height and width of what it is trained on (default $crop)
  --results DIR    a JSON for each result, and results.md (default $exp/$RECIPE/results)
  --exp DIR        where pictures are prepared (default $exp)

What is in DIR already is not measured again; what was cut off begins again with the result that it was at. Two processes
can share the work: --stop-stage 3 --seeds 0,1,2 and --stop-stage 3 --seeds 3,4.
EOF
}

arguments=()
for argument; do
  if [[ $argument == --fast ]]; then
    RECIPE+=-fast
    transfer_pictures=4 pictures=8 seeds=0,1 steps=5,20 crop=64
  else
    arguments+=("$argument")
  fi
done
parse_options "${arguments[@]}"
((${#overrides[@]} == 0)) || die "${overrides[0]}: key=value is for no stage of this recipe (see --help)."
for option in size pictures crop; do
  [[ ${!option} =~ ^[1-9][0-9]*$ ]] || die "--$option must be a whole number, not '${!option}'."
done
[[ -n $data ]] || die "give the pictures with --data PATH, such as BSDS500's."
[[ -n $first_stage ]] || die "give --first-stage PATH, such as taef2_encoder.pth of https://github.com/madebyollin/taesd."
[[ -e $first_stage ]] || die "--first-stage $first_stage: no such file or folder."

export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
packed=$(packed_folder first_stage)
results=${results:-$exp/$RECIPE/results}
measured=$transfer_pictures
((pictures >= measured)) || measured=$pictures
stages() { ((stage <= $1 && $1 <= stop_stage)); }

history="$data "
once 1 prepare python -m data_prep.images "$data" "$packed" --size "$size" --classes none --holdout 0.2
! stages 2 || python -m recipes.first_stage.transfer --first-stage "$first_stage" --test "$packed/test" \
  --results "$results" --pictures "$measured"
! stages 3 || python -m recipes.first_stage.finetune --first-stage "$first_stage" --train "$packed/train" \
  --test "$packed/test" --results "$results" --arms "$arms" --seeds "$seeds" --steps "$steps" --pictures "$pictures" \
  --crop "$crop"
! stages 6 || python -m recipes.first_stage.tables "$results"
