#!/usr/bin/env bash
# Runs the benchmark on a PostgreSQL server of its own: run.sh [--OPTION VALUE]…
set -euo pipefail

cd "$(dirname "$0")/../.."
source scripts/servers.bash

benches/telemetry/copies.sh
build=(--quiet --release --manifest-path benches/telemetry/Cargo.toml --target-dir target/telemetry)
cargo build "${build[@]}"

binaries=$(server_binaries)
directory=$(mktemp -d)
port=$(free_port)
trap 'stop_server "$binaries" "$directory" immediate 2>/dev/null || true; rm -rf "$directory"' EXIT
init_server "$binaries" "$directory" peers
start_server "$binaries" "$directory" "$port" -c max_wal_size=8GB -c "shared_buffers=${PEERS_SHARED_BUFFERS:-1GB}"

# There are no peers here.
export PEERS_MIGRATIONS=/nonexistent PEERS_BINARIES=$binaries PEERS_SERVER=postgresql://peers:password@localhost:$port
cargo run "${build[@]}" -- "$@"
