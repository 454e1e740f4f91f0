#!/usr/bin/env bash
# The PostgreSQL server for development and tests: database.sh up|down|reset|url DIRECTORY URL_FILE
#
# A Docker engine, where one answers, runs docker-compose.yml; otherwise the machine's own server binaries keep their
# data in DIRECTORY. URL_FILE holds the URL while the server is up.
set -euo pipefail

action=$1 directory=$2 url_file=$3
cd "$(dirname "$0")/../.."

say() { printf '%s\n' "$*" >&2; }

docker_answers() { command -v docker >/dev/null && docker info >/dev/null 2>&1 && docker compose version >/dev/null 2>&1; }

# initdb and postgres refuse to run as root.
as_owner() {
    if [ "$(id -u)" = 0 ]; then (cd / && setpriv --reuid="$(owner)" --regid="$(id -g "$(owner)")" --clear-groups -- "$@"); else "$@"; fi
}

owner() { if id -u postgres >/dev/null 2>&1; then echo postgres; else echo nobody; fi; }

server_binaries() {
    local found candidate
    for candidate in $(ls -d /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin 2>/dev/null | sort -rV); do
        if [ -x "$candidate/initdb" ]; then echo "$candidate"; return; fi
    done
    if found=$(command -v initdb); then dirname "$(realpath "$found")"; return; fi
    say "There is no Docker engine and no PostgreSQL server on this machine. Install one of them, for example:"
    if [ "$(uname)" = Darwin ]; then say "    brew install postgresql@15"; else say "    sudo apt-get install --yes postgresql"; fi
    return 1
}

free_port() {
    local port
    for port in 5432 $(seq 54320 54399); do
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then echo "$port"; return; fi
    done
    say "All ports tried are taken: 5432 and 54320 to 54399."
    return 1
}

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
        rm -rf "$directory"
        mkdir -p "$directory"
        chmod 755 "$directory"
        echo password >"$directory/password"
        [ "$(id -u)" != 0 ] || chown -R "$(owner)" "$directory"
        as_owner "$bin/initdb" --pgdata="$directory/data" --username=better_auth --pwfile="$directory/password" \
            --auth=scram-sha-256 --encoding=UTF8 --no-locale >/dev/null
    fi
    port=$(free_port)
    # A lost crash costs development data only; fsync would make every test database slow.
    as_owner "$bin/pg_ctl" start --pgdata="$directory/data" --wait --timeout=60 --log="$directory/log" \
        --options="-p $port -h localhost -k '$directory' -c fsync=off -c max_connections=200" >/dev/null || {
        say "PostgreSQL did not start; the end of its log, $directory/log:"
        tail -n 5 "$directory/log" >&2
        return 1
    }
}

down() {
    rm -f "$url_file"
    if docker_answers; then
        docker compose down "$@" >&2
    elif [ -d "$directory/data" ]; then
        local bin
        bin=$(server_binaries)
        if server_runs; then as_owner "$bin/pg_ctl" stop --pgdata="$directory/data" --mode=fast >/dev/null; fi
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
