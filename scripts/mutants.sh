#!/usr/bin/env bash
# Changes the source in small ways, one at a time, and sees that a test fails each time: mutants.sh AREA SHARD | sample | report
#
# AREA is memory, input or postgres; SHARD is K/N, the K-th of N parts from 0 on. Each run writes its outcomes to
# tests/mutants/AREA/K-of-N.txt, so that several runs add up; `report` counts them. `sample` runs ten mutants of memory
# and input, at regular distances, and fails if one survives that survivors.md does not name. Mutants of postgres need DATABASE_URL.
set -euo pipefail
cd "$(dirname "$0")/.."

export CARGO_TARGET_DIR=$PWD/target/mutants

# area AREA: the files, the features, and the tests that can see these files: first those that notice most mutants soon,
# then, for what they miss, all.
area() {
    features=conformance all=(--lib --test memory -- --skip docs::)
    # The suite runs once instead of three times, without what takes longest.
    quick=("${all[@]}" --skip conformance::keyed:: --skip conformance::required_only:: --skip metadata_numbers_have_a_longest_text
        --skip an_expired_marker_is_set_once_while_it_goes)
    case $1 in
    input) files=(src/error.rs 'src/adapters/input/**') ;;
    memory) files=('src/adapters/memory/**') quick=("${quick[@]:1}") ;;
    sample) files=(src/error.rs 'src/adapters/input/**' 'src/adapters/memory/**') ;;
    postgres)
        files=('src/adapters/postgres/**') features=conformance,sqlx-postgres all=(--lib --test postgres --test secrets) quick=("${all[@]}")
        : "${DATABASE_URL:?mutants of postgres need a database: run just db-up}"
        ;;
    *) echo "no such area: $1; there are input, memory and postgres" >&2; return 2 ;;
    esac
}

# mutants OPTION…: cargo-mutants on the area's files.
mutants() {
    local file options=()
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

# run SHARD OUTPUT: leaves the outcomes in OUTPUT/outcomes.txt, a line for each mutant, its outcome first, and the names of
# those that survive in OUTPUT/missed.txt.
#
# cargo-mutants' own run of the unchanged source knows nothing of the tests' package, so that this comes first.
run() {
    local shard=$1 output=$2 missed
    cargo test --quiet --profile mutants --package better-auth --package better-auth-tests --features "$features" "${all[@]}" || exit 1
    attempt "$output/quick" --shard "$shard" --sharding round-robin -- "${quick[@]}"
    outcomes "$output/quick" caught timeout unviable >"$output/outcomes.txt"
    missed=$output/quick/mutants.out/missed.txt
    if [ -s "$missed" ] && [ "${quick[*]}" != "${all[*]}" ]; then
        attempt "$output/all" --re "^($(sed 's/[][\\.^$*+?(){}|]/\\&/g' "$missed" | paste -sd '|'))\$" -- "${all[@]}"
        outcomes "$output/all" caught timeout unviable >>"$output/outcomes.txt"
        missed=$output/all/mutants.out/missed.txt
    fi
    sed 's/^/missed /' "$missed" >>"$output/outcomes.txt"
    cp "$missed" "$output/missed.txt"
}

# outcomes OUTPUT OUTCOME…: the mutants with these outcomes.
outcomes() {
    local output=$1 outcome
    shift
    for outcome in "$@"; do
        sed "s/^/$outcome /" "$output/mutants.out/$outcome.txt"
    done
}

# unnamed FILE: fails where a mutant of the list is not in survivors.md. Lines move, so that only what was done counts.
unnamed() {
    local mutant status=0
    while read -r mutant; do
        grep -qF -e "\`${mutant#*: }\`" tests/mutants/survivors.md && continue
        echo "no test notices, and tests/mutants/survivors.md does not name: $mutant"
        status=1
    done <"$1"
    return "$status"
}

case ${1:-} in
sample)
    area sample
    output=$(mktemp -d)
    trap 'rm -rf "$output"' EXIT
    number=$(mutants --list | wc -l)
    run "0/$(((number + 9) / 10))" "$output"
    cat "$output/outcomes.txt"
    unnamed "$output/missed.txt"
    ;;
report)
    printf '%-10s %8s %8s %8s %8s %8s\n' area mutants viable caught timeout missed
    for folder in tests/mutants/*/; do
        cat "$folder"*.txt | awk -v area="$(basename "$folder")" '
            { count[$1]++ }
            END {
                viable = count["caught"] + count["missed"] + count["timeout"]
                printf "%-10s %8d %8d %8d %8d %8d\n", area, viable + count["unviable"], viable, count["caught"], count["timeout"], count["missed"]
            }'
    done
    ;;
*)
    area "${1:?an area: input, memory or postgres}"
    output=$(mktemp -d)
    trap 'rm -rf "$output"' EXIT
    run "${2:?a shard, as in 0/16}" "$output"
    mkdir -p "tests/mutants/$1"
    cp "$output/outcomes.txt" "tests/mutants/$1/${2/\//-of-}.txt"
    scripts/mutants.sh report
    ;;
esac
