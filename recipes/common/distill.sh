# The recipes of distillation: a teacher, and students {networks} x {kinds of distillation} x {seeds} of equal budget, and
# some beside that grid, all judged in one table. Sourced after recipe.sh and table.sh by recipes/<name>/run.sh, which sets
#   TUNING         conf/experiment/<name>_teacher.yaml and <name>.yaml say how teacher and students are trained
#   DIMS           where it has any: _1d, of the students of sound
#   FAST_TEACHER, FAST_STUDENT, FAST_NUM   steps of training, and samples, with --fast
# and defines fetch and prepare, which gets a FOLDER.
SPLIT=yes
teacher="" students=small_unet${DIMS-},small_wavelet_unet${DIMS-} kinds=none,spatial,frequency,both seeds=0,1,2
also=small_noise_gated_unet${DIMS-}-both-none,small_wavelet_unet${DIMS-}-both-haar
teacher_budget=() student_budget=()
OPTIONS=(stage stop_stage data num gpus nodes exp teacher students kinds also seeds inception)

more_usage() {
  cat <<EOF
  --fast           a look, in a folder of its own: one seed, the grid alone, $FAST_TEACHER steps of the teacher, $FAST_STUDENT of each student, $FAST_NUM samples
  --teacher PATH   a teacher that you have: a run, a checkpoint or a saved denoiser
  --students LIST  networks of the students: convolutions, or wavelet gates between the levels (default $students)
  --kinds LIST     of distillation (default $kinds)
  --also LIST      students beside this grid, NETWORK-KIND-REGULARIZER, or "" (default $also)
  --seeds LIST     of students and of sampling (default $seeds)
  --inception FILE      for FID: NVIDIA's inception-2015-12-05.pt
EOF
}

bases() {
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
  local student network kind regularizer
  sweep distill "network=choice($students)" "distillation=choice($kinds)" "seed=choice($seeds)"
  for student in ${also//,/ }; do
    IFS=- read -r network kind regularizer <<<"$student"
    sweep "distill-$student" "network=choice($network)" "distillation=choice($kind)" "regularizer=choice($regularizer)" \
      "seed=choice($seeds)"
  done
}

cells() {
  local student kind seed
  for seed in ${seeds//,/ }; do
    echo "teacher-$seed $seed $teacher"
    for student in ${students//,/ }; do
      for kind in ${kinds//,/ }; do echo "$student-$kind-$seed $seed"; done
    done
    for student in ${also//,/ }; do echo "$student-$seed $seed"; done
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
  [[ $student != *wavelet* ]] || draw gates "$last" "from=$home/runs/$last"
  for kind in ${kinds//,/ }; do # with and without the frequency term, which alone is in no figure of the paper
    [[ $kind == frequency ]] || compared+=("$home/runs/$student-$kind-$seed")
  done
  ((${#compared[@]} == 0)) || draw differences "$student" "runs=[$(IFS=,; echo "${compared[*]}")]"
}

distill_recipe() { # OPTIONS...
  local arguments=() argument
  for argument; do
    if [[ $argument == --fast ]]; then
      RECIPE+=-fast also="" seeds=0 num=$FAST_NUM
      teacher_budget=("trainer.max_steps=$FAST_TEACHER") student_budget=("trainer.max_steps=$FAST_STUDENT")
    else
      arguments+=("$argument")
    fi
  done
  parse_options "${arguments[@]}"
  [[ -z $teacher || -e $teacher ]] || die "--teacher $teacher: no such run or folder."
  table_recipe
}
