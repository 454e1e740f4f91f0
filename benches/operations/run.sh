#!/usr/bin/env bash
# Measures what an operator waits for, with the program and a PostgreSQL server of its own, and sees that nothing is missing
# and nothing is there twice: run.sh [--sessions N] [--users N] [--output FOLDER]
set -euo pipefail

cd "$(dirname "$0")/../.."
source scripts/servers.bash

sessions=5000000 users=1000000 output=docs/performance
while [ $# -gt 0 ]; do
    case $1 in
    --sessions) sessions=$2 ;;
    --users) users=$2 ;;
    --output) output=$2 ;;
    *) say "there is no option $1 here" && exit 2 ;;
    esac
    shift 2
done

cargo build --quiet --release --locked --features cli --bin better-auth
program=$(realpath "$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release/better-auth")

binaries=$(server_binaries)
directory=$(mktemp -d)
work=$(mktemp -d)
port=$(free_port)
trap 'stop_server "$binaries" "$directory" immediate 2>/dev/null || true; rm -rf "$directory" "$work"' EXIT
init_server "$binaries" "$directory" operator
start_server "$binaries" "$directory" "$port" -c max_wal_size=8GB -c "shared_buffers=${SHARED_BUFFERS:-1GB}"
server=postgresql://operator:password@localhost:$port

sql() { "$binaries/psql" --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 "$server/$1" "${@:2}"; }

number() { sql "$1" --command "$2"; }

# same WHAT FOUND EXPECTED: ends the run if they differ.
same() {
    [ "$2" = "$3" ] || { say "$1: found $2, expected $3" && exit 1; }
}

rows=()

thousands() { printf '%s\n' "$1" | sed ':again; s/\([0-9]\)\([0-9]\{3\}\)\($\|,\)/\1,\2\3/; t again'; }

# timed WHAT ROWS NOTE DATABASE COMMAND…: runs the program, and adds a line to the table. `$progress` is how often it told
# of its progress.
timed() {
    local what=$1 count=$2 note=$3 database=$4 begun ended seconds
    shift 4
    say "$what"
    begun=$(date +%s.%N)
    DATABASE_URL=$server/$database "$program" "$@" >"$work/out" 2>"$work/err" || {
        cat "$work/out" "$work/err" >&2
        exit 1
    }
    ended=$(date +%s.%N)
    progress=$(wc -l <"$work/err")
    seconds=$(awk "BEGIN { printf \"%.1f\", $ended - $begun }")
    local rate
    rate=$(awk "BEGIN { printf \"%.0f\", $count / ($ended - $begun) }")
    rows+=("| $what | $(thousands "$count") | $seconds | $(thousands "$rate") | $progress | $note |")
    last_seconds=$seconds
}

# killed SECONDS DATABASE COMMAND…: runs the program, and ends it by `kill -9` at a random moment of that time.
killed() {
    local limit=$1 database=$2 moment
    shift 2
    moment=$(awk "BEGIN { srand($RANDOM * 32768 + $RANDOM); printf \"%.2f\", $limit * (0.1 + 0.8 * rand()) }")
    DATABASE_URL=$server/$database "$program" "$@" >"$work/out" 2>"$work/err" &
    local process=$!
    sleep "$moment"
    if kill -9 "$process" 2>/dev/null; then
        killed_after="killed after $moment s"
    else
        killed_after="ended before it could be killed after $moment s"
    fi
    wait "$process" 2>/dev/null || true
}

# --- Sessions: tables that were made by hand, without our indexes; half of the sessions have expired.
say "making $(thousands "$sessions") sessions"
sql postgres --command 'CREATE DATABASE sessions'
sql sessions --file tests/support/page.sql
sql sessions <<SQL
SET synchronous_commit = off;
INSERT INTO users (id, email) SELECT 'user' || i, 'user' || i || '@example.com' FROM generate_series(1, GREATEST($sessions / 5, 1)) AS i;
SET session_replication_role = replica;
INSERT INTO sessions (id, token, user_id, expires_at, ip_address, user_agent, created_at)
SELECT gen_random_uuid(), 'Zm9yIGJlbmNobWFya3Mgb25seS0' || md5(i::TEXT), 'user' || (i % GREATEST($sessions / 5, 1) + 1),
    now() + (CASE WHEN i % 2 = 0 THEN 1 ELSE -1 END) * (INTERVAL '1 day' + i * INTERVAL '1 ms'), '192.0.2.1',
    'Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0', now() - i * INTERVAL '1 ms'
FROM generate_series(1, $sessions) AS i;
SQL
sql sessions --command 'VACUUM ANALYZE' --command CHECKPOINT
live=$((sessions / 2))

timed "\`migrate\`" "$sessions" "builds all indexes" sessions migrate
same "migrations that are missing" "$(DATABASE_URL=$server/sessions "$program" status --json | grep -c '"upToDate": true')" 1

killed "$(awk "BEGIN { print $last_seconds }")" sessions hash-tokens
say "hash-tokens: $killed_after"
hashed=$(number sessions "SELECT count(*) FROM sessions WHERE token LIKE 'sha256:%'")
timed "\`hash-tokens\`, again" "$((sessions - hashed))" "$killed_after, with $(thousands "$hashed") hashed" sessions hash-tokens
same "sessions after hashing" "$(number sessions 'SELECT count(*) FROM sessions')" "$sessions"
same "plain tokens" "$(number sessions "SELECT count(*) FROM sessions WHERE token NOT LIKE 'sha256:%'")" 0
same "digests" "$(number sessions "SELECT count(*) FROM sessions WHERE token = 'sha256:' || encode(sha256(convert_to('Zm9yIGJlbmNobWFya3Mgb25seS0' || md5('2'), 'UTF8')), 'hex')
    OR token = 'sha256:' || rtrim(translate(encode(sha256(convert_to('Zm9yIGJlbmNobWFya3Mgb25seS0' || md5('2'), 'UTF8')), 'base64'), '+/', '-_'), '=')")" 1

timed "\`clean-up\`" "$((sessions - live))" "half of the sessions" sessions clean-up
same "live sessions" "$(number sessions 'SELECT count(*) FROM sessions WHERE expires_at > now()')" "$live"
same "sessions after the cleanup" "$(number sessions 'SELECT count(*) FROM sessions')" "$live"
sql postgres --command 'DROP DATABASE sessions'

# --- Import: users with an account and two sessions each.
say "making $(thousands "$users") users of Better Auth (TypeScript)"
sql postgres --command 'CREATE DATABASE source' --command 'CREATE DATABASE whole' --command 'CREATE DATABASE cut'
sql source --file tests/support/typescript.sql
sql source <<SQL
SET synchronous_commit = off;
INSERT INTO "user" (id, name, email, "emailVerified", image)
SELECT md5(i::TEXT), 'Ada Lovelace ' || i, 'ada.lovelace.' || i || '@example.com', i % 2 = 0, 'https://images.example.com/avatars/' || i
FROM generate_series(1, $users) AS i;
SET session_replication_role = replica;
INSERT INTO account (id, "accountId", "providerId", "userId", password, "updatedAt")
SELECT md5('a' || i), md5(i::TEXT), 'credential', md5(i::TEXT), md5(i::TEXT) || ':' || repeat(md5(i::TEXT), 4), now()
FROM generate_series(1, $users) AS i;
INSERT INTO session (id, "expiresAt", token, "updatedAt", "userId", "ipAddress", "userAgent")
SELECT md5('s' || i), now() + INTERVAL '7 days', md5('t' || i), now(), md5((i % $users + 1)::TEXT), '192.0.2.1',
    'Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0'
FROM generate_series(1, 2 * $users) AS i;
SQL
sql source --command 'VACUUM ANALYZE' --command CHECKPOINT
all=$((4 * users))
export IMPORT_URL=$server/source

timed "\`import --dry-run\`" "$all" "into an empty database" whole import --dry-run
timed "\`import\`" "$all" "users, accounts and two sessions each" whole import
killed "$last_seconds" cut import
say "import: $killed_after"
stored=0
[ -z "$(number cut "SELECT to_regclass('users')")" ] ||
    stored=$(number cut 'SELECT (SELECT count(*) FROM users) + (SELECT count(*) FROM accounts) + (SELECT count(*) FROM sessions)')
timed "\`import\`, again" "$all" "$killed_after, with $(thousands "$stored") rows stored" cut import
timed "\`import --verify\`" "$all" "compares every row" cut import --verify
for database in whole cut; do
    for table in users:1 accounts:1 sessions:2; do
        same "$database: ${table%:*}" "$(number $database "SELECT count(*) FROM ${table%:*}")" "$((${table#*:} * users))"
    done
    same "$database: users without an account" \
        "$(number $database 'SELECT count(*) FROM users WHERE NOT EXISTS (SELECT FROM accounts WHERE user_id = users.id)')" 0
done
# The same rows, whether the import was cut or not.
fingerprint() {
    number "$1" "SELECT md5(string_agg(md5(s.id || s.token || s.user_id || u.email), '' ORDER BY s.id)) FROM sessions s JOIN users u ON u.id = user_id"
}
same "rows of both imports" "$(fingerprint cut)" "$(fingerprint whole)"

mkdir -p "$output"
{
    cat <<MARKDOWN
<!-- Written by \`just bench-operations\`; not to be edited. -->

# What operators wait for

The program \`better-auth\`, release build, on a server of its own. Some runs were ended by \`kill -9\` at a random
moment, and started again. The recipe checks that afterwards nothing is missing and nothing is there twice.
*Told* is the number of lines of progress that the run printed.

- Machine: $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores
- PostgreSQL: $(number postgres 'SHOW server_version'), over loopback TCP; fsync = off, shared_buffers = ${SHARED_BUFFERS:-1GB}
- Compiler: $(rustc --version)
- Commit: $(git rev-parse --short HEAD)$([ -z "$(git status --porcelain -- . ':!docs/performance')" ] || echo ' with changes')
- Date: $(date -u +%F)

| what | rows | seconds | rows per second | told | |
|---|--:|--:|--:|--:|---|
MARKDOWN
    printf '%s\n' "${rows[@]}"
} >"$output/operations.md"
cat "$output/operations.md"
