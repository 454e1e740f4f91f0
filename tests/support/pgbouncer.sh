#!/usr/bin/env bash
# Runs the quickstart and a migration through a stock PgBouncer in session mode: pgbouncer.sh URL
set -euo pipefail

url=$1
cd "$(dirname "$0")/../.."
command -v pgbouncer >/dev/null || { echo "Install PgBouncer first:  sudo apt-get install --yes pgbouncer" >&2; exit 1; }

server_port=$(sed 's|.*:\([0-9]*\)/.*|\1|' <<<"$url")
port=$((server_port + 10000))
directory=$(mktemp -d)
chmod 755 "$directory"
cat >"$directory/pgbouncer.ini" <<INI
[databases]
* = host=localhost port=$server_port user=better_auth password=password
[pgbouncer]
listen_addr = localhost
listen_port = $port
auth_type = any
unix_socket_dir =
logfile = $directory/log
INI
run=()
if [ "$(id -u)" = 0 ]; then
    chown -R nobody "$directory"
    run=(setpriv --reuid=nobody --clear-groups)
fi
"${run[@]}" pgbouncer "$directory/pgbouncer.ini" 2>"$directory/errors" &
pgbouncer=$!
trap 'kill $pgbouncer; rm -rf "$directory"' EXIT
for _ in $(seq 50); do
    (exec 3<>"/dev/tcp/localhost/$port") 2>/dev/null && break
    sleep 0.1
done
DATABASE_URL=postgresql://better_auth@localhost:$port/better_auth cargo run --quiet --example quickstart --features sqlx-postgres
echo "PgBouncer $(pgbouncer --version | head -n 1 | cut -d' ' -f2) in session mode: passed"
