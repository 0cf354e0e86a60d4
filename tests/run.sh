#!/usr/bin/env bash
# Installs, builds and tests: everything that must hold before a change is taken.
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: tests/run.sh [--full | --fuzz SECONDS]

Installs what is missing, checks the form of the sources, runs the unit tests and the simulation under ASan + UBSan, and
under TSan what has threads, fuzzes every decoder for 30 s, and then runs every test of the release build, on a private
PostgreSQL and Kafka (deploy/local.sh). The last lines are ctest's own.
Exit 0 only if all of it passed.

Without --full: a bounded slice, without the tests labelled `long`, and clang-tidy over the last commit's files only.
With --fuzz: nothing but fuzzing, for so many seconds each decoder (tests/fuzz/README.md).
HELP
}

full=false only_fuzz=false fuzz_seconds=30
case "${1:-}" in
  --help | -h) usage && exit 0 ;;
  --full) full=true ;;
  --fuzz)
    only_fuzz=true fuzz_seconds="${2:-}"
    [[ "$fuzz_seconds" =~ ^[1-9][0-9]*$ ]] || { usage >&2 && exit 2; }
    ;;
  '') ;;
  *) usage >&2 && exit 2 ;;
esac

cd "$(dirname "${BASH_SOURCE[0]}")/.."
cores="$(nproc)"
export CCACHE_DEPEND=1 # else ccache preprocesses what it does not know yet, before it compiles it
max_tidied=8 # files, in the bounded slice: each takes ten seconds and more

say() { printf 'tests: %s (%d:%02d)\n' "$*" $((SECONDS / 60)) $((SECONDS % 60)); }
fail() {
  echo "tests: $*" >&2
  exit 1
}

check_form() {
  say "clang-format and shellcheck"
  git ls-files -z '*.cc' '*.h' | xargs -0 clang-format-14 --dry-run -Werror ||
    fail "these sources are not as clang-format-14 writes them: clang-format-14 -i FILE"
  git ls-files -z '*.sh' .ci/run | xargs -0 shellcheck
}

build() {
  say "building $1"
  mkdir -p build
  cmake --preset "$1" >"build/$1.configure.log" || { cat "build/$1.configure.log" && fail "preset $1 does not configure"; }
  cmake --build "build/$1" --parallel "$cores" -- --quiet || fail "preset $1 does not build"
}

test_under_sanitizer() {
  # More at once than cores: some of them wait more than they work.
  ctest --test-dir "build/$1" -L '^(unit|simulation)$' --parallel "$((2 * cores))" --output-on-failure --no-tests=error >"build/$1.ctest.log" ||
    { cat "build/$1.ctest.log" && fail "tests fail under $1"; }
  echo "$1: $(grep 'tests passed' "build/$1.ctest.log")"
}

# One target, over what it found in earlier runs and the committed corpus, which is only read.
fuzz_target() {
  local target="$1" seconds="$2" found="$3"
  mkdir -p "$found/corpus/$target" "$found/crashes"
  "build/fuzz/tests/fuzz/$target" -max_total_time="$seconds" -max_len=16384 -timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=64 \
    -use_value_profile=1 -artifact_prefix="$found/crashes/$target-" "$found/corpus/$target" "tests/fuzz/corpus/$target" \
    >"$found/$target.log" 2>&1 || { tail -n 60 "$found/$target.log" && return 1; }
  echo "$target: $(grep -a DONE "$found/$target.log")"
}

fuzz() {
  local found=build/fuzz/found targets
  mapfile -t targets < <(basename -s .cc tests/fuzz/*_fuzz.cc)
  echo "fuzzing for $fuzz_seconds s each: ${targets[*]}"
  export -f fuzz_target
  printf '%s\n' "${targets[@]}" | xargs -P 0 -I TARGET bash -c "fuzz_target TARGET $fuzz_seconds $found" ||
    fail "fuzzing found the above: $found/crashes has the inputs, tests/fuzz/README.md says what to do with them"
}

# Each beside the others: none of them counts seconds.
check_without_servers() {
  say "unit tests and simulation under asan and tsan, fuzzing"
  local checks=()
  test_under_sanitizer asan & checks+=($!)
  test_under_sanitizer tsan & checks+=($!)
  fuzz & checks+=($!)
  local check passed=true
  for check in "${checks[@]}"; do wait "$check" || passed=false; done
  $passed || exit 1 # it has said why
}

# tidy BUILD FILE…: by how that build compiles them.
tidy() {
  local build="$1"
  shift
  say "clang-tidy over $# files"
  (($# == 0)) || printf '%s\0' "$@" | xargs -0 -n 1 -P "$cores" clang-tidy-14 -p "build/$build" --quiet 2>/dev/null ||
    fail "clang-tidy found the above"
}

check_with_clang_tidy() {
  local files
  if $full; then
    mapfile -t files < <(git ls-files '*.cc' ':!tests/fuzz')
  else
    mapfile -t files < <(git diff --name-only --diff-filter=d HEAD~1 -- '*.cc' ':!tests/fuzz' 2>/dev/null | head -n "$max_tidied")
  fi
  tidy release "${files[@]}"
}

destroy_servers() {
  local folder
  for folder in build/release/servers build/release/servers_previous; do
    deploy/local.sh down --hold --dir "$folder" >/dev/null 2>&1 || true
  done
}

say "installing what is missing"
deploy/install.sh
if $only_fuzz; then
  build fuzz
  fuzz
  exit
fi
ASSENT_KAFKA_VERSION=previous deploy/install.sh # for the tests of transactions V1
check_form
build release
check_with_clang_tidy
for preset in asan tsan fuzz; do build "$preset"; done
! $full || tidy fuzz tests/fuzz/*.cc
check_without_servers

selection=(-LE long)
! $full || selection=()
say "all tests"
# ctest's fixture destroys its servers by itself; this is for a run that ends before ctest can.
trap destroy_servers EXIT
# More at once than cores: but for those that are alone on the machine, they wait more than they work.
ctest --test-dir build/release "${selection[@]}" --parallel "$((2 * cores))" --output-on-failure --no-tests=error
