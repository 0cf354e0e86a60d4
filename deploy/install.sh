#!/usr/bin/env bash
# Installs what building, testing and running Assent needs and this machine lacks.
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: deploy/install.sh [--check]

Installs what is missing on a Debian 12 machine to build, test and run Assent: Debian packages, and the Kafka broker from
Maven Central into .local/kafka/ of this repository. A second run does nothing and needs no root.

  --check   install nothing; say what is missing, and exit 1 if anything is

Environment:
  ASSENT_KAFKA_VERSION   another broker than the one pinned in deploy/kafka/pom.xml: `previous`
                         for the older one pinned there, or a version such as 4.1.0
HELP
}

# What the build links, what the tests ask as independent readers, and the servers.
packages=(
  g++ cmake ninja-build ccache pkg-config git ca-certificates
  libgrpc++-dev protobuf-compiler-grpc libprotobuf-dev protobuf-compiler
  librocksdb-dev libabsl-dev libboost1.81-dev libpq-dev libisal-dev libssl-dev libsasl2-dev libsasl2-modules libspdlog-dev libtomlplusplus-dev
  libcli11-dev zlib1g-dev libsnappy-dev liblz4-dev libzstd-dev libgtest-dev libgmock-dev libbenchmark-dev librdkafka-dev
  clang-format-14 clang-tidy-14 shellcheck
  clang-14 libclang-rt-14-dev
  kcat postgresql-15 postgresql-client-15 maven python3-venv
)

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
# shellcheck source=deploy/kafka/kafka.sh
source "$root/deploy/kafka/kafka.sh"

say() { echo "install: $*"; }
fail() {
  echo "install: $*" >&2
  exit 1
}

is_installed() { [[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" == installed ]]; }

missing_packages() {
  local package
  for package in "${packages[@]}"; do
    is_installed "$package" || echo "$package"
  done
  # With its compiler: tests ask the Java client.
  local java
  { java="$(find_java)" && [[ -x "$(dirname "$java")/javac" ]]; } || echo default-jdk-headless
}

# Runs a command as root.
as_root() {
  if ((EUID == 0)); then
    "$@"
  else
    sudo -- "$@"
  fi
}

# Runs a command whose hundreds of lines are of interest only when it fails.
quietly() {
  local said
  said="$(mktemp)"
  if ! "$@" >"$said" 2>&1; then
    cat "$said" >&2
    rm -f "$said"
    fail "this failed, and said what is above: $*"
  fi
  rm -f "$said"
}

# Debian's package makes and starts a cluster "main" when it is first installed. We need the programs only, so our
# installation, and ours alone, is told not to.
no_main_cluster=/etc/postgresql-common/createcluster.d/assent-install.conf
forbid_main_cluster() {
  say "telling postgresql-15 not to make a system-wide cluster"
  trap 'as_root rm -f "$no_main_cluster"; as_root rmdir --ignore-fail-on-non-empty "${no_main_cluster%/*}"' EXIT
  as_root mkdir -p "${no_main_cluster%/*}"
  echo 'create_main_cluster = false' | as_root tee "$no_main_cluster" >/dev/null
}

install_packages() {
  ((EUID == 0)) || command -v sudo >/dev/null ||
    fail "these Debian packages are missing, and there is neither root nor sudo to install them: $*"
  [[ " $* " != *' postgresql-15 '* ]] || forbid_main_cluster
  say "installing $# Debian packages: $*"
  quietly as_root apt-get update -q=2
  quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q=2 --no-install-recommends "$@"
}

# Into a folder of its own first: a broken download never looks like a broker. One at a time: several may start at once.
install_kafka() {
  local version="$1" libs="$2" downloaded
  mkdir -p "$root/.local/kafka"
  exec 8>"$root/.local/kafka/lock"
  flock 8
  [[ ! -d "$libs" ]] || return 0
  say "fetching Kafka $version from Maven Central"
  downloaded="$(mktemp -d "$root/.local/kafka/fetching.XXXXXX")"
  # Maven resets the colours of a terminal, also where it uses none and where there is none.
  if ! mvn -q -B -ntp -Dstyle.color=never -f "$root/deploy/kafka/pom.xml" -Dkafka.version="$version" \
    -DoutputDirectory="$downloaded" dependency:copy-dependencies 8>&- 2>&1 | sed $'s/\e\\[0m//g'; then
    rm -rf "$downloaded"
    fail "Maven could not fetch Kafka $version; its own message is above"
  fi
  mkdir -p "$(dirname "$libs")"
  chmod 755 "$downloaded"
  mv "$downloaded" "$libs"
}

check_only=false
case "${1:-}" in
  --help | -h) usage && exit 0 ;;
  --check) check_only=true ;;
  '') ;;
  *) usage >&2 && exit 2 ;;
esac

command -v dpkg-query >/dev/null || fail "this script installs Debian packages, and this machine is not Debian"
mapfile -t missing < <(missing_packages)
version="$(kafka_version)"
libs="$(kafka_libs)"

if $check_only; then
  ((${#missing[@]} == 0)) || say "missing Debian packages: ${missing[*]}"
  [[ -d "$libs" ]] || say "missing: Kafka $version"
  [[ ${#missing[@]} -eq 0 && -d "$libs" ]]
  exit
fi

if ((${#missing[@]} > 0)); then
  install_packages "${missing[@]}"
else
  say "every Debian package is there"
fi
[[ -d "$libs" ]] || install_kafka "$version" "$libs"
say "Kafka $version is in ${libs#"$root/"}"
