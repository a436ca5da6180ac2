# The recipes of the table of "Spectral Regularization for Diffusion Models": base weights x regularizers x strengths x
# seeds, each fine-tuned, sampled and judged, and one table of all. Sourced after recipe.sh and download.sh by
# recipes/<name>/run.sh, which sets
#   WEIGHTS        addresses of the official base weights
#   FORMAT         that `mmspec convert` reads them in (edm)
#   BASE           what a base is called that is trained here (vp)
#   SPLIT          yes, where prepare holds data out in FOLDER/test; else samples are compared with the training data
#   TUNING         conf/experiment/<name>.yaml that says how a cell is trained (<RECIPE>_finetune)
# and defines fetch and prepare, which gets a FOLDER; table.yaml beside run.sh says what the table shows. A recipe whose
# cells all start from scratch defines `bases` to do nothing; one of other cells (ffhq_latent) its own sweeps and cells.
FORMAT=${FORMAT-edm} BASE=${BASE-vp} SPLIT=${SPLIT-} TUNING=${TUNING-${RECIPE}_finetune}
[[ ${WEIGHTS+set} ]] || WEIGHTS=()
weights="" inception="" experiment=edm_small seeds=0 strengths=weighted,unweighted
regularizers=none,amplitude,amplitude_phase,haar,bior13
SEEDS_APART=1000000 # between the samples of one seed and of the next
OPTIONS+=(weights inception experiment seeds strengths regularizers)

more_usage() {
  cat <<EOF
  --weights PATH   base weights: EDM's .pkl, a folder of them, or "official" to fetch them (stage 0); ve and ncsnpp in
                   a file's name put it into the table's column VE, others into VP
  --experiment E   without --weights: what trains a base from scratch in stage 2 (default $experiment, a small network
                   for a look; $RECIPE is EDM's, for 8 GPUs)
  --seeds LIST     of fine-tuning and sampling (default $seeds; the paper: 0,1,2)
  --regularizers LIST   (default $regularizers)
  --strengths LIST      (default $strengths)
  --inception FILE      for FID: NVIDIA's inception-2015-12-05.pt
EOF
}

base_weights() { # prints a line NAME FILE for each of the given weights
  local file files=("$weights")
  [[ $weights != official ]] || files=("${WEIGHTS[@]/#*\//$exp/downloads/}")
  [[ ! -d $weights ]] || files=("$weights"/*.pkl)
  for file in "${files[@]}"; do
    case ${file##*/} in
      *-ve* | *ncsnpp*) echo "ve $file" ;;
      *) echo "vp $file" ;;
    esac
  done
}

fetch_weights() {
  local address
  [[ $weights == official ]] || return 0
  for address in "${WEIGHTS[@]}"; do download "$address" "$exp/downloads/${address##*/}"; done
}

bases() { # stage 2: base weights, given or trained here; adds their folders to base_folders
  local name file prepared=$history
  if [[ -z $weights ]]; then
    base_folders=("$home/base/$BASE")
    once 2 train-base launch train "experiment=$experiment" "run_dir=$home/base/$BASE" "${on_data[@]}" "${overrides[@]}"
    return
  fi
  while read -r name file; do
    ((stage > 2 || stop_stage < 2)) || [[ -f $file ]] || die "--weights $weights: there is no file $file."
    history=$prepared
    base_folders+=("$home/base/$name")
    once 2 "convert-$name" mmspec convert "format=$FORMAT" "source=$file" "out=$home/base/$name"
  done < <(base_weights)
  history="$prepared$(base_weights)"
}

sweep() { # NAME key=choice(...) ...: stage 3, a multirun
  once 3 "$1" launch train -m "experiment=$TUNING" "run_dir=$home/runs" "${@:2}" "${on_data[@]}" "${overrides[@]}"
}

sweeps() {
  local bases=()
  ((${#base_folders[@]} == 0)) || bases=("init_from=choice($(IFS=,; echo "${base_folders[*]}"))")
  sweep finetune "${bases[@]}" "regularizer=choice($regularizers)" "strength=choice($strengths)" "seed=choice($seeds)"
}

remark() { # prints what a reader of the table must know
  [[ -n $weights ]] || ((${#base_folders[@]} == 0)) ||
    echo "Base weights: trained here with experiment=$experiment, not the official ones."
}

cells() { # prints a line NAME SEED [BASE] for each cell of the table; BASE: the folder of weights judged as they are
  local base regularizer strength seed
  for base in "${base_folders[@]-}"; do
    for seed in ${seeds//,/ }; do
      [[ -z $base ]] || echo "${base##*/}-base-$seed $seed $base"
      for regularizer in ${regularizers//,/ }; do
        for strength in ${strengths//,/ }; do
          [[ $regularizer != none ]] || strength=""
          echo "${base:+${base##*/}-}$regularizer${strength:+-$strength}-$seed $seed"
        done
      done
    done
  done | uniq
}

judge_cell() { # NAME SEED [BASE]: stages 4 and 5
  local run=$home/runs/$1 where=()
  [[ -z ${3-} ]] || where=("out=$run")
  once 4 "sample-$1" launch sample "from=${3:-$run}" "${where[@]}" "num=$num" "seed=$(($2 * SEEDS_APART))" "${SAMPLING[@]}"
  where=()
  [[ -z $inception ]] || where=("extractors.inception=$inception")
  once 5 "evaluate-$1" mmspec evaluate "samples=$run" "reference=$reference" "extractors.cache=$exp/features" \
    "${where[@]}" "${EVALUATION[@]}"
}

draw_figures() { :; } # stage 6: adds SVG files to drawn, which the report shows
more_tables() { :; } # stage 6: what a recipe has besides its table

table_recipe() { # after parse_options
  [[ -z $weights || $weights == official || -e $weights ]] || die "--weights $weights: no such file or folder."
  [[ -z $inception || -f $inception ]] || die "--inception $inception: no such file."
  local packed=$exp/data/$RECIPE home=$exp/$RECIPE history="$data " base_folders=() name seed base
  local reference=$packed${SPLIT:+/test}
  local on_data=("data.train=$packed${SPLIT:+/train}" "data.test=$reference")
  if ((stage <= 0)) && first_machine; then
    fetch
    fetch_weights
  fi
  once 1 prepare prepare "$packed"
  bases
  local trained=$history table=() cell
  while read -r cell; do table+=("$cell"); done < <(cells)
  sweeps
  local shown=()
  for cell in "${table[@]}"; do
    read -r name seed base <<<"$cell"
    history="$trained$name ${overrides[*]}"
    judge_cell "$name" "$seed" "$base"
    [[ $seed != "${seeds%%,*}" ]] || shown+=("$home/runs/$name")
  done
  if ((stop_stage >= 6)) && first_machine; then
    local note
    note=$(remark)
    mmspec table "layout=$(dirname "$0")/table.yaml" "runs=$home/runs" "out=$home/table.md" ${note:+"note='$note'"}
    more_tables
    local drawn=()
    draw_figures
    mmspec report "runs=[$(IFS=,; echo "${shown[*]}")]" "table=$home/table.json" "out=$home/report.html" "title=$RECIPE" \
      "figures=[$(IFS=,; echo "${drawn[*]}")]"
  fi
}
