#!/usr/bin/env bash
# FFHQ at 256x256, or any pictures, in the latent space of a first stage: CompVis's teacher or one trained here, and slim
# students with and without distillation.
RECIPE=ffhq_latent NUM=256 TUNING=ffhq_latent SAMPLING=(sampler=ddim steps=200)
FAST_TEACHER=2000 FAST_STUDENT=1000 FAST_NUM=64
common=$(dirname "${BASH_SOURCE[0]}")/../common
source "$common/recipe.sh"
source "$common/table.sh"
source "$common/distill.sh"
students=lite_ldm_ffhq,sd_ffhq kinds=none,both also="" seeds=0
config="" first_stage="" size=256 classes=none
OPTIONS+=(weights config first_stage size classes)

more_usage() {
  cat <<EOF
  --weights FILE   a teacher of CompVis's: model.ckpt, which brings its first stage
  --config FILE    CompVis's YAML of it, where no config.yaml lies beside it
  --teacher PATH   or a teacher that you have: a run, a checkpoint or a saved denoiser, with a first stage
  --first-stage F  or only a first stage, CompVis's checkpoint or a diffusers folder: stage 2 trains the teacher
  --size N         height and width of the pictures (default $size)
  --classes RULE   of the pictures: none, or parent, the folder that each lies in (default $classes)
  --students LIST  networks of the students (default $students)
  --kinds LIST     of distillation: none, spatial, frequency, both (default $kinds)
  --seeds LIST     of students and of sampling (default $seeds)
  --inception FILE for FID: NVIDIA's inception-2015-12-05.pt
  --fast           a look, in a folder of its own: $FAST_TEACHER steps of the teacher, $FAST_STUDENT of each student, $FAST_NUM samples
EOF
}

fetch() {
  [[ -n $data ]] || die "give the pictures with --data PATH: README.md says where to get them."
}

prepare() { # FOLDER
  python -m data_prep.images "$data" "$1" --size "$size" --classes "$classes" --holdout 0.1
}

bases() { # stage 1, too: CompVis's weights and the latents; stage 2: the teacher
  if [[ -n $weights ]]; then
    teacher=$home/teacher
    once 1 convert-teacher mmspec convert ldm "$weights" "$teacher" ${config:+"ldm.config=$config"}
  fi
  first_stage=${first_stage:-$teacher}
  [[ -n $first_stage ]] || die "give a teacher with --weights or --teacher, or a first stage with --first-stage."
  once 1 latents python -m data_prep.latents "$packed/train" "$packed/latents" --first-stage "$first_stage"
  overrides=("first_stage.from=$first_stage" "data.latents=$packed/latents" "${overrides[@]}")
  teach
}

distill_recipe "$@"
