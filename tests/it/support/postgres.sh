#!/usr/bin/env bash
# Runs a PostgreSQL cluster of its own until its standard input is closed, without a trace on the machine.
#
#   postgres.sh PORT [SETTING...]      such as fsync=off
#
# Says the folder in which it lives once it takes connections on 127.0.0.1:PORT: the superuser is tollbell, nobody is asked
# for a password. Runs as `nobody` where it is started by root, for PostgreSQL refuses that.
set -euo pipefail

port=$1
shift
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
[ -x "$bin/postgres" ] || {
  echo "PostgreSQL is missing: run scripts/tools.sh" >&2
  exit 1
}
folder=$(mktemp -d --suffix=.tollbell-postgres)
as=()
if [ "$(id -u)" = 0 ]; then
  chown nobody "$folder"
  as=(setpriv --reuid nobody --regid "$(id -g nobody)" --clear-groups)
fi
cd "$folder"
trap '"${as[@]}" "$bin/pg_ctl" -D "$folder/data" -m immediate stop >/dev/null 2>&1 || true; rm -rf "$folder"' EXIT
trap exit INT TERM HUP
"${as[@]}" "$bin/initdb" -D data -U tollbell -A trust -E UTF8 --locale=C --no-instructions >initdb.log 2>&1 || {
  cat initdb.log >&2
  exit 1
}
{
  echo "port = $port"
  echo "listen_addresses = '127.0.0.1'"
  echo "unix_socket_directories = ''"
  echo "max_connections = 300"
  echo "shared_buffers = 32MB"
  printf '%s\n' "$@"
} >>data/postgresql.conf
"${as[@]}" "$bin/pg_ctl" -D data -l "$folder/data/log" -w -t 60 start >/dev/null || {
  cat data/log >&2
  exit 1
}
echo "$folder"
# Until whoever started this has ended.
cat >/dev/null
