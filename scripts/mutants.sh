#!/usr/bin/env bash
# Changes the source in small ways, one at a time, and sees that a test fails each time: mutants.sh AREA SHARD | sample | report
#
# AREA is memory, input or postgres; SHARD is K/N, the K-th of N parts from 0 on. Each run writes its outcomes to
# tests/mutants/AREA/K-of-N.txt, so that several runs add up; `report` counts them. `sample` runs ten mutants of memory
# and input, at regular distances, and fails if one survives that survivors.md does not name. Mutants of postgres need DATABASE_URL.
set -euo pipefail
cd "$(dirname "$0")/.."

export CARGO_TARGET_DIR=$PWD/target/mutants

# area AREA: the files, the features and the tests that can see these files.
area() {
    case $1 in
    input) files=(src/error.rs 'src/adapters/input/**') features=conformance tests=(--lib --test memory -- --skip docs::) ;;
    memory) files=('src/adapters/memory/**') features=conformance tests=(--lib --test memory -- --skip docs::) ;;
    sample) files=(src/error.rs 'src/adapters/input/**' 'src/adapters/memory/**') features=conformance tests=(--lib --test memory -- --skip docs::) ;;
    postgres)
        files=('src/adapters/postgres/**') features=conformance,sqlx-postgres tests=(--lib --test postgres --test secrets)
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

# run SHARD OUTPUT: leaves cargo-mutants' lists in OUTPUT.
#
# Its own run of the unchanged source knows nothing of the tests' package, so that this comes first.
run() {
    local status=0
    cargo test --quiet --profile mutants --package better-auth --package better-auth-tests --features "$features" "${tests[@]}" || exit 1
    mutants --shard "$1" --sharding round-robin --output "$2" --colors never --baseline skip --timeout 60 --build-timeout 600 \
        -- "${tests[@]}" || status=$?
    # 2: mutants survive; 3: a test does not end with a mutant, and so notices it.
    [ "$status" = 0 ] || [ "$status" = 2 ] || [ "$status" = 3 ] || exit "$status"
}

# outcomes OUTPUT: a line for each mutant, its outcome first.
outcomes() {
    local outcome
    for outcome in caught missed timeout unviable; do
        sed "s/^/$outcome /" "$1/mutants.out/$outcome.txt"
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
    all=$(mutants --list | wc -l)
    run "0/$(((all + 9) / 10))" "$output"
    outcomes "$output"
    unnamed "$output/mutants.out/missed.txt"
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
    outcomes "$output" >"tests/mutants/$1/${2/\//-of-}.txt"
    scripts/mutants.sh report
    ;;
esac
