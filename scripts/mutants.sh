#!/usr/bin/env bash
# Changes the source in small ways, one at a time, and sees that a test fails each time: mutants.sh AREA SHARD | sample | report
#
# AREA is memory, input or postgres/GROUP, with a group of postgres_group below; SHARD is K/N, the K-th of N parts from 0 on. Each run writes its outcomes to
# tests/mutants/AREA/K-of-N.txt, so that several runs add up; `report` counts them. `sample` runs those of
# tests/mutants/sample.txt, and fails if one survives. Mutants of postgres need DATABASE_URL.
set -euo pipefail
cd "$(dirname "$0")/.."

export CARGO_TARGET_DIR=$PWD/target/mutants CARGO_INCREMENTAL=1 CONCURRENCY_SECONDS=1

# area AREA: the files, the features, and the tests that can see these files: first those that notice most mutants soon,
# then, for what they miss, all.
area() {
    features=conformance all=(--lib --test memory --test concurrency --test loom -- --skip docs::)
    # The suite runs once instead of three times, without what takes longest.
    quick=(--lib --test memory -- --skip docs:: --skip conformance::keyed:: --skip conformance::required_only:: --skip metadata_numbers_have_a_longest_text
        --skip an_expired_marker_is_set_once_while_it_goes)
    case $1 in
    input) files=(src/error.rs 'src/adapters/input/**') ;;
    memory) files=('src/adapters/memory/**') ;;
    sample) mapfile -t files < <(sed 's/: .*//' tests/mutants/sample.txt) ;;
    postgres/*)
        features=conformance,sqlx-postgres all=(--lib --test postgres --test secrets --)
        : "${DATABASE_URL:?mutants of postgres need a database: run just db-up}"
        postgres_group "${1#*/}"
        # The suite runs once instead of under each setting.
        quick=("${all[@]}" "${quick[@]}" --skip ::hashed:: --skip ::hashed_only:: --skip ::serializable:: --skip ::repeatable_read::)
        ;;
    *) echo "no such area: $1; there are input, memory and postgres/GROUP" >&2; return 2 ;;
    esac
}

# postgres_group GROUP: files of the PostgreSQL adapter, and words in the names of the tests that notice most of their mutants.
postgres_group() {
    local paths
    case $1 in
    sessions)
        paths=(session.rs session_token.rs stored_tokens.rs live_session.rs live_session_with_member.rs batch_loader.rs)
        quick=(session refreshes batch bans randomness --skip session_cache --skip cached)
        ;;
    users) paths=(user.rs user_list.rs estimates.rs columns.rs) quick=(user bans equal_values violations adapter:: columns) ;;
    accounts) paths=(account.rs) quick=(account violations) ;;
    verifications)
        paths=(verification.rs verification_value.rs digest.rs)
        quick=(verification codes reservations one_time identifier)
        ;;
    organizations) paths=(organization.rs organization_role.rs member.rs invitation.rs team.rs) quick=(organization members invitations teams stores) ;;
    credentials)
        paths=(api_key.rs api_key_use.rs device_code.rs passkey.rs rate_limit.rs signing_key.rs two_factor.rs)
        quick=(api_key device_code passkey rate_limit signing_key two_factor credential)
        ;;
    errors)
        paths=(error.rs violation.rs violated.rs application_error.rs redaction.rs server.rs server_error.rs sqlstate.rs)
        quick=(error violations connections transactions:: redaction secrets impossible)
        ;;
    connections)
        paths=('connection/**' repository.rs lent_connection.rs inside.rs transaction.rs joined.rs sqlx_transaction.rs health.rs builder.rs adapter.rs tls.rs)
        quick=(connection pool health transaction adapter:: tls joined::general)
        ;;
    batches) paths=(cleanup.rs row_batches.rs progress.rs) quick=(cleanup progress session_tokens adoption) ;;
    session_cache) paths=('session_cache/**') quick=(session_cache cached::session) ;;
    import) paths=('maintenance/import/**') quick=(import foreign) ;;
    maintenance) paths=('maintenance/*.rs') quick=(migration schema stores foreign adoption health progress pooler) ;;
    *) echo "no such group: $1" >&2; return 2 ;;
    esac
    files=("${paths[@]/#/src/adapters/postgres/}")
}

# mutants OPTION…: cargo-mutants on the area's files.
#
# It takes aliases such as AuthResult for structs, and calls constructors that they do not have: nothing of that compiles.
mutants() {
    local file options=(--exclude-re 'with (AuthResult|DateTime|MutexGuard|RemovedList|Stripes)::(new|from|from_iter)\(')
    for file in "${files[@]}"; do options+=(--file "$file"); done
    cargo mutants --package better-auth --test-package better-auth --test-package better-auth-tests --features "$features" --no-shuffle "${options[@]}" "$@"
}

# attempt OUTPUT OPTION… -- TEST…: leaves cargo-mutants' lists in OUTPUT.
attempt() {
    local output=$1 status=0
    shift
    mutants --output "$output" --colors never --baseline skip --timeout 60 --build-timeout 600 "$@" || status=$?
    # 2: mutants survive; 3: a test does not end with a mutant, and so notices it.
    [ "$status" = 0 ] || [ "$status" = 2 ] || [ "$status" = 3 ] || exit "$status"
}

# run OUTPUT OPTION…: leaves the outcomes in OUTPUT/outcomes.txt, a line for each mutant, its outcome first.
#
# cargo-mutants' own run of the unchanged source knows nothing of the tests' package, so that this comes first.
run() {
    local output=$1 missed=$1/quick/mutants.out/missed.txt
    shift
    # What an earlier run has compiled may hold a mutant.
    touch src/lib.rs
    cargo test --quiet --profile mutants --package better-auth --package better-auth-tests --features "$features" "${quick[@]}" || exit 1
    attempt "$output/quick" "$@" -- "${quick[@]}"
    outcomes "$output/quick" caught timeout unviable >"$output/outcomes.txt"
    if [ -s "$missed" ] && [ "${quick[*]}" != "${all[*]}" ]; then
        attempt "$output/all" --re "$(any_of <"$missed")" -- "${all[@]}"
        # cargo-mutants adds fields to delete that nobody has asked for.
        outcomes "$output/all" caught timeout unviable missed |
            awk 'NR == FNR { asked[$0]; next } { mutant = $0; sub(/^[a-z]+ /, "", mutant) } mutant in asked' "$missed" - >>"$output/outcomes.txt"
    else
        outcomes "$output/quick" missed >>"$output/outcomes.txt"
    fi
}

# any_of: an expression for the mutants that are read, a line each.
any_of() {
    echo "^($(sed 's/[][\\.^$*+?(){}|]/\\&/g' | paste -sd '|'))\$"
}

# outcomes OUTPUT OUTCOME…: the mutants with these outcomes.
outcomes() {
    local output=$1 outcome
    shift
    for outcome in "$@"; do
        sed "s/^/$outcome /" "$output/mutants.out/$outcome.txt"
    done
}

# Lines move, so that a mutant is known by its file and what is done.
without_lines() {
    sed -E 's/\.rs:[0-9]+:[0-9]+:/.rs:/'
}

case ${1:-} in
sample)
    area sample
    output=$(mktemp -d)
    trap 'rm -rf "$output"' EXIT
    run "$output" --re "$(any_of <tests/mutants/sample.txt | sed 's/\\.rs: /\\.rs:[0-9]+:[0-9]+: /g')"
    cat "$output/outcomes.txt"
    if ! sed -nE 's/^(caught|timeout) //p' "$output/outcomes.txt" | without_lines | LC_ALL=C sort --unique | diff - tests/mutants/sample.txt; then
        echo "a mutant of tests/mutants/sample.txt survives, or is no mutant any more" >&2
        exit 1
    fi
    ;;
report)
    printf '%-10s %8s %8s %8s %8s %8s\n' area mutants viable caught timeout missed
    for area in input memory postgres; do
        # An area of which nothing has run has no folder.
        find "tests/mutants/$area" -name '*.txt' -exec cat {} + 2>/dev/null | awk -v area="$area" '
            { count[$1]++ }
            END {
                viable = count["caught"] + count["missed"] + count["timeout"]
                printf "%-10s %8d %8d %8d %8d %8d\n", area, viable + count["unviable"], viable, count["caught"], count["timeout"], count["missed"]
            }' || true
    done
    ;;
*)
    area "${1:?an area: input, memory or postgres/GROUP}"
    output=$(mktemp -d)
    trap 'rm -rf "$output"' EXIT
    run "$output" --shard "${2:?a shard, as in 0/16}" --sharding round-robin
    mkdir -p "tests/mutants/$1"
    cp "$output/outcomes.txt" "tests/mutants/$1/${2/\//-of-}.txt"
    scripts/mutants.sh report
    ;;
esac
