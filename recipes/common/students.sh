# The recipes of students: a teacher, and students of equal cost that are trained alone until they hardly learn more; by
# octave, what the teacher knows more; then each student with terms of distillation, beside none and placebos, from the
# same weights. Sourced after recipe.sh by recipes/<name>/run.sh, which sets
#   DIMS           where it has any: _1d, of the students of sound
# and defines prepare, which gets a FOLDER. conf/experiment/<name>_teacher.yaml and <name>.yaml say how teacher and
# students are trained.
results="" teacher="" students=small_unet${DIMS-},small_wavelet_unet${DIMS-}
kinds=spatial,frequency,both seeds=0,1,2,3,4 steps=200 num=128 sampling=18
fast=(teacher_budget=300 student_budget=200 "seeds=0,1" steps=20 num=48 sampling=6)
teacher_budget="" student_budget=""
OPTIONS=(stage stop_stage data results teacher students kinds seeds steps num sampling exp)
WHOLE+=(steps sampling)

usage() {
  cat <<EOF
usage: $program --data PATH [options] [key=value ...]

  --data PATH      pictures or recordings: a folder, .tar, .tar.gz or .zip; $readme says which
  --fast           a look at two seeds and few steps, in a folder of its own
  --stage N        first stage to run (default $stage)
  --stop-stage N   last stage to run (default $stop_stage)
                   1 prepare  2 train teacher and students  3 what the teacher knows more  4 distil  6 tables
  --teacher PATH   a teacher that you have: a run, a checkpoint or a saved denoiser
  --students LIST  networks (default $students)
  --kinds LIST     of distillation (default $kinds)
  --seeds LIST     of order, noise and samples (default $seeds)
  --steps N        of each arm (default $steps)
  --num N          samples of each arm (default $num)
  --sampling N     steps of Heun's sampler (default $sampling)
  --results DIR    a JSON for each arm and seed, and the tables (default $exp/$RECIPE/results)
  --exp DIR        where data and runs are written (default $exp)

  key=value        overrides for \`mmspec train\` in stage 2

What is there already is not done again; what was cut off goes on from its last checkpoint. Several processes with
--stage 4 --stop-stage 4 share the arms.
EOF
}

students_recipe() { # OPTIONS...
  local arguments=() argument kind network history packed home
  for argument; do
    if [[ $argument == --fast ]]; then
      RECIPE+=-fast
      local "${fast[@]}"
    else
      arguments+=("$argument")
    fi
  done
  parse_options "${arguments[@]}"
  [[ -n $data ]] || die "give what is to be learnt with --data PATH: $readme says which."
  [[ -z $teacher || -e $teacher ]] || die "--teacher $teacher: no such run or folder."
  for kind in ${kinds//,/ }; do
    [[ " spatial frequency both " == *" $kind "* ]] || die "--kinds $kind: expected some of spatial, frequency, both."
  done
  [[ $seeds == *,* ]] || die "--seeds $seeds: one seed is too few for an interval, give 2 or better 5."
  ((stage > 2)) || mmspec info "network=$students" ${DIMS:+"shape=[1,8192]"} >/dev/null # before a teacher is trained for them
  export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
  packed=$(packed_folder "$RECIPE") home=$exp/$RECIPE results=${results:-$exp/$RECIPE/results} history="$data "
  once 1 prepare prepare "$packed"
  enough_held_out
  [[ -n $teacher ]] || alone teacher "${RECIPE%-fast}_teacher" "$teacher_budget"
  teacher=${teacher:-$home/teacher}
  for network in ${students//,/ }; do
    alone "$network" "${RECIPE%-fast}" "$student_budget" "network=$network"
  done
  for network in ${students//,/ }; do distil "$network"; done
}

enough_held_out() { # for stage 3, before hours of training
  local meta=$packed/test/meta.json count
  [[ -f $meta ]] || return 0
  count=$(python -c 'import json, sys; print(json.load(open(sys.argv[1]))["count"])' "$meta")
  ((count >= 20)) || die "$data: $count signals are held out, 20 are needed to diagnose, hundreds are better: give more."
}

alone() { # NAME EXPERIMENT STEPS [key=value ...]
  once 2 "train-$1" mmspec train "experiment=$2" "run_dir=$home/$1" "data.train=$packed/train" "data.test=$packed/test" \
    ${3:+"trainer.max_steps=$3"} "${@:4}" "${overrides[@]}"
}

compare() { # NETWORK: a JSON of both by octave, on held-out signals
  mmspec diagnose "from=$home/$1" "teacher=$teacher" samples=0 num=128 format=json "out=$home/teaching-$1.html" \
    >"$home/teaching-$1.json"
}

distil() { # NETWORK
  local arms=$home/arms-$1 octaves
  once 3 "compare-$1" compare "$1"
  if ((stage <= 4 && stop_stage >= 4)); then
    octaves=$(python -m recipes.common.teaching "$home/teaching-$1.json" "$results/$1")
    [[ -n $octaves ]] || return 0
    mmspec verify "from=$home/$1" "out=$arms" "treatments=[train_on,$(treatments "$octaves")]" "seeds=[$seeds]" \
      "steps=$steps" "num=$num" "sampling.steps=$sampling" learning_rate_end=1e-4
  fi
  ((stage > 6 || stop_stage < 6)) || [[ ! -d $arms ]] || python -m recipes.common.arms "$arms" "$results/$1"
}

treatments() { # OCTAVES: a list for mmspec verify, each with the weights of the group distillation
  local kind terms listed=()
  for kind in ${kinds//,/ }; do
    case $kind in
      spatial) terms="spatial: 0.1" ;;
      frequency) terms="frequency: 0.1, octaves: [$1]" ;;
      both) terms="spatial: 0.1, frequency: 0.1, octaves: [$1]" ;;
    esac
    listed+=("{name: $kind, distillation: {teacher: $teacher, $terms}}")
  done
  (IFS=,; echo "${listed[*]}")
}
