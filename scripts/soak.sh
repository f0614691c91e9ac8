#!/usr/bin/env bash
# 10,000 engine steps of random load (or as many as the first argument says) with the shipped model: prints what is left after each fifth, and
# fails when tensors, slots or the managed heap grow. About 10 minutes on 2 cores.
set -euo pipefail
cd "$(dirname "$0")/.."
export OMP_WAIT_POLICY=PASSIVE DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
dotnet build -c Release -v q tests/FlowMM.UnitTests
FLOWMM_SOAK_STEPS=${1:-10000} tests/FlowMM.UnitTests/bin/Release/net10.0/linux-x64/FlowMM.UnitTests \
  -noColor -showLiveOutput -class FlowMM.UnitTests.Engine.SoakTests
