#!/usr/bin/env bash
# The one door to every benchmark.
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: bench/run.sh SUITE [options of the suite's program]

Builds release, starts what the suite needs, shows its progress, prints a table, and writes bench/results/SUITE.json.

  parts   the parts of the coordinator alone: protocol step, log append alone and grouped, codec. Needs no server.
          Options are Google Benchmark's, such as --benchmark_filter=LogAppend

  kafka-branch   a Kafka transaction by our participant, a bare loop over the same two requests, librdkafka and the Java
          client, side by side on one broker of its own: 1, 16 and 64 in flight, and one of 100 records. Ten minutes.
          --rounds N, --measured-ms N; --quick for one round

  recovery   10,000 transactions of two branches are decided and not finished: how fast assentd finishes them when it starts
          again, beside a bare loop of COMMIT PREPARED, and how soon it serves new ones. A PostgreSQL of its own. Eight
          minutes. --rounds N, --transactions N; --quick for one round of 1,000
HELP
}

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
results="$root/bench/results"
export PYTHONPATH="$root/bench" # report.py, which the suites share

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

# Servers of this run's own, which end with it, however it ends: start_servers FOLDER.
start_servers() {
  servers="$root/build/$1"
  trap '"$root/deploy/local.sh" down --hold --dir "$servers" >/dev/null' EXIT
  "$root/deploy/local.sh" up --hold --dir "$servers"
}
with_servers() { "$root/deploy/local.sh" run --dir "$servers" -- "$@"; }

kafka-branch() {
  build assent_bench_kafka_branch
  describe_machine
  start_servers bench-servers
  with_servers "$root/bench/kafka_branch/run.py" --programs "$root/build/release/bench/kafka_branch" \
    --out "$results/kafka-branch.json.new" "$@"
}

recovery() {
  build assent_bench_recovery
  describe_machine
  start_servers bench-recovery-servers # its PostgreSQL gets settings that no other suite wants
  with_servers "$root/bench/recovery/run.py" --programs "$root/build/release" --out "$results/recovery.json.new" "$@"
}

[[ $# -gt 0 ]] || { usage >&2 && exit 2; }
suite="$1"
shift
case "$suite" in
  --help | -h) usage && exit 0 ;;
  parts | kafka-branch | recovery) ;;
  *) echo "bench: there is no suite \"$suite\"" >&2 && usage >&2 && exit 2 ;;
esac
mkdir -p "$results"
"$suite" "$@"
mv "$results/$suite.json.new" "$results/$suite.json"
say "written to bench/results/$suite.json"
