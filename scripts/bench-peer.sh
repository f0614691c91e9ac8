#!/usr/bin/env bash
# Measures flowmm against llama.cpp on the same made-up weights, in turns, and prints ratios (above 1: flowmm is faster).
#
#   scripts/bench-peer.sh PATH/TO/llama-batched-bench
#
# Settings by environment: SHAPE=qwen2.5-0.5b  THREADS=2  ROUNDS=2  TYPES="f32 bf16 int8"  CONTEXTS="512 4096"  BATCHES=1,8,16  OUT=artifacts/bench
# Build the peer with GGML_NATIVE=ON, target llama-batched-bench, on the machine that measures. Its cache is f16 (its default), ours f32.
# Each figure is the best of the rounds; the files of OUT hold all of them.
set -euo pipefail

peer=${1:?usage: scripts/bench-peer.sh PATH/TO/llama-batched-bench}
shape=${SHAPE:-qwen2.5-0.5b} threads=${THREADS:-2} rounds=${ROUNDS:-2} types=${TYPES:-f32 bf16 int8} contexts=${CONTEXTS:-512 4096} batches=${BATCHES:-1,8,16}
root=$(cd "$(dirname "$0")/.." && pwd)
out=${OUT:-$root/artifacts/bench}
flowmm=${FLOWMM:-$root/src/FlowMM.Cli/bin/Release/net10.0/linux-x64/flowmm}
mkdir -p "$out"
[ -x "$flowmm" ] || dotnet build -c Release "$root/src/FlowMM.Cli" -v q -nologo

declare -A same=([f32]=f32 [bf16]=f16 [int8]=q8_0)
for type in $types; do
  gguf=$out/$shape-${same[$type]}.gguf
  [ -f "$gguf" ] || "$flowmm" bench --shape "$shape" --gguf "${same[$type]}=$gguf"
  for round in $(seq "$rounds"); do
    for context in $contexts; do
      few=$([ "$context" -le 1024 ] && echo "$batches" || echo 1)
      name=$type-$context-$round
      "$flowmm" bench --shape "$shape" --weights "$type" --threads "$threads" --prefill "$context" --contexts "$context" --batches "$few" --steps 32 --rounds 1 --json "$out/$name.json"
      "$peer" -m "$gguf" -c 8192 -b 2048 -ub 512 -t "$threads" -npp "$context" -ntg 32 -npl "$few" -pps --output-format jsonl 2>/dev/null | grep '^{' > "$out/$name.peer.jsonl"
    done
  done
done

python3 - "$out" "$rounds" "$types" "$contexts" <<'PY'
import json, sys
out, rounds, types, contexts = sys.argv[1], int(sys.argv[2]), sys.argv[3].split(), sys.argv[4].split()
best = {}
def keep(key, side, value):
    best.setdefault(key, {})
    best[key][side] = max(value, best[key].get(side, 0))
for kind in types:
    for context in contexts:
        for r in range(1, rounds + 1):
            name = f"{out}/{kind}-{context}-{r}"
            ours = json.load(open(name + ".json"))
            for f in ours["figures"]:
                where = f["tokens"] if f["kind"] == "prefill" else f["context"]
                keep((kind, f["kind"], where, f["batch"]), "flowmm", f["tokens_per_second"])
                best[(kind, f["kind"], where, f["batch"])]["gbs"] = f["gigabytes_per_second"]
            for line in open(name + ".peer.jsonl"):
                p = json.loads(line)
                if p["pl"] == 1:
                    keep((kind, "prefill", p["pp"], 1), "peer", p["speed_pp"])
                keep((kind, "decode", p["pp"], p["pl"]), "peer", p["speed_tg"])
print(f"{'weights':8}{'':9}{'tokens':>7}{'batch':>6}{'flowmm':>10}{'llama.cpp':>11}{'ratio':>7}{'GB/s':>7}")
for (kind, what, where, batch), v in best.items():
    if "peer" in v and "flowmm" in v:
        print(f"{kind:8}{what:9}{where:7}{batch:6}{v['flowmm']:10.1f}{v['peer']:11.1f}{v['flowmm'] / v['peer']:7.2f}{v['gbs'] or '':>7}")
PY
