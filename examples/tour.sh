#!/usr/bin/env bash
# A tour of lnfgen in an empty folder: chorales to music, a folder of MIDI to a model, text to text.
# QUICK=1 trains only long enough to show that everything works.
set -euo pipefail

steps=(); [ -n "${QUICK:-}" ] && steps=(--max-steps 5)

# Music at once, by a model in the box.
lnfgen list --models
lnfgen sample --out first.mid --seed 1

# Music: the Bach chorales that music21 carries, the default dataset.
run=$(lnfgen train --preset tiny "${steps[@]}" --seed 1)
lnfgen eval "$run" --nll --samples 10
lnfgen compare "$run" --count 32 --plot figures.png
lnfgen sample "$run" --out song.mid --count 2 --length 64 --seed 1
lnfgen convert song-01.mid song.png
lnfgen convert song-01.mid song.txt
lnfgen info song-01.mid

# Anyone's own MIDI files: here, two dozen samples as if they were a collection.
mkdir -p tunes
lnfgen sample "$run" --out tunes/tune.mid --count 24 --length 32 --seed 2 > /dev/null
data=$(lnfgen preprocess tunes)
lnfgen train "$data" --model af-scf --transform affine --preset tiny "${steps[@]}" --seed 1

# Text: dance tunes in ABC notation, a tune a sequence; a trained model's become music with `lnfgen convert tune.abc tune.mid`.
run=$(lnfgen train folk-abc --model lstm --preset tiny "${steps[@]}" --seed 1)
lnfgen eval "$run" --split valid
lnfgen sample "$run" --out - --length 60 --seed 1
