#!/usr/bin/env bash
# FFHQ at 256x256, or any pictures, in the latent space of a first stage: CompVis's teacher or one trained here, and slim
# students {networks} x {kinds of distillation} x {seeds}, from scratch and of equal budget, judged in one table.
RECIPE=ffhq_latent NUM=256 TUNING=ffhq_latent SPLIT=yes SAMPLING=(sampler=ddim steps=200)
common=$(dirname "${BASH_SOURCE[0]}")/../common
source "$common/recipe.sh"
source "$common/table.sh"
students=lite_ldm_ffhq,sd_ffhq kinds=none,both seeds=0
teacher="" config="" first_stage="" size=256 classes=none
fast_teacher=2000 fast_student=1000 fast_num=64
teacher_budget=() student_budget=()
OPTIONS=(stage stop_stage data num gpus nodes exp teacher students kinds seeds inception weights config first_stage size classes)

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
  --fast           a look, in a folder of its own: $fast_teacher steps of the teacher, $fast_student of each student, $fast_num samples
EOF
}

fetch() {
  [[ -n $data ]] || die "give the pictures with --data PATH: $readme says where to get them."
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

teach() { # stage 2: the teacher
  if [[ -z $teacher ]]; then
    teacher=$home/teacher
    once 2 train-teacher launch train "experiment=${TUNING}_teacher" "run_dir=$teacher" "${on_data[@]}" \
      "${teacher_budget[@]}" "${overrides[@]}"
  fi
  history+="$teacher "
  overrides=("${student_budget[@]}" "distillation.teacher=$teacher" "${overrides[@]}")
}

sweeps() {
  sweep distill "network=choice($students)" "distillation=choice($kinds)" "seed=choice($seeds)"
}

cells() {
  local student kind seed
  for seed in ${seeds//,/ }; do
    echo "teacher-$seed $seed $teacher"
    for student in ${students//,/ }; do
      for kind in ${kinds//,/ }; do echo "$student-$kind-$seed $seed"; done
    done
  done
}

remark() {
  echo "The students of a seed take the same number of steps over the same samples and noise; the teacher is one," \
    "judged by the samples of each seed."
}

draw() { # FIGURE NAME [key=value ...]
  mmspec analyze "$1" "${@:3}" "out=$home/figures/$1-$2.svg"
  drawn+=("$home/figures/$1-$2.svg")
}

draw_figures() { # the paper's figures 2, 3, 9 and 10: of the teacher, and of the last student with the last kind
  local student=${students##*,} seed=${seeds%%,*} kind last compared=()
  last=$student-${kinds##*,}-$seed
  draw wiener power-law
  draw filters teacher "from=$teacher" "data=$reference"
  draw filters "$last" "from=$home/runs/$last"
  draw predictions "$last" "from=$home/runs/$last"
  [[ $student != sd_* && $student != *wavelet* ]] || draw gates "$last" "from=$home/runs/$last"
  for kind in ${kinds//,/ }; do # with and without the frequency term, which alone is in no figure of the paper
    [[ $kind == frequency ]] || compared+=("$home/runs/$student-$kind-$seed")
  done
  ((${#compared[@]} == 0)) || draw differences "$student" "runs=[$(IFS=,; echo "${compared[*]}")]"
}

distill_recipe() { # OPTIONS...
  local arguments=() argument
  for argument; do
    if [[ $argument == --fast ]]; then
      RECIPE+=-fast seeds=0 num=$fast_num
      teacher_budget=("trainer.max_steps=$fast_teacher") student_budget=("trainer.max_steps=$fast_student")
    else
      arguments+=("$argument")
    fi
  done
  parse_options "${arguments[@]}"
  [[ -z $teacher || -e $teacher ]] || die "--teacher $teacher: no such run or folder."
  table_recipe
}

distill_recipe "$@"
