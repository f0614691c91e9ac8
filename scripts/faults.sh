#!/usr/bin/env bash
# The long form of the fault run: conversations on three silos while silos are killed and stand still, sessions move, and Redis' connections are cut and slow.
# Usage: scripts/faults.sh [SECONDS [SEED...]]; 180 seconds and the seeds 1 2 3 when nothing is said. Ends with the first seed that fails.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-180}
shift || true
[ $# -gt 0 ] || set -- 1 2 3

export OMP_WAIT_POLICY=PASSIVE
dotnet build -c Release tests/FlowMM.ClusterTests -v q -nologo
for seed in "$@"; do
  FLOWMM_FAULT_SECONDS=$seconds FLOWMM_FAULT_SEED=$seed \
    tests/FlowMM.ClusterTests/bin/Release/net10.0/linux-x64/FlowMM.ClusterTests -noColor -showLiveOutput -class FlowMM.ClusterTests.FaultTests
done
