#!/usr/bin/env bash
# The PostgreSQL server for development and tests: database.sh up|down|reset|url DIRECTORY URL_FILE
#
# A Docker engine, where one answers, runs docker-compose.yml; otherwise the machine's own server binaries keep their
# data in DIRECTORY. URL_FILE holds the URL while the server is up.
set -euo pipefail

action=$1 directory=$2 url_file=$3
cd "$(dirname "$0")/.."

source scripts/servers.bash

docker_answers() { command -v docker >/dev/null && docker info >/dev/null 2>&1 && docker compose version >/dev/null 2>&1; }

url_for() { echo "postgresql://better_auth:password@localhost:$1/better_auth"; }

server_runs() { [ -n "${bin:=$(server_binaries)}" ] && [ -d "$directory/data" ] && as_owner "$bin/pg_ctl" status -D "$directory/data" >/dev/null 2>&1; }

up_docker() {
    local port
    port=$(docker compose port postgres 5432 2>/dev/null | sed 's/.*://' || true)
    if [ -z "$port" ] || [ "$port" = 0 ]; then port=$(free_port); fi
    POSTGRES_PORT=$port docker compose up --detach --wait >&2
    url_for "$port" >"$url_file"
}

up_binaries() {
    local bin port
    bin=$(server_binaries)
    if server_runs; then
        port=$(sed -n 4p "$directory/data/postmaster.pid")
    else
        start_binaries
    fi
    if [ ! -f "$directory/ready" ]; then
        # Another interrupted start may have come as far as this.
        PGPASSWORD=password "$bin/createdb" --host=localhost --port="$port" --username=better_auth better_auth ||
            PGPASSWORD=password "$bin/psql" --host=localhost --port="$port" --username=better_auth --command='' better_auth
        as_owner touch "$directory/ready"
    fi
    url_for "$port" >"$url_file"
}

start_binaries() {
    if [ ! -f "$directory/ready" ]; then
        init_server "$bin" "$directory" better_auth $(icu_locale "$bin")
        hash_password_once "$bin" "$directory" better_auth
    fi
    port=$(free_port)
    start_server "$bin" "$directory" "$port"
}

down() {
    rm -f "$url_file"
    if docker_answers; then
        docker compose down "$@" >&2
    elif [ -d "$directory/data" ]; then
        local bin
        bin=$(server_binaries)
        if server_runs; then stop_server "$bin" "$directory"; fi
    fi
}

case $action in
up)
    if docker_answers; then up_docker; else up_binaries; fi
    echo "PostgreSQL is up: $(cat "$url_file")"
    ;;
down)
    down
    ;;
reset)
    down --volumes
    rm -rf "$directory"
    "$0" up "$directory" "$url_file"
    ;;
url)
    if [ -f "$url_file" ]; then
        cat "$url_file"
    elif [ -n "${DATABASE_URL:-}" ]; then
        echo "$DATABASE_URL"
    else
        say "There is no database to run on. Start one:  just db-up"
        exit 1
    fi
    ;;
*)
    say "usage: $0 up|down|reset|url DIRECTORY URL_FILE"
    exit 2
    ;;
esac
