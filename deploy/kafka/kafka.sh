# shellcheck shell=bash
# Where the Kafka broker of this repository lives, which version it is, and which Java runs it. Sourced by the scripts
# of deploy/.

kafka_folder="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
# Where Java is looked for, besides JAVA_HOME and PATH.
jvm_folder=/usr/lib/jvm

# The version asked for: ASSENT_KAFKA_VERSION, which may be `previous`; else the one that pom.xml pins.
kafka_version() {
  case "${ASSENT_KAFKA_VERSION:-}" in
    '') kafka_pinned kafka.version ;;
    previous) kafka_pinned kafka.previous.version ;;
    *) echo "$ASSENT_KAFKA_VERSION" ;;
  esac
}
kafka_pinned() { sed -n "s:.*<$1>\(.*\)</$1>.*:\1:p" "$kafka_folder/pom.xml"; }

# The folder with the broker's jars. deploy/install.sh fills it.
kafka_libs() { echo "$(dirname "$(dirname "$kafka_folder")")/.local/kafka/$(kafka_version)/libs"; }

# The major version of a java program: 17, 21, … Nothing for one that does not run.
java_major() {
  "$1" -XshowSettings:properties -version 2>&1 | sed -n 's/^ *java\.specification\.version = //p' | sed 's/^1\.//'
}

# The oldest Java from 17 on: brokers need 17, and older brokers do not run on the newest Java. Fails where there is none.
find_java() {
  local best='' best_major=0 candidate major
  for candidate in "${JAVA_HOME:-/nonexistent}/bin/java" "$(command -v java || true)" "$jvm_folder"/*/bin/java; do
    [[ -x "$candidate" ]] || continue
    major="$(java_major "$candidate")"
    [[ "$major" =~ ^[0-9]+$ ]] || continue
    if ((major >= 17 && (best_major == 0 || major < best_major))); then
      best="$candidate" best_major="$major"
    fi
    ((best_major != 17)) || break
  done
  [[ -n "$best" ]] && readlink -f "$best"
}
