#!/usr/bin/env bash
# Shows, on a real PostgreSQL and a real Kafka, that an order and its event are never one without the other.
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: deploy/demo.sh [--keep] [--orders N]

Installs what is missing, builds, starts a private PostgreSQL, a real Kafka broker and assentd, and runs the order service
of client/examples/ through four scenes. After each, readers that know nothing of Assent say what they see: psql, and kcat
as a read_committed consumer. Exit 0 only if they agree. Everything is stopped and removed at the end.

  --keep       leave everything running, and print how to talk to it
  --orders N   how many orders the last scene places (3000)
HELP
}

keep=false orders=3000 kills=5
while (($# > 0)); do
  case "$1" in
    --keep) keep=true && shift ;;
    --orders) orders="${2:?--orders needs a number}" && shift 2 ;;
    --help | -h) usage && exit 0 ;;
    *) usage >&2 && exit 2 ;;
  esac
done

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
assentd="$root/build/release/coordinator/server/assentd"
order_service="$root/build/release/client/order_service"
patience_seconds=60
first_loaded_id=1000 # ids of the last scene; the others use 1, 2 and 3

say() { echo "demo: $*"; }
scene() { printf '\n%s\n' "$*"; }
told() { echo "   $*"; }
fail() {
  echo "demo: FAILED: $*" >&2
  exit 1
}

# ---- what runs ------------------------------------------------------------------------------------------------------

mkdir -p "$root/.local"
dir="$(mktemp -d "$root/.local/demo.XXXXXX")"
# PostgreSQL's own user must get through, where root runs this.
chmod 755 "$dir"
servers="$dir/servers"
coordinator_pid=''
service_pid=''

clean_up() {
  local code=$?
  if $keep && ((code == 0)); then return; fi
  ((code == 0)) || [[ ! -f "$dir/assentd.log" ]] || { say "the last words of assentd:" && tail -n 15 "$dir/assentd.log"; } >&2
  [[ -z "$service_pid" ]] || kill -KILL "$service_pid" 2>/dev/null || true
  [[ -z "$coordinator_pid" ]] || kill -KILL "$coordinator_pid" 2>/dev/null || true
  "$root/deploy/local.sh" down --destroy --dir "$servers" >/dev/null 2>&1 || true
  rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# Runs a command until it succeeds; gives up after `patience_seconds`.
await() {
  local what="$1" end=$((SECONDS + patience_seconds))
  shift
  until "$@"; do
    ((SECONDS < end)) || fail "waited $patience_seconds s in vain for $what"
    sleep 0.05
  done
}

listen="127.0.0.1:$("$root/deploy/local.sh" port)" # the same after each restart
start_coordinator() {
  rm -f "$dir/address"
  setsid "$assentd" --config "$dir/assentd.toml" --listen "$listen" --address-file "$dir/address" \
    >>"$dir/assentd.log" 2>&1 </dev/null &
  coordinator_pid=$!
  disown "$coordinator_pid"
  echo "$coordinator_pid" >"$dir/assentd.pid"
  await "assentd to serve" coordinator_serves_or_ended
  [[ -f "$dir/address" ]] || fail "assentd ended instead of serving"
}
coordinator_serves_or_ended() { [[ -f "$dir/address" ]] || ! kill -0 "$coordinator_pid" 2>/dev/null; }

kill_coordinator() {
  kill -KILL "$coordinator_pid"
  await "assentd to be gone" coordinator_is_gone
}
# Gone with all its threads: the last one holds its port and its data folder.
coordinator_is_gone() { ! grep -q -s '^State:[[:space:]]*[^ZX]' /proc/"$coordinator_pid"/task/*/status; }

write_configuration() {
  cat >"$dir/assentd.toml" <<TOML
coordinator = "demo"
data_dir = "$dir/decisions"

[[participant]]
name = "orders-db"
type = "postgres"
conninfo = "$ASSENT_TEST_POSTGRES dbname=orders"

[[participant]]
name = "events"
type = "kafka"
bootstrap_servers = ["$ASSENT_TEST_KAFKA"]
TOML
}

serve_scene() { "$order_service" --coordinator "$listen" "$@"; }

# ---- the independent readers ----------------------------------------------------------------------------------------

sql() { psql -X -q -A -t -d "$ASSENT_TEST_POSTGRES dbname=orders" -c "$1"; }
order_ids() { sql 'SELECT id FROM orders' | sort; }
event_ids() {
  kcat -C -q -e -b "$ASSENT_TEST_KAFKA" -t orders -o beginning -X isolation.level=read_committed -f '%k\n' 2>/dev/null | sort
}

in_words() {
  case "$1" in
    0) echo never ;;
    1) echo once ;;
    *) echo "$1 times" ;;
  esac
}

# Says what both see of one order, and fails where it is not what it must be.
expect_seen() {
  local id="$1" times="$2" rows events
  rows="$(order_ids | grep -c -x "$id" || true)"
  events="$(event_ids | grep -c -x "$id" || true)"
  told "psql sees order $id $(in_words "$rows"); a read_committed consumer sees its event $(in_words "$events")"
  [[ "$rows" == "$times" && "$events" == "$times" ]] || fail "each should be $times"
}

nothing_is_open() {
  [[ "$(sql "SELECT (SELECT count(*) FROM pg_prepared_xacts) + (SELECT count(*) FROM pg_stat_activity
    WHERE application_name LIKE 'assent/%' AND state LIKE 'idle in transaction%')")" == 0 ]]
}

readers_agree() {
  order_ids >"$dir/orders.seen"
  event_ids >"$dir/events.seen"
  cmp -s "$dir/orders.seen" "$dir/events.seen"
}

# ---- the scenes -----------------------------------------------------------------------------------------------------

scene_commit() {
  scene "1. An order and its event commit together"
  told "$(serve_scene --scene commit --first-id 1)"
  expect_seen 1 1
}

scene_violate() {
  scene "2. An order of nothing violates a constraint: neither exists"
  told "$(serve_scene --scene violate --first-id 2)"
  expect_seen 2 0
}

scene_die() {
  scene "3. The service dies before Commit: neither exists, soon, by itself"
  told "$(serve_scene --scene die --first-id 3)"
  local started=$SECONDS
  await "PostgreSQL to have no transaction open" nothing_is_open
  told "$((SECONDS - started)) s later PostgreSQL holds no lock and no transaction of it any more"
  expect_seen 3 0
}

acknowledged() { wc -l <"$dir/acknowledged" 2>/dev/null || echo 0; }
acknowledged_at_least() { (($(acknowledged) >= $1)) || ! kill -0 "$service_pid" 2>/dev/null; }

scene_load() {
  scene "4. $orders orders, while assentd is killed with SIGKILL and restarted $kills times"
  touch "$dir/acknowledged"
  serve_scene --scene load --first-id "$first_loaded_id" --orders "$orders" --ack-file "$dir/acknowledged" \
    >"$dir/load.log" 2>&1 &
  service_pid=$!
  local kill_number
  for ((kill_number = 1; kill_number <= kills; kill_number++)); do
    await "more orders to be acknowledged" acknowledged_at_least $((orders * kill_number / (kills + 1)))
    kill_coordinator
    told "killed assentd when $(acknowledged) orders were acknowledged, and started it again"
    start_coordinator
  done
  wait "$service_pid" || told "some orders were not acknowledged"
  service_pid=''
  told "$(tail -n 1 "$dir/load.log")"
  judge_load
}

judge_load() {
  await "both readers to see the same orders" readers_agree
  await "PostgreSQL to have no transaction open" nothing_is_open
  local placed events twice missing
  placed="$(wc -l <"$dir/orders.seen")"
  events="$(wc -l <"$dir/events.seen")"
  twice="$(uniq -d "$dir/events.seen" | wc -l)"
  missing="$(sort "$dir/acknowledged" | comm -23 - "$dir/orders.seen" | wc -l)"
  # Order 1 is there since the first scene.
  told "psql sees $((placed - 1)) of these orders, the consumer $((events - 1)) events, $twice of them twice"
  told "$(acknowledged) orders were acknowledged, and $missing of them have no order or no event"
  ((twice == 0 && missing == 0)) || fail "an acknowledged order must have exactly its one event"
  (($(acknowledged) == orders)) || fail "of $orders orders only $(acknowledged) were acknowledged"
}

# ---- all of it ------------------------------------------------------------------------------------------------------

say "installing what is missing"
"$root/deploy/install.sh"
say "building assentd and the order service"
mkdir -p "$root/build"
(cd "$root" && cmake --preset release >build/release.configure.log &&
  cmake --build build/release --parallel "$(nproc)" --target assentd order_service -- --quiet)
"$root/deploy/local.sh" up --dir "$servers"
# shellcheck source=/dev/null
source "$servers/env"
sql 'CREATE TABLE orders (id bigint PRIMARY KEY, item text, quantity int CHECK (quantity > 0))'
"$root/deploy/local.sh" topic --dir "$servers" orders 3
write_configuration
start_coordinator
say "assentd serves on $listen"

scene_commit
scene_violate
scene_die
scene_load

printf '\n'
say "the readers agree"
if $keep; then
  cat <<KEPT

Everything keeps running, in ${dir#"$root/"}:
  psql '$ASSENT_TEST_POSTGRES dbname=orders'
  kcat -C -b $ASSENT_TEST_KAFKA -t orders -X isolation.level=read_committed
  build/release/client/order_service --coordinator $listen --scene commit --first-id 4
To stop it:
  kill $coordinator_pid; deploy/local.sh down --destroy --dir ${servers#"$root/"}; rm -r ${dir#"$root/"}
KEPT
fi
