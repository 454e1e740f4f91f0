#!/usr/bin/env bash
# Runs the benchmarks on a PostgreSQL server of their own: run.sh table|scale|delete|shared|sessions|cache|organizations|credentials [--OPTION VALUE]…
set -euo pipefail

cd "$(dirname "$0")/../.."
source scripts/servers.bash

manifest=benches/peers/Cargo.toml
# `just bench-check` only sees that it runs, for which a build without optimization does.
profile=${PEERS_PROFILE:-release}
cargo build --quiet --profile "$profile" --locked --manifest-path "$manifest"
# The crate that is never compiled is there for these files.
PEERS_MIGRATIONS=$(cargo metadata --locked --format-version 1 --manifest-path "$manifest" |
    sed -n 's|.*"manifest_path":"\([^"]*/better-auth-0\.9\.0\)/Cargo\.toml".*|\1/migrations|p')

PEERS_BINARIES=$(server_binaries)
directory=$(mktemp -d)
port=$(free_port)
trap 'stop_server "$PEERS_BINARIES" "$directory" immediate 2>/dev/null || true; rm -rf "$directory"' EXIT
init_server "$PEERS_BINARIES" "$directory" peers
# Memory for all rows, and checkpoints far apart; everything else is PostgreSQL's default.
case ${1:-} in scale) memory=12GB ;; *) memory=4GB ;; esac
start_server "$PEERS_BINARIES" "$directory" "$port" -c max_wal_size=8GB \
    -c "shared_buffers=${PEERS_SHARED_BUFFERS:-$memory}"

export PEERS_MIGRATIONS PEERS_BINARIES PEERS_SERVER=postgresql://peers:password@localhost:$port
cargo run --quiet --profile "$profile" --locked --manifest-path "$manifest" -- "$@"
