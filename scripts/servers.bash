# What the scripts that start PostgreSQL servers share; for `source`.

say() { printf '%s\n' "$*" >&2; }

owner() { if id -u postgres >/dev/null 2>&1; then echo postgres; else echo nobody; fi; }

# initdb, postgres and pgbouncer refuse to run as root.
as_owner() {
    if [ "$(id -u)" = 0 ]; then (cd / && setpriv --reuid="$(owner)" --regid="$(id -g "$(owner)")" --clear-groups -- "$@"); else "$@"; fi
}

# owned_directory DIRECTORY: an empty one that the owner may write to.
owned_directory() {
    rm -rf "$1"
    mkdir -p "$1"
    chmod 755 "$1"
    [ "$(id -u)" != 0 ] || chown "$(owner)" "$1"
}

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

port_answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# PostgreSQL's own, or one below those that kernels give to clients: a client may have any of those at any time.
free_port() {
    local port
    for port in 5432 $(seq 14320 14399); do
        if ! port_answers "$port"; then echo "$port"; return; fi
    done
    say "All ports tried are taken: 5432 and 14320 to 14399."
    return 1
}

# icu_locale BINARIES: the options of initdb for a locale in which the lower case of I is not i, if the server has ICU.
icu_locale() {
    if "$1/pg_config" --configure 2>/dev/null | grep -q -e --with-icu && "$1/initdb" --help | grep -q -e --icu-locale; then
        echo --locale-provider=icu --icu-locale=tr-TR
    fi
}

# init_server BINARIES DIRECTORY USER [OPTION…]
#
# An empty cluster in DIRECTORY/data, whose superuser has the password `password`; the options are initdb's.
init_server() {
    local bin=$1 directory=$2 user=$3
    shift 3
    owned_directory "$directory"
    as_owner sh -c "echo password >'$directory/password'"
    as_owner "$bin/initdb" --pgdata="$directory/data" --username="$user" --pwfile="$directory/password" \
        --auth=scram-sha-256 --encoding=UTF8 --no-locale --no-sync "$@" >/dev/null
}

# hash_password_once BINARIES DIRECTORY USER
#
# Of a cluster that init_server has just made. Tests open thousands of connections, each of which hashes the password as
# often as its verifier says, by default 4,096 times. This is the verifier of `password` for once.
hash_password_once() {
    local verifier='SCRAM-SHA-256$1:MDEyMzQ1Njc4OWFiY2RlZg==$P5e1oD5NZsmvQ1SmsY/OmUXXYn2u1KcSsn/8+rFzIJI=:inuWo0JrOQBdgToqdnAHK4iLAdwZVtef1VqKNM/WSNY='
    echo "ALTER ROLE $3 PASSWORD '$verifier'" | as_owner "$1/postgres" --single -D "$2/data" -c log_checkpoints=off postgres >/dev/null
}

# start_server BINARIES DIRECTORY PORT [OPTION…]
#
# A lost crash costs test data only; fsync would make every test database slow.
start_server() {
    local bin=$1 directory=$2 port=$3
    shift 3
    as_owner "$bin/pg_ctl" start --pgdata="$directory/data" --wait --timeout=60 --log="$directory/log" \
        --options="-p $port -h localhost -k '$directory' -c fsync=off -c max_connections=200 $*" >/dev/null || {
        say "PostgreSQL did not start; the end of its log, $directory/log:"
        tail -n 5 "$directory/log" >&2
        return 1
    }
}

stop_server() { as_owner "$1/pg_ctl" stop --pgdata="$2/data" --mode="${3:-fast}" >/dev/null; }
