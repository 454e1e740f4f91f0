#!/usr/bin/env bash
# Runs the conformance suite and the tests of `check_pooler` through PgBouncer: pgbouncer.sh URL [newer]
#
# With the machine's own in session mode; `newer` is one that knows prepared statements, in transaction mode, which is
# built from Debian's sources.
set -euo pipefail

export DATABASE_URL=$1
cd "$(dirname "$0")/.."
source scripts/servers.bash

suite=trixie
cache=${TMPDIR:-/tmp}/better-auth-pgbouncer-$suite

poolers() { cargo test --quiet --workspace --features axum,conformance,sqlx-postgres --test infrastructure -- "$@"; }

version() { "${PGBOUNCER:-pgbouncer}" --version | head -n 1; }

# The sources of another release of Debian, from where the machine's own packages come, without a trace in its lists.
fetch_sources() {
    local origin
    origin=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $(. /etc/os-release && echo "$VERSION_CODENAME")" | head -n 1)
    mkdir -p lists/partial cache/archives/partial
    echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $origin $suite main" >sources.list
    local apt=(apt-get -qq -o Dir::Etc::sourcelist="$PWD/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$PWD/lists"
        -o Dir::Cache="$PWD/cache" -o APT::Sandbox::User="$(id -un)")
    "${apt[@]}" update
    "${apt[@]}" source --download-only pgbouncer
}

build_newer() {
    local folder
    folder=$(mktemp -d)
    (
        cd "$folder"
        fetch_sources
        tar -xzf pgbouncer_*.orig.tar.gz --strip-components=1
        ./configure --without-cares
        make -j "$(nproc)" pgbouncer
        mkdir -p "$cache"
        install pgbouncer "$cache"
    ) >"$folder.log" 2>&1 || { tail -n 20 "$folder.log" >&2; return 1; }
    rm -rf "$folder" "$folder.log"
}

case ${2:-} in
"")
    command -v pgbouncer >/dev/null || { say "Install PgBouncer first:  sudo apt-get install --yes pgbouncer"; exit 1; }
    poolers poolers::
    echo "$(version), session mode: passed"
    ;;
newer)
    [ -x "$cache/pgbouncer" ] || build_newer
    export PGBOUNCER=$cache/pgbouncer POOL_MODE=transaction
    poolers poolers::conformance::
    poolers poolers:: --ignored
    echo "$(version), transaction mode: passed"
    ;;
*)
    say "usage: $0 URL [newer]"
    exit 2
    ;;
esac
