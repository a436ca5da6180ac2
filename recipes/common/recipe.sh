# What all recipes share: options, stages, and doing nothing twice. Sourced by recipes/<name>/run.sh, which sets
#   RECIPE         its name
#   DATASETS       names of what it trains on; conf/experiment/<dataset>.yaml and <dataset>_finetune.yaml say how
#   REGULARIZERS   what stage 3 fine-tunes with, besides "none"
#   NUM            samples drawn from each model, unless 256; of a vocoder, all: every held-out recording
#   SAMPLING, EVALUATION   options of `mmspec sample` and `mmspec evaluate`, where it has any
# and defines fetch and prepare, which get the name of a data set.
set -eo pipefail
((BASH_VERSINFO[0] < 5)) || set -u # to older ones, such as macOS's 3.2, an empty array is unset
trap : TERM HUP USR1 USR2 # a scheduler tells commands too: they save and end with 75, and then so does the recipe

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}" PYTHONSAFEPATH=1 # data_prep and recipes are those beside this file

program=${MMSPEC_PROGRAM:-recipes/$RECIPE/run.sh} # as it was called: `mmspec recipe` says how
readme=$root/recipes/$RECIPE/README.md
stage=0 stop_stage=6 data="" gpus=1 nodes=1 num=${NUM:-256} exp=exp
[[ ${DATASETS+set} ]] || DATASETS=()
[[ ${REGULARIZERS+set} ]] || REGULARIZERS=()
[[ ${SAMPLING+set} ]] || SAMPLING=()
[[ ${EVALUATION+set} ]] || EVALUATION=()
overrides=()
OPTIONS=(stage stop_stage data num gpus nodes exp)
WHOLE=(stage stop_stage num gpus nodes) # options that are a whole number
LIST='^[0-9]+(,[0-9]+)*$'               # what seeds are; bash 3.2 reads it from a variable alone
more_usage() { :; } # help on options that a recipe adds to OPTIONS

usage() {
  cat <<EOF
usage: $program [options] [key=value ...]

  --stage N        first stage to run (default $stage)
  --stop-stage N   last stage to run (default $stop_stage)
                   0 fetch  1 prepare  2 train  3 regularize  4 sample  5 evaluate  6 report
  --data PATH      data you already have: a folder, .tar, .tar.gz or .zip
  --num N          samples drawn from each model (default $num)
  --gpus N         processes on this machine that train and sample, a GPU each, or CPUs (default $gpus)
  --nodes N        machines with one file system; start the same command on each, with NODE_RANK (0 to N - 1),
                   MASTER_ADDR and MASTER_PORT set; machine 0 does alone what cannot be shared
  --exp DIR        where everything is written (default $exp)
$(more_usage)
  key=value        overrides for \`mmspec train\` in stages 2 and 3, such as trainer.max_steps=100;
                   sample.key=value and evaluate.key=value are for the commands of stages 4 and 5

A stage whose command was run before with the same inputs is skipped; one that was cut off goes on where it stopped.
What it learns, from which data, and what was found: $readme
EOF
}

die() {
  echo "$program: $*" >&2
  exit 2
}

parse_options() {
  local name option
  while (($#)); do
    name=${1#--}
    name=${name//-/_}
    case $1 in
      -h | --help) usage; exit 0 ;;
      --*)
        [[ " ${OPTIONS[*]} " == *" $name "* ]] || die "unknown option $1 (see --help)."
        [[ -n ${2-} ]] || die "$1 needs a value (see --help)."
        printf -v "$name" %s "$2"
        shift 2
        ;;
      -*) die "unknown option $1 (see --help)." ;;
      sample.*=*) SAMPLING+=("${1#sample.}"); shift ;;
      evaluate.*=*) EVALUATION+=("${1#evaluate.}"); shift ;;
      *=*) overrides+=("$1"); shift ;;
      *) die "$1 is neither an option nor key=value (see --help)." ;;
    esac
  done
  for option in "${WHOLE[@]}"; do
    [[ -z ${!option} || ${!option} =~ ^[0-9]+$ || $option == num && $num == "${NUM-}" ]] ||
      die "--${option//_/-} must be a whole number, not '${!option}'."
  done
  [[ ${seeds-0} =~ $LIST ]] || die "--seeds must be whole numbers, such as 0,1,2, not '$seeds'."
  [[ -z $data || -e $data ]] || die "--data $data: no such file or folder."
  command -v mmspec >/dev/null || die "mmspec is not on the PATH: activate its environment first (source .venv/bin/activate)."
}

# once STAGE NAME COMMAND...: run a command of a stage that was asked for, unless it, and all that it builds on, ran
# before just like this. `history` holds the commands that it builds on. What is not launched on all machines is left
# to the first.
once() {
  local number=$1 name=$2 marker="$exp/$RECIPE/.done/$2" fingerprint
  shift 2
  history+=$(printf '%q ' "$@")
  ((stage <= number && number <= stop_stage)) || return 0
  [[ $1 == launch ]] || first_machine || return 0
  fingerprint=$(cksum <<<"$history")
  if [[ -f $marker && $(<"$marker") == "$fingerprint" ]]; then
    echo "stage $number, $name: done before, skipped"
    return
  fi
  echo "stage $number, $name: $*"
  "$@"
  first_machine || return 0
  mkdir -p "${marker%/*}"
  echo "$fingerprint" >"$marker"
}

run_folder() { # DATASET KIND: exp/cifar10/base, or exp/demo/digits-base where a recipe has several data sets
  local prefix=""
  ((${#DATASETS[@]} == 1)) || prefix="$1-"
  echo "$exp/$RECIPE/$prefix$2"
}

packed_folder() { # DATASET
  echo "$exp/data/$1"
}

first_machine() {
  ((${NODE_RANK:-0} == 0))
}

launch() { # VERB [key=value ...]: an mmspec command, in as many processes as were asked for
  local where=(--standalone)
  ((nodes == 1)) || where=(--nnodes "$nodes" --node-rank "${NODE_RANK:?is the number of this machine, from 0}" \
    --master-addr "${MASTER_ADDR:?is the address of machine 0}" --master-port "${MASTER_PORT:-29500}")
  if ((gpus * nodes > 1)); then
    OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} python -m mmspec.torchrun "${where[@]}" --nproc-per-node "$gpus" --module mmspec "$@"
  else
    mmspec "$@"
  fi
}

train() { # STAGE DATASET KIND EXPERIMENT [key=value ...]
  local packed
  packed=$(packed_folder "$2")
  once "$1" "train-$2-$3" launch train "experiment=$4" "run_dir=$(run_folder "$2" "$3")" \
    "data.train=$packed/train" "data.test=$packed/test" "${@:5}" "${overrides[@]}"
}

judge() { # DATASET KIND: samples of a run, and their evaluation
  local run
  run=$(run_folder "$1" "$2")
  once 4 "sample-$1-$2" launch sample "from=$run" "num=$num" "${SAMPLING[@]}"
  once 5 "evaluate-$1-$2" mmspec evaluate "samples=$run" "${EVALUATION[@]}"
}

recipe() {
  parse_options "$@"
  local dataset kind shown=() history trained
  for dataset in "${DATASETS[@]}"; do
    history="$data "
    ((stage > 0)) || ! first_machine || fetch "$dataset"
    once 1 "prepare-$dataset" prepare "$dataset" "$(packed_folder "$dataset")"
    train 2 "$dataset" base "$dataset"
    trained=$history
    judge "$dataset" base
    for kind in none "${REGULARIZERS[@]}"; do
      history=$trained
      train 3 "$dataset" "$kind" "${dataset}_finetune" "init_from=$(run_folder "$dataset" base)" "regularizer=$kind"
      judge "$dataset" "$kind"
    done
    for kind in base none "${REGULARIZERS[@]}"; do shown+=("$(run_folder "$dataset" "$kind")"); done
  done
  if ((stop_stage >= 6)) && first_machine; then
    mmspec report "runs=[$(IFS=,; echo "${shown[*]}")]" "out=$exp/$RECIPE/report.html" "title=$RECIPE"
  fi
}
