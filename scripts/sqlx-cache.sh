#!/usr/bin/env bash
# Keeps .sqlx and the expected schema in step with the statements and the migrations: sqlx-cache.sh prepare|check|test URL
#
# URL names any database of a server on which databases may be created.
set -euo pipefail

action=$1 url=$2
cd "${SQLX_CACHE_PROJECT:-$(dirname "$0")/..}"

target=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')

if ! cargo sqlx --version 2>/dev/null | grep -q ' 0\.9\.'; then
    echo "sqlx-cli 0.9 is missing. Install it:" >&2
    echo "    cargo install sqlx-cli --version 0.9.0 --locked --no-default-features --features postgres,sqlx-toml" >&2
    exit 1
fi

# sqlx.toml names the variable.
export BETTER_AUTH_SQLX_PREPARE_URL="${url%/*}/better_auth_sqlx_cache"

fresh_database() {
    cargo sqlx database reset -y >/dev/null
    # Statements name tables that no migration makes: those that `import` reads, and those that record the stores'.
    cargo sqlx migrate run --source scripts/unmigrated_tables --ignore-missing >/dev/null
}

# expected_schema write|compare: the schema that check_schema expects, from a database that a test migrates.
expected_schema() {
    env --unset=BETTER_AUTH_SQLX_PREPARE_URL DATABASE_URL="$url" EXPECTED_SCHEMA="$1" \
        cargo test --quiet --workspace --features axum,conformance,sqlx-postgres --test expected_schema
}

# Leaves the entries of the statements as they are in $target/sqlx-prepare-check.
entries() {
    fresh_database
    rm -rf "$target/sqlx-prepare-check"
    # It fails where entries differ, but only warns of those that no statement has any more: `same_entries` decides.
    cargo sqlx prepare --check -- --package better-auth --features conformance,cli || true
}

same_entries() {
    diff --recursive --brief "${1:-.sqlx}" "$target/sqlx-prepare-check"
}

check() {
    entries && same_entries && expected_schema compare
}

# refuses WHAT COMMAND: the check of the entries, on a copy of the project that the command has changed.
refuses() {
    local copy outcome=0
    copy=$(mktemp -d)
    git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$copy"
    (cd "$copy" && eval "$2")
    SQLX_CACHE_PROJECT=$copy CARGO_TARGET_DIR=$target "$script" entries "$url" >"$copy.log" 2>&1 || outcome=1
    tail -n 2 "$copy.log"
    rm -rf "$copy" "$copy.log"
    refused "$1" $outcome
}

# Of the entries alone, without compiling the statements again.
refuses_entries() {
    local copy outcome=0
    copy=$(mktemp -d)
    cp .sqlx/*.json "$copy"
    (cd "$copy" && eval "$2")
    same_entries "$copy" || outcome=1
    rm -rf "$copy"
    refused "$1" $outcome
}

# Of the expected schema alone.
refuses_schema() {
    local copy outcome=0
    copy=$(mktemp -d)
    cp src/adapters/postgres/maintenance/{expected_schema.txt,schema.sql} "$copy"
    (cd "$copy" && eval "$2")
    EXPECTED_SCHEMA_FOLDER=$copy expected_schema compare >"$copy.log" 2>&1 || outcome=1
    grep 'run `just sqlx-prepare`' "$copy.log" || outcome=0
    rm -rf "$copy" "$copy.log"
    refused "$1" $outcome
}

# refused WHAT OUTCOME
refused() {
    if [ "$2" = 0 ]; then
        echo "sqlx-check accepts $1" >&2
        return 1
    fi
    echo "sqlx-check refuses $1"
}

case $action in
prepare)
    fresh_database
    cargo sqlx prepare -- --package better-auth --features conformance,cli
    expected_schema write
    ;;
check)
    check
    echo "$(find .sqlx -name '*.json' | wc -l) entries, in step with the statements and the schema"
    ;;
# A part of the check.
entries)
    entries && same_entries
    ;;
test)
    script=$(realpath scripts/sqlx-cache.sh)
    refuses "a changed statement" 'sed -i "s/DELETE FROM users WHERE id/DELETE FROM users WHERE users.id/" src/adapters/postgres/user.rs'
    refuses "a changed schema" 'sed -i "s/    image TEXT,/    image TEXT NOT NULL,/" migrations/0001_create_tables.up.sql'
    # After the copies, so that nothing compiled from them stays.
    check
    echo "sqlx-check accepts the project as it is"
    refuses_entries "a missing entry" 'rm "$(ls *.json | head -n 1)"'
    refuses_entries "a stale entry" 'sed -i "s/\"hash\"/\"stale\"/" "$(ls *.json | head -n 1)"'
    refuses_entries "a left-over entry" 'cp "$(ls *.json | head -n 1)" query-left-over.json'
    refuses_schema "a stale expected schema" 'sed -i "s/^column users.image text$/column users.image integer/" expected_schema.txt'
    ;;
*)
    echo "usage: $0 prepare|check|test URL" >&2
    exit 2
    ;;
esac
