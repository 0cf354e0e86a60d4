#!/usr/bin/env bash
# The one door to every benchmark.
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: bench/run.sh SUITE [options of the suite's program]

Builds release, starts what the suite needs, shows its progress, prints a table, and writes bench/results/SUITE.json.

  parts   the parts of the coordinator alone: protocol step, log append alone and grouped, codec. Needs no server.
          Options are Google Benchmark's, such as --benchmark_filter=LogAppend
HELP
}

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
results="$root/bench/results"

say() { echo "bench: $*"; }

build() {
  say "building $1"
  mkdir -p "$root/build"
  (cd "$root" && cmake --preset release >build/release.configure.log && cmake --build build/release --target "$1" -- --quiet)
}

# The machine matters as much as the figure.
describe_machine() {
  say "$(nproc) cores, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), commit $(git -C "$root" rev-parse --short HEAD)"
}

parts() {
  build assent_bench_parts
  describe_machine
  "$root/build/release/bench/assent_bench_parts" --benchmark_out="$results/parts.json.new" --benchmark_out_format=json "$@"
}

[[ $# -gt 0 ]] || { usage >&2 && exit 2; }
suite="$1"
shift
case "$suite" in
  --help | -h) usage && exit 0 ;;
  parts) ;;
  *) echo "bench: there is no suite \"$suite\"" >&2 && usage >&2 && exit 2 ;;
esac
mkdir -p "$results"
"$suite" "$@"
mv "$results/$suite.json.new" "$results/$suite.json"
say "written to bench/results/$suite.json"
