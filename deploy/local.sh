#!/usr/bin/env bash
# A private PostgreSQL and a private Kafka broker on loopback, for demo, tests and benchmarks.
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: deploy/local.sh COMMAND [--dir DIR] …

  up [--hold]       start what does not run; returns when both answer. With --hold the calling process counts as a user:
                    the servers are destroyed when the last such user is gone, however it ended.
  down [--destroy]  stop both. --destroy also removes DIR. Without, the next `up` finds the data again.
                    With --hold: the calling process is no user any more; destroy the servers if it was the last.
  status            say what runs; exit 0 if both do
  stop SERVER       stop one: postgres or kafka. With --kill: by SIGKILL, as a crash would
  start SERVER      start it again, on the port that it had
  topic NAME [N]    create a Kafka topic with N partitions (1); one that exists is left as it is
  port              print a port that is free now, for another server beside them
  run -- COMMAND    run a command with the variables of DIR/env in its environment

  --dir DIR         where data, logs and pid files live; default .local/servers of this repository. Every DIR has servers
                    of its own.

DIR/env, which a shell can source, says where they are:
  ASSENT_TEST_POSTGRES        conninfo, without dbname: user assent owns the databases orders and stock
  ASSENT_TEST_POSTGRES_ADMIN  the same for the superuser
  ASSENT_TEST_POSTGRES_PID    the postmaster, and
  ASSENT_TEST_POSTGRES_BIN    its programs
  ASSENT_TEST_KAFKA           bootstrap server
  ASSENT_TEST_KAFKA_PID, ASSENT_TEST_KAFKA_VERSION, ASSENT_TEST_KAFKA_LIBS, ASSENT_TEST_JAVA
  ASSENT_TEST_DIR             DIR

Both listen on 127.0.0.1 only, without passwords: anybody on this machine can connect. PostgreSQL refuses to run as root;
started by root it runs as the user postgres. ASSENT_KAFKA_VERSION selects another broker (see deploy/install.sh).
HELP
}

repository="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
# shellcheck source=deploy/kafka/kafka.sh
source "$repository/deploy/kafka/kafka.sh"
postgres_bin=/usr/lib/postgresql/15/bin
python=/usr/bin/python3
patience_seconds=90  # for a server to answer after its start
stop_seconds=20      # for a server to end by itself before it is killed
port_attempts=5      # a port that was free may be taken when the server gets to it

say() { echo "servers: $*"; }
fail() {
  echo "servers: $*" >&2
  exit 1
}

# ---- processes ------------------------------------------------------------------------------------------------------

# When a process started, in the kernel's ticks: with it a pid names one process and not a later one.
start_ticks() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }
remember_process() { echo "$2 $(start_ticks "$2")" >"$1"; }

# The pid in a pid file, if that very process still runs.
living() {
  local pid ticks
  [[ -f "$1" ]] || return 1
  read -r pid ticks <"$1" || return 1
  [[ -n "$ticks" && "$(start_ticks "$pid")" == "$ticks" ]] && has_live_thread "$pid" && echo "$pid"
}

# A killed process shows as a zombie when its first thread has ended; others may still hold its files and its port.
has_live_thread() { grep -q -s '^State:[[:space:]]*[^ZX]' /proc/"$1"/task/*/status; }

# Waits until a condition holds. Gives up after `patience_seconds`, or when the process of the pid file has ended.
await() {
  local pid_file="$1" end=$((SECONDS + patience_seconds))
  shift
  until "$@" >/dev/null 2>&1; do
    living "$pid_file" >/dev/null && ((SECONDS < end)) || return 1
    sleep 0.05
  done
}

# Starts a server that outlives this script: launch PID_FILE LOG COMMAND…
launch() {
  local pid_file="$1" log="$2"
  shift 2
  (cd / && exec setsid "$@" >"$log" 2>&1 </dev/null 9>&-) &
  remember_process "$pid_file" $!
}

end_process() {
  local pid_file="$1" signal="$2" pid end=$((SECONDS + stop_seconds))
  pid="$(living "$pid_file")" || return 0
  kill "-$signal" "$pid"
  while living "$pid_file" >/dev/null; do
    ((SECONDS < end)) || kill -KILL "$pid" 2>/dev/null || true
    sleep 0.02
  done
  rm -f "$pid_file"
}

# A free port: the one used before, else a random one below those that the kernel gives to outgoing connections. From
# among them a client that keeps trying could take the port of a server that is down, even by connecting to itself.
choose_port() {
  "$python" - "$(cat "$1" 2>/dev/null || echo 0)" <<'PYTHON'
import itertools, random, socket, sys
used_before = int(sys.argv[1] or 0)
with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
    first_outgoing = int(file.read().split()[0])
highest = first_outgoing - 1 if first_outgoing > 12000 else 65535
candidates = (random.randint(10000, highest) for _ in range(1000))
for port in itertools.chain([used_before] if used_before else [], candidates):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            continue
    print(port)
    break
PYTHON
}

# ---- PostgreSQL -----------------------------------------------------------------------------------------------------

# What a command of PostgreSQL's is run by, where we are root.
as_postgres=()
if ((EUID == 0)); then as_postgres=(setpriv --reuid=postgres --regid=postgres --init-groups --reset-env --); fi

# The cluster's folder. Where root's DIR is closed to the user postgres, it stands elsewhere, and DIR has a link to it.
make_postgres_folder() {
  [[ ! -d "$dir/postgres/" ]] || return 0
  rm -f "$dir/postgres"
  if ((EUID != 0)) || "${as_postgres[@]}" test -x "$dir"; then
    mkdir "$dir/postgres"
  else
    ln -s "$(mktemp -d /var/tmp/assent-postgres.XXXXXX)" "$dir/postgres"
  fi
  ((EUID != 0)) || chown postgres: "$dir/postgres/"
  chmod 700 "$dir/postgres/"
}

# Waits for the children that a killed postmaster left: they go by themselves, within moments.
await_no_backend() {
  local link
  for link in /proc/[0-9]*/cwd; do
    while [[ "$(readlink "$link" 2>/dev/null)" == "$1" ]]; do sleep 0.02; done
  done
}

make_postgres_cluster() {
  make_postgres_folder
  postgres_data="$(readlink -f "$dir/postgres")/data"
  if [[ -f "$postgres_data/postmaster.pid" ]]; then
    await_no_backend "$postgres_data"
    # Where nobody reaps a killed postmaster, as in many containers, the next one would take it for alive. Elsewhere the
    # file stays: by it the next one finds the shared memory that the killed one left, and removes it.
    [[ ! -d "/proc/$(head -n 1 "$postgres_data/postmaster.pid")" ]] || rm -f "$postgres_data/postmaster.pid"
  fi
  [[ ! -f "$postgres_data/PG_VERSION" || -d "$postgres_data.new" ]] || return 0
  rm -rf "$postgres_data" "$postgres_data.new"
  (cd / && "${as_postgres[@]}" "$postgres_bin/initdb" -D "$postgres_data.new" -U postgres -A trust -E UTF8 --locale=C.UTF-8 \
    --no-sync --no-instructions) >"$dir/initdb.log" 2>&1 || fail "initdb failed: see $dir/initdb.log"
  cat >>"$postgres_data.new/postgresql.conf" <<'CONF'

# Set by deploy/local.sh. Everything that makes commits durable is at its default: on.
max_connections = 200
max_prepared_transactions = 300
unix_socket_directories = ''
listen_addresses = '127.0.0.1'
CONF
  mv "$postgres_data.new" "$postgres_data"
}

psql_admin() {
  "$postgres_bin/psql" -X -q -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$1" -U postgres -d postgres "${@:2}"
}

make_databases() {
  [[ ! -f "$dir/databases.made" ]] || return 0
  psql_admin "$1" <<'SQL'
SELECT 'CREATE ROLE assent LOGIN CREATEDB' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'assent') \gexec
GRANT pg_signal_backend, pg_monitor TO assent;
SELECT format('CREATE DATABASE %I OWNER assent', name) FROM unnest(ARRAY['orders', 'stock']) AS name
  WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = name) \gexec
SQL
  touch "$dir/databases.made"
}

start_postgres() {
  local attempt port
  make_postgres_cluster
  for ((attempt = 1; attempt <= port_attempts; attempt++)); do
    port="$(choose_port "$dir/postgres.port")"
    launch "$dir/postgres.pid" "$dir/postgres.log" \
      "${as_postgres[@]}" "$postgres_bin/postgres" -D "$postgres_data" -p "$port"
    if await "$dir/postgres.pid" psql_admin "$port" -c 'SELECT 1'; then
      echo "$port" >"$dir/postgres.port"
      make_databases "$port"
      return 0
    fi
    end_process "$dir/postgres.pid" KILL
    grep -q 'Address already in use' "$dir/postgres.log" || break
  done
  fail "PostgreSQL did not start: see $dir/postgres.log: $(tail -n 2 "$dir/postgres.log")"
}

# ---- Kafka ----------------------------------------------------------------------------------------------------------

write_kafka_configuration() {
  cat >"$dir/kafka/server.properties" <<CONF
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$2
listeners=PLAINTEXT://127.0.0.1:$1,CONTROLLER://127.0.0.1:$2
advertised.listeners=PLAINTEXT://127.0.0.1:$1
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$dir/kafka/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=8
transaction.max.timeout.ms=2147483647
group.initial.rebalance.delay.ms=0
# After a crash the controller, which crashed with it, still believes in the broker's last session for this long.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=300
CONF
}


format_kafka() {
  [[ ! -f "$dir/kafka/data/meta.properties" ]] || return 0
  rm -rf "$dir/kafka/data"
  local cluster_id
  cluster_id="$("$python" -c 'import base64, uuid; print(base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[:22])')"
  # An id that starts with a dash would be taken for an option.
  "${kafka[@]}" kafka.tools.StorageTool format -t "A${cluster_id:1}" -c "$dir/kafka/server.properties" \
    >"$dir/kafka-format.log" 2>&1 || fail "Kafka's storage could not be formatted: see $dir/kafka-format.log"
}

start_kafka() {
  local attempt port controller_port java
  java="$(find_java)" || fail "no Java from 17 on: run deploy/install.sh"
  [[ -d "$(kafka_libs)" ]] || fail "Kafka $(kafka_version) is not in .local/kafka: run deploy/install.sh"
  kafka=("$java" -Xms128m -Xmx512m "-Dlog4j2.configurationFile=file:$kafka_folder/log4j2.xml" -cp "$(kafka_libs)/*")
  mkdir -p "$dir/kafka"
  for ((attempt = 1; attempt <= port_attempts; attempt++)); do
    port="$(choose_port "$dir/kafka.port")"
    controller_port="$(choose_port /dev/null)"
    write_kafka_configuration "$port" "$controller_port"
    format_kafka
    launch "$dir/kafka.pid" "$dir/kafka.log" "${kafka[@]}" kafka.Kafka "$dir/kafka/server.properties"
    if await "$dir/kafka.pid" "$python" "$kafka_folder/admin.py" "127.0.0.1:$port" ready; then
      echo "$port" >"$dir/kafka.port"
      kafka_version >"$dir/kafka.version"
      return 0
    fi
    end_process "$dir/kafka.pid" KILL
    grep -q 'Address already in use' "$dir/kafka.log" || break
  done
  fail "Kafka did not start: see $dir/kafka.log: $(tail -n 2 "$dir/kafka.log")"
}

# ---- both -----------------------------------------------------------------------------------------------------------

# postgres ends by SIGINT without waiting for its clients, Kafka by SIGTERM.
stop_server() {
  local server="$1" signal="${2:-}"
  if [[ -z "$signal" ]]; then
    case "$server" in
      postgres) signal=INT ;;
      kafka) signal=TERM ;;
    esac
  fi
  end_process "$dir/$server.pid" "$signal"
}

# At once. A postmaster that is killed would leave its shared memory behind; by SIGQUIT it ends without a checkpoint.
kill_servers() {
  local server
  for server in "$@"; do
    case "$server" in
      postgres) stop_server postgres QUIT ;;
      kafka) stop_server kafka KILL ;;
    esac
  done
}

check_server_name() {
  [[ "$1" == postgres || "$1" == kafka ]] || fail "there is no server \"$1\": it is postgres or kafka"
}

write_environment() {
  local postgres kafka
  postgres="$(cat "$dir/postgres.port")"
  kafka="$(cat "$dir/kafka.port")"
  {
    printf 'ASSENT_TEST_%s=%q\n' \
      DIR "$dir" \
      POSTGRES "host=127.0.0.1 port=$postgres user=assent" \
      POSTGRES_ADMIN "host=127.0.0.1 port=$postgres user=postgres" \
      POSTGRES_PID "$(living "$dir/postgres.pid")" \
      POSTGRES_BIN "$postgres_bin" \
      KAFKA "127.0.0.1:$kafka" \
      KAFKA_PID "$(living "$dir/kafka.pid")" \
      KAFKA_VERSION "$(cat "$dir/kafka.version")" \
      KAFKA_LIBS "$(kafka_libs)" \
      JAVA "$(find_java)"
  } >"$dir/env.new"
  mv "$dir/env.new" "$dir/env"
}

# Two at a time change one DIR in turn. The lock stands beside it, so that DIR can be removed, and the lock after it:
# who waited for a lock that is gone takes the next one. The mark in DIR says that it is ours to remove.
lock_dir() {
  mkdir -p "$dir"
  until [[ "$dir.lock" -ef /dev/fd/9 ]]; do
    exec 9>"$dir.lock"
    flock 9
  done
  mkdir -p "$dir"
  [[ -f "$dir/assent-servers" || -z "$(ls -A "$dir")" ]] || fail "$dir holds something else than servers of this script"
  touch "$dir/assent-servers"
}

start_missing() {
  local missing=() server jobs=() job failed=false
  for server in postgres kafka; do
    living "$dir/$server.pid" >/dev/null || missing+=("$server")
  done
  if ((${#missing[@]} == 0)); then
    say "already running in $dir"
    return 0
  fi
  say "starting ${missing[*]} in $dir"
  # Each in a process group of its own, so that an interruption ends it with whatever it waits in.
  trap 'for job in "${jobs[@]}"; do kill -TERM -- "-$job" 2>/dev/null || true; done; kill_servers "${missing[@]}"; exit 130' INT TERM
  set -m
  for server in "${missing[@]}"; do
    (start_"$server") &
    jobs+=($!)
  done
  set +m
  for job in "${jobs[@]}"; do
    wait "$job" || failed=true
  done
  trap - INT TERM
  ! $failed || { kill_servers "${missing[@]}" && exit 1; }
}

say_where() {
  say "PostgreSQL on 127.0.0.1:$(cat "$dir/postgres.port"), Kafka $(cat "$dir/kafka.version") on 127.0.0.1:$(cat "$dir/kafka.port")"
}

destroy() {
  kill_servers postgres kafka
  await_no_backend "$(readlink -f "$dir/postgres")/data"
  [[ ! -L "$dir/postgres" ]] || rm -rf "$(readlink -f "$dir/postgres")"
  rm -rf "$dir" "$dir.lock"
}

# Forgets users that have ended; true if one is left.
anybody_holds() {
  local user left=false
  for user in "$dir"/users/*; do
    if living "$user" >/dev/null; then
      left=true
    else
      rm -f "$user"
    fi
  done
  $left
}

# Waits for the users' end, in the background, and destroys the servers after the last.
watch_users() {
  local user pid
  while true; do
    for user in "$dir"/users/*; do
      ! pid="$(living "$user")" || tail --pid="$pid" -f /dev/null
    done
    lock_dir
    if ! anybody_holds; then
      destroy
      return
    fi
    exec 9>&-
  done
}

hold() {
  mkdir -p "$dir/users"
  remember_process "$dir/users/$1" "$1"
  if ! living "$dir/watch.pid" >/dev/null; then
    (trap '' INT TERM && exec >/dev/null 2>&1 </dev/null 9>&- && watch_users) &
    remember_process "$dir/watch.pid" $!
  fi
}

up() {
  lock_dir
  # First: whatever ends this script or its caller from here on, somebody cleans up.
  ! $holding || hold "$PPID"
  start_missing
  write_environment
  say_where
}

down() {
  if [[ ! -d "$dir" ]]; then
    say "nothing runs in $dir"
    return 0
  fi
  lock_dir
  if $holding; then
    rm -f "$dir/users/$PPID"
    if anybody_holds; then
      say "others still use $dir"
      return 0
    fi
    destroying=true
  fi
  if $destroying; then
    destroy
    say "stopped, and removed $dir"
  else
    stop_server postgres &
    stop_server kafka
    wait
    say "stopped; the data stays in $dir"
  fi
}

status() {
  local server pid all=0
  for server in postgres kafka; do
    if pid="$(living "$dir/$server.pid")"; then
      say "$server runs: pid $pid, 127.0.0.1:$(cat "$dir/$server.port")"
    else
      say "$server does not run"
      all=1
    fi
  done
  return "$all"
}

run() {
  [[ -f "$dir/env" ]] || fail "no servers in $dir: start them with deploy/local.sh up --dir $dir"
  set -a
  # shellcheck source=/dev/null
  source "$dir/env"
  set +a
  exec "$@"
}

[[ $# -gt 0 ]] || { usage >&2 && exit 2; }
command="$1"
shift
dir="$repository/.local/servers" holding=false destroying=false stop_signal=''
words=()
while (($# > 0)); do
  case "$1" in
    --dir) dir="${2:?--dir needs a folder}" && shift 2 ;;
    --hold) holding=true && shift ;;
    --destroy) destroying=true && shift ;;
    --kill) stop_signal=KILL && shift ;;
    --help | -h) usage && exit 0 ;;
    --) shift && words+=("$@") && break ;;
    -*) fail "there is no option $1: see $0 --help" ;;
    *) words+=("$1") && shift ;;
  esac
done
dir="$(realpath -m "$dir")"

case "$command" in
  up) up ;;
  down) down ;;
  status) status ;;
  stop)
    check_server_name "${words[0]:-}"
    lock_dir
    stop_server "${words[0]}" "$stop_signal"
    ;;
  start)
    check_server_name "${words[0]:-}"
    lock_dir
    living "$dir/${words[0]}.pid" >/dev/null || start_"${words[0]}"
    write_environment
    ;;
  topic)
    [[ -f "$dir/kafka.port" ]] || fail "no Kafka was started in $dir: deploy/local.sh up --dir $dir"
    "$python" "$kafka_folder/admin.py" "127.0.0.1:$(cat "$dir/kafka.port")" create-topic "${words[@]}"
    ;;
  port) choose_port /dev/null ;;
  run) run "${words[@]}" ;;
  --help | -h) usage ;;
  *) usage >&2 && exit 2 ;;
esac
