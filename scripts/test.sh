#!/usr/bin/env bash
# Builds everything and runs every test: the one command for a fresh Debian or Ubuntu that has the .NET 10 SDK.
# What the tests need beside it (redis-server, Node.js, openssl, kill, Python with numpy) is installed when missing.
# The last line is `N passed, N failed[, N skipped]`; the exit status is 0 only when all passed and some ran.
set -euo pipefail
cd "$(dirname "$0")/.."

# Test projects load the tensor library without a host that would set this (see NativeThreads).
export OMP_WAIT_POLICY=PASSIVE
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
reports=TestResults
runtime=linux-x64

step() { printf '\n=== %s (%ss)\n' "$1" "$SECONDS"; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

install_missing() {
  local packages=()
  command -v redis-server >/dev/null || packages+=(redis-server)
  command -v node >/dev/null || packages+=(nodejs)
  command -v npm >/dev/null || packages+=(npm)
  command -v openssl >/dev/null || packages+=(openssl)
  type -P kill >/dev/null || packages+=(procps)
  /usr/bin/python3 -c 'import numpy' 2>/dev/null || packages+=(python3-numpy)
  if [ ${#packages[@]} -gt 0 ]; then
    as_root apt-get update -q
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${packages[@]}"
  fi
}

check_lengths() {
  local long
  long=$(git ls-files '*.cs' '*.ts' '*.js' '*.proto' '*.sh' | xargs -r wc -l | awk '$1 > 400 && $2 != "total"')
  if [ -n "$long" ]; then
    printf 'Over 400 lines:\n%s\n' "$long"
    return 1
  fi
}

# Runs one project's tests; the counts come from its report, so that a crash cannot look like a pass.
run_project() {
  local name=$1 report=$reports/$1.xml status=0
  "tests/$name/bin/Release/net10.0/$runtime/$name" -noColor -result-xml "$report" || status=$?
  read -r p f s < <(count "$report")
  if [ "$status" -ne 0 ] && [ "$f" -eq 0 ]; then
    echo "$name ended with status $status and no failed test on record"
    f=1
  fi
  if [ $((p + f + s)) -eq 0 ]; then
    echo "$name ran no test"
    f=1
  fi
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
}

# Prints passed, failed (errors included) and skipped of a report in xUnit's XML format; zeros when there is none.
count() {
  [ -s "$1" ] || { echo 0 0 0; return; }
  grep -o '<assembly [^>]*>' "$1" | awk '
    function attribute(name) { return match($0, " " name "=\"[0-9]+\"") ? substr($0, RSTART + length(name) + 3, RLENGTH - length(name) - 4) : 0 }
    { p += attribute("passed"); f += attribute("failed") + attribute("errors"); s += attribute("skipped") }
    END { print p + 0, f + 0, s + 0 }'
}

step "Tools"
install_missing
(cd scripts/buf && npm ci --no-fund --no-audit --silent)
(cd tests/FlowMM.EndToEndTests/client && npm ci --no-fund --no-audit --silent)
(cd tests/FlowMM.ParityTests/published && npm ci --no-fund --no-audit --silent)

step "Restore"
dotnet restore --locked-mode
step "Build"
dotnet build -c Release --no-restore -warnaserror
step "Format"
dotnet format --no-restore --verify-no-changes
check_lengths
scripts/buf/node_modules/.bin/buf lint

rm -rf "$reports"
mkdir -p "$reports"
export FLOWMM_TEST_LOGS=$PWD/$reports/logs
passed=0 failed=0 skipped=0
for project in tests/*/*Tests.csproj; do
  name=$(basename "$project" .csproj)
  step "$name"
  run_project "$name"
done

step "Done"
line="$passed passed, $failed failed"
[ "$skipped" -eq 0 ] || line="$line, $skipped skipped"
echo "$line"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
