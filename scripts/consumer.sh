#!/usr/bin/env bash
# Builds an application against the packaged crate, under what applications bring along: consumer.sh all|ci URL
#
# URL names any database of a server on which databases may be created. `ci` leaves out what takes long or resembles
# the rest.
set -euo pipefail

action=${1:-} url=${2:-}
case $action in
all | ci) ;;
*)
    echo "usage: $0 all|ci URL" >&2
    exit 2
    ;;
esac
cd "$(dirname "$0")/.."
project=$PWD

# Of the default features, without better-auth itself. Raise it knowingly.
most_dependencies=31

if ! cargo sqlx --version 2>/dev/null | grep -q ' 0\.9\.'; then
    echo "sqlx-cli 0.9 is missing. Install it:" >&2
    echo "    cargo install sqlx-cli --version 0.9.0 --locked --no-default-features --features postgres,sqlx-toml" >&2
    exit 1
fi

unset DATABASE_URL BETTER_AUTH_DATABASE_URL BETTER_AUTH_SQLX_PREPARE_URL SQLX_OFFLINE SQLX_OFFLINE_DIR CARGO_BUILD_TARGET

# Outside the project, whose .env the builds would find.
scratch=$(mktemp -d)
parent=$scratch/parent
app=$parent/app
package=$app/vendor/better-auth
# One for all: cargo keeps the feature sets in it apart and compiles once what they share.
export CARGO_TARGET_DIR=$scratch/target CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=0 CARGO_TERM_COLOR=never

own=${url%/*}/better_auth_consumer_$$
run_url=${own}_run
unreachable=postgresql://nobody@host.invalid/none

drop_database() { (cd "$app" && cargo sqlx database drop -y --force --database-url "$1" >/dev/null); }

clean_up() {
    local status=$?
    drop_database "$own" || true
    drop_database "$run_url" || true
    rm -rf "$scratch"
    exit $status
}

combinations=0
failures=()

row() { printf '%-64s %-8s %-26s %4s\n' "$@"; }

failed() {
    row "$1" "$2" "FAILED: $3" "$4"
    cp "$scratch/log" "$scratch/failure-${#failures[@]}"
    failures+=("$1: $3")
}

# build FEATURES [VARIABLE=VALUE…]: compiles better-auth and the application anew, in the folder $here by $command.
build() {
    local features=$1
    shift
    (cd "$app" && cargo clean --quiet --package better-auth --package consumer)
    (cd "${here:-$app}" && env "$@" cargo ${command:-check --offline --locked} --features "$features") >"$scratch/log" 2>&1
}

# combination NAME OWN FEATURES [VARIABLE=VALUE…]
#
# OWN tells where the application's own statements are checked: `live` by its database, `cached` by its .sqlx, `off`
# where its own DATABASE_URL leaves it neither.
combination() {
    local name=$1 statements=$2 features=$3 since=$SECONDS outcome=0
    shift 3
    combinations=$((combinations + 1))
    [ "$statements" = off ] || features=own-queries,$features
    [ "$statements" != live ] || mv "$app/.sqlx" "$scratch/own-cache"
    build "$features" "$@" || outcome=1
    [ "$statements" != live ] || mv "$scratch/own-cache" "$app/.sqlx"
    if [ $outcome != 0 ]; then
        failed "$name" "$statements" "does not build" $((SECONDS - since))
    elif ! grep -qE '^ *(Checking|Compiling) better-auth v' "$scratch/log"; then
        failed "$name" "$statements" "better-auth was not compiled" $((SECONDS - since))
    elif grep -q '^warning: `better-auth`' "$scratch/log"; then
        failed "$name" "$statements" "better-auth warns" $((SECONDS - since))
    else
        row "$name" "$statements" passed $((SECONDS - since))
    fi
}

# refusal NAME FILE MESSAGE FEATURES [VARIABLE=VALUE…]: without FILE, the package must fail to build, with MESSAGE.
refusal() {
    local name=$1 file=$2 message=$3 features=$4 since=$SECONDS outcome=0
    shift 4
    combinations=$((combinations + 1))
    mv "$package/$file" "$scratch/removed"
    build "$features" "$@" || outcome=1
    mv "$scratch/removed" "$package/$file"
    if [ $outcome = 0 ]; then
        failed "$name" off "builds" $((SECONDS - since))
    elif ! grep -q 'could not compile `better-auth`' "$scratch/log" || ! grep -q "$message" "$scratch/log"; then
        failed "$name" off "another error" $((SECONDS - since))
    else
        row "$name" off "refused, as it should be" $((SECONDS - since))
    fi
}

# with_file PATH TEXT COMMAND…
with_file() {
    local path=$1
    printf '%s\n' "$2" >"$path"
    shift 2
    "$@"
    rm "$path"
}

# The entries that the last build wrote are the application's own, and those in the repository.
same_entries() {
    diff --recursive --brief "$scratch/prepared" "$project/tests/consumer/.sqlx" >"$scratch/log" ||
        failed "the entries of SQLX_OFFLINE_DIR are those of tests/consumer" - differ 0
}

dependencies() {
    (cd "$package" && cargo tree --quiet --locked --edges normal --prefix none "$@") | awk '{ print $1, $2 }' | grep -v '^better-auth ' | sort -u
}

light_by_default() {
    local count with since=$SECONDS name="dependencies of the default features"
    combinations=$((combinations + 1))
    dependencies >"$scratch/log"
    count=$(wc -l <"$scratch/log")
    with=$(dependencies --features sqlx-postgres | wc -l)
    if grep '^sqlx' "$scratch/log"; then
        failed "$name" - "sqlx among them" $((SECONDS - since))
    elif [ "$count" -gt $most_dependencies ]; then
        failed "$name" - "$count, not $most_dependencies" $((SECONDS - since))
    else
        row "$name" - "$count; $with with sqlx" $((SECONDS - since))
    fi
}

runs() {
    local name=$1 since=$SECONDS
    shift
    combinations=$((combinations + 1))
    if "$scratch/consumer" "$@" >"$scratch/log" 2>&1; then
        row "$name" - passed $((SECONDS - since))
    else
        failed "$name" - "does not run" $((SECONDS - since))
    fi
}

migrates_first() {
    (cd "$app" && cargo sqlx database create --database-url "$run_url")
    runs "run: $1 migrates first, twice over" "$1" "$run_url"
    drop_database "$run_url"
}

mkdir -p "$parent"
cp -R tests/consumer "$app"
rm -rf "$app/target"
trap clean_up EXIT
cargo package --package better-auth --quiet --no-verify --allow-dirty --target-dir "$scratch/package" 2>"$scratch/log" || {
    cat "$scratch/log" >&2
    exit 1
}
mkdir -p "$package"
tar -xzf "$scratch"/package/package/better-auth-*.crate -C "$package" --strip-components 1
# Nothing may lean on what an application does not get.
if (cd "$package" && find . -path './tests/*' -o -path './*/Cargo.toml') | grep .; then
    echo "the package holds what it should not" >&2
    exit 1
fi

cd "$app"
sed -i 's|path = "../.."|path = "vendor/better-auth"|' Cargo.toml
# The versions that better-auth is tested with.
cp "$package/Cargo.lock" .
cargo fetch --quiet
cargo sqlx database reset -y --source migrations --database-url "$own" >/dev/null

row combination "own SQL" result s
command="build --offline --locked" combination "cold build after cargo fetch: --offline --locked" cached ""
cp "$CARGO_TARGET_DIR/debug/consumer" "$scratch/consumer" || true
combination "no variables; the first cargo check" cached ""
combination "DATABASE_URL: the application's own other database" live "" "DATABASE_URL=$own"
combination "DATABASE_URL: an unreachable host" off "" DATABASE_URL=$unreachable
with_file "$app/.env" "DATABASE_URL=$own" \
    combination ".env of the application: its own other database" live ""
combination "BETTER_AUTH_DATABASE_URL: an unreachable host" cached "" BETTER_AUTH_DATABASE_URL=$unreachable
if [ "$action" = all ]; then
    combination "DATABASE_URL: garbage" off "" "DATABASE_URL=no URL, at all"
    with_file "$parent/.env" "DATABASE_URL=$unreachable" \
        combination ".env of a parent folder: an unreachable host" off ""
    combination "SQLX_OFFLINE=true, DATABASE_URL: an unreachable host" cached "" SQLX_OFFLINE=true DATABASE_URL=$unreachable
    combination "DATABASE_URL: empty" cached "" DATABASE_URL=
    combination "DATABASE_URL: MySQL" off "" DATABASE_URL=mysql://root@localhost:3306/shop
    with_file "$app/.env" "DATABASE_URL=$unreachable" \
        combination ".env of the application: an unreachable host" off ""
    with_file "$parent/.env" "DATABASE_URL=$own" \
        combination ".env of a parent folder: its own other database" live ""
    combination "SQLX_OFFLINE=true" cached "" SQLX_OFFLINE=true
    combination "SQLX_OFFLINE=false" cached "" SQLX_OFFLINE=false
    combination "SQLX_OFFLINE=false, DATABASE_URL: its own other database" live "" SQLX_OFFLINE=false "DATABASE_URL=$own"
    mkdir "$scratch/prepared"
    combination "SQLX_OFFLINE_DIR: an empty folder, DATABASE_URL: its own" live "" "SQLX_OFFLINE_DIR=$scratch/prepared" "DATABASE_URL=$own"
    same_entries
fi

workspace=$scratch/workspace
mkdir -p "$workspace/vendor"
cp -R "$app" "$workspace/app"
mv "$workspace/app/vendor/better-auth" "$workspace/vendor/better-auth"
mv "$workspace/app/.sqlx" "$workspace/app/Cargo.lock" "$workspace"
sed -i '/^\[workspace\]/,/^$/d; s|path = "vendor/better-auth"|path = "../vendor/better-auth"|' "$workspace/app/Cargo.toml"
printf '[workspace]\nresolver = "3"\nmembers = ["app"]\nexclude = ["vendor"]\n' >"$workspace/Cargo.toml"
here=$workspace/app combination "member of a workspace with a .sqlx at its root" cached ""
if [ "$action" = all ]; then
    here=$workspace/app combination "the same, DATABASE_URL: its own other database" live "" "DATABASE_URL=$own"
fi
rm -rf "$workspace"

refusal "without sqlx.toml, DATABASE_URL: its own other database" sqlx.toml 'relation "[a-z]*" does not exist' "" "DATABASE_URL=$own"
refusal "without .sqlx" .sqlx 'set `DATABASE_URL` to use query macros online' ""

# The application's statements read times of the crate `time` from here on.
combination "sqlx with time" cached time
combination "serde_json with arbitrary_precision" cached arbitrary_precision
refusal "without sqlx.toml, sqlx with time" sqlx.toml OffsetDateTime time
if [ "$action" = all ]; then
    with_file "$app/sqlx.toml" "$(printf '[common]\ndatabase-url-var = "SHOP_URL"\n[macros.preferred-crates]\ndate-time = "time"')" \
        combination "sqlx with time, the application's own sqlx.toml" live time "SHOP_URL=$own" DATABASE_URL=$unreachable
    for feature in uuid bigdecimal rust_decimal ipnetwork; do
        combination "sqlx with $feature" cached $feature
    done
    all_types=time,uuid,bigdecimal,rust_decimal,ipnetwork
    combination "sqlx with all five" cached $all_types
    combination "sqlx with all five, DATABASE_URL: its own other database" live $all_types "DATABASE_URL=$own"
    combination "tls-native-tls" cached tls-native-tls
    combination "tls-rustls-ring-webpki" cached tls-rustls-ring-webpki
    combination "tls-rustls-ring-webpki, and sqlx with tls-native-tls" cached tls-rustls-ring-webpki,own-tls-native-tls
fi

here=$package command="check --locked" combination "better-auth alone, default features" off ""
light_by_default

runs "run: in memory"
migrates_first app
migrates_first better-auth

if [ ${#failures[@]} != 0 ]; then
    for number in "${!failures[@]}"; do
        printf '\n=== %s\n' "${failures[number]}" >&2
        grep -m 3 -A 2 '^error' "$scratch/failure-$number" >&2 || true
        echo ... >&2
        tail -n 20 "$scratch/failure-$number" >&2
    done
    printf '\n%d of %d failed, in %d s\n' ${#failures[@]} $combinations $SECONDS >&2
    exit 1
fi
echo "all $combinations passed in $SECONDS s"
