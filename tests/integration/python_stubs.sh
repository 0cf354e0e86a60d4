#!/usr/bin/env bash
# Generates the API's Python stubs from the protos, into OUT: python_stubs.sh OUT. grpcio comes from PyPI, into a virtual
# environment of this repository's .local.
set -euo pipefail

case "${1:-}" in
  '' | --help | -h) echo "Usage: tests/integration/python_stubs.sh OUT" && exit 0 ;;
esac
out="$1"
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$(dirname "$(dirname "$here")")"
python="$root/.local/python"

mkdir -p "$root/.local"
exec 9>"$python.lock"
flock 9
if ! cmp -s "$here/requirements.txt" "$python/installed.txt"; then
  rm -rf "$python"
  /usr/bin/python3 -m venv "$python"
  "$python/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
  cp "$here/requirements.txt" "$python/installed.txt"
fi
mkdir -p "$out"
"$python/bin/python" -m grpc_tools.protoc -I "$root/proto" --python_out="$out" --grpc_python_out="$out" \
  "$root"/proto/assent/v1/*.proto
