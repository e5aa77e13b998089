#!/usr/bin/env bash
# Every named model on music, on tunes in ABC notation and on prose: train, score, sample. Then each transform, NADE, and scans.
# Run it in an empty folder. QUICK=1 makes 2 updates of the smallest sizes, only to show that everything works.
set -euo pipefail

export OMP_NUM_THREADS=1  # three programs run at a time
settings=(--preset tiny --seed 1 --quiet)
ptb=${LNFGEN_TEST_DATA:+$LNFGEN_TEST_DATA/ptb}  # the Penn Treebank as .txt files; without it, no prose
if [ -n "${QUICK:-}" ]; then
  echo '{"model": {"hidden_size": 8, "embedding_size": 8, "num_layers": 1}, "training": {"batch_size": 4}}' > smallest.json
  settings+=(--config smallest.json --max-steps 2)
fi

# cell DATASET SUFFIX OPTIONS...: a run of its own, its score on test as JSON, and a sample beside it.
cell() {
  local run
  run=$(lnfgen train "$1" "${settings[@]}" "${@:3}")
  lnfgen eval "$run" --nll --samples 5 --json --quiet
  sampled=$(lnfgen sample "$run" --out "$(basename "$run")$2" --seed 1 --quiet)
}

if [ -n "$ptb" ] && [ -d "$ptb" ]; then
  if [ -n "${QUICK:-}" ]; then  # its first lines will do
    mkdir -p ptb
    for file in "$ptb"/*.txt; do head -n 60 "$file" > "ptb/$(basename "$file")"; done
    ptb=ptb
  fi
else
  echo "PTB is left out; set LNFGEN_TEST_DATA to the folder that holds ptb/" >&2
  ptb=
fi

# tunes MODEL: a cell on folk-abc, and whether its sample is music.
tunes() {
  cell folk-abc .abc --model "$1"
  if lnfgen convert "$sampled" "${sampled%.abc}.mid" --quiet > "$1.converted" 2>&1; then
    echo "$sampled is a tune: $(cat "$1.converted")"
  else
    echo "$sampled is no tune: $(tail -n 1 "$1.converted")"
  fi
}

for model in $(python -c 'from lnfgen.config import NAMED_MODELS; print(*NAMED_MODELS)'); do
  # The datasets side by side, each its own output: starting the program is most of QUICK's time.
  started=()
  : > "$model.1"
  if [ "${model%-codes}" = "$model" ]; then cell chorales .mid --model "$model" > "$model.1" & started+=($!); fi  # codes say symbols of text
  tunes "$model" > "$model.2" & started+=($!)
  : > "$model.3"
  if [ -n "$ptb" ]; then cell "$ptb" .txt --model "$model" > "$model.3" & started+=($!); fi
  for job in "${started[@]}"; do wait "$job"; done
  cat "$model.1" "$model.2" "$model.3"
done

for transform in $(python -c 'from lnfgen.transforms import TRANSFORMS; print(*TRANSFORMS)'); do
  if [ "$transform" != nlsq ]; then cell chorales .mid --transform "$transform"; fi  # nlsq is what the models have
done
cell chorales .mid --emission nade
cell chorales .mid --backbone scan
