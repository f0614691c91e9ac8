#!/usr/bin/env bash
# Runs the grid of docs/evaluation.md, verifies it against the reference's figures and writes its tables into the document.
#   bash scripts/evaluate.sh [FOLDER]
# A set that is done is kept in FOLDER (default artifacts/evaluation) and not run again: after a change of the method, give a new folder.
# FLOWMM names the program; by default it is built. OMP_NUM_THREADS=1 is the fastest for so small a model.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-artifacts/evaluation}
flowmm=${FLOWMM:-src/FlowMM.Cli/bin/Release/net10.0/linux-x64/flowmm}
[ -n "${FLOWMM:-}" ] || dotnet build -c Release src/FlowMM.Cli -v q -nologo
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
mkdir -p "$out"

baselines=streaming,h2o,snapkv,pyramidkv,look-m,d2o,kvmerger
variants="flowmm,flowmm strategy calibrated,flowmm strategy intra,flowmm merge evict,flowmm rounds 1,flowmm phi 0.25,flowmm-paper"
failed=0

piece() { # name sets protocols methods budgets [options]
    local name=$1; shift
    [ -f "$out/$name.done" ] && { tail -n 1 "$out/$name.txt"; return; }
    if $flowmm eval --model models/tiny --sets "$1" --protocols "$2" --methods "$3" --budgets "$4" "${@:5}" \
        --json "$out/$name.json" --markdown "$out/$name.md" > "$out/$name.txt"; then
        touch "$out/$name.done"
    else
        failed=1
    fi
    cat "$out/$name.txt"
}

# 256 sampled rows in every method: how the reference's figures were made.
reference=(--samples 256 --compare models/tiny/eval/reference-merging.json --within 3)
for set in images-4 images-8 images-16 facts; do
    piece "after-$set" $set after "$baselines,$variants" 0.05,0.1,0.2,0.35,0.5 "${reference[@]}"
done
for set in images-4 images-8; do
    piece "alone-$set" $set alone "$baselines,flowmm,flowmm merge evict,flowmm-paper" 0.1,0.2 "${reference[@]}"
done
piece in-order images-4,images-8 in-order "$baselines,flowmm,flowmm-paper" 0.1,0.2 --samples 256
piece identical single,images-4,facts,images-8,images-16,images-32,images-64 after,alone,in-order full,flowmm 1

tables=$(mktemp)
for name in after-images-4 after-images-8 after-images-16 after-facts alone-images-4 alone-images-8 in-order; do
    cat "$out/$name.md"
done > "$tables"
awk -v tables="$tables" '
    /<!-- tables: end -->/ { skip = 0 }
    !skip { print }
    /<!-- tables: begin -->/ { skip = 1; while ((getline line < tables) > 0) print line }' docs/evaluation.md > "$tables.new"
mv "$tables.new" docs/evaluation.md
rm "$tables"
exit $failed
