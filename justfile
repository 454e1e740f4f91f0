# Recipes for developers and CI. `just` alone lists them.

set dotenv-load
set shell := ["bash", "-euo", "pipefail", "-c"]

postgres_dir := env("TMPDIR", "/tmp") / "better-auth-postgres-" + replace_regex(sha256(justfile_directory()), "^(.{12}).*$", "$1")
url_file := justfile_directory() / ".database-url"

_default:
    @just --list --unsorted

# Start a PostgreSQL server for development, by Docker or from the machine's binaries, and print its URL
db-up:
    @scripts/database.sh up "{{ postgres_dir }}" "{{ url_file }}"

# Stop the server
db-down:
    @scripts/database.sh down "{{ postgres_dir }}" "{{ url_file }}"

# Remove the server with all its data and start an empty one
db-reset:
    @scripts/database.sh reset "{{ postgres_dir }}" "{{ url_file }}"

# The URL of the server, or what to do where there is none
@_database-url:
    scripts/database.sh url "{{ postgres_dir }}" "{{ url_file }}"

# Migrate the development database
migrate:
    url=$(just _database-url) && DATABASE_URL=$url cargo run --quiet --package better-auth --features cli -- migrate

# Open psql on the development database
psql *arguments:
    url=$(just _database-url) && psql "$url" {{ arguments }}

# Run all tests; they need `just db-up`
test *arguments:
    #!/usr/bin/env bash
    set -uo pipefail
    DATABASE_URL=$(just _database-url) || exit
    export DATABASE_URL
    outcome=0
    cargo test --workspace --no-fail-fast --features axum,conformance,sqlx-postgres {{ arguments }} || outcome=$?
    # Of another package and with other features.
    [[ "{{ arguments }}" =~ --(test|package) ]] || just test-program {{ arguments }} || outcome=$?
    exit $outcome

# Run the tests of the program `better-auth`; they need `just db-up`
test-program *arguments:
    url=$(just _database-url) && DATABASE_URL=$url cargo test --package better-auth --features cli --bin better-auth --test cli {{ arguments }}

# Run what needs no server: unit tests, the memory adapter, the examples in the documentation
test-quick *arguments:
    cargo test --no-fail-fast --package better-auth --package better-auth-tests --features axum,conformance --lib --test axum --test memory {{ arguments }}
    cargo test --no-fail-fast --package better-auth --features axum,conformance --doc {{ arguments }}

# Run the tests without the features that they can do without
test-features:
    CONCURRENCY_SECONDS=1 cargo test --workspace --no-fail-fast
    CONCURRENCY_SECONDS=1 cargo test --workspace --no-fail-fast --features conformance
    cargo test --workspace --features conformance,arbitrary-precision --test memory

# Run the tests of metadata with serde_json's `arbitrary_precision`, on both adapters; it compiles sqlx anew
numbers-check:
    url=$(just _database-url) && DATABASE_URL=$url cargo test --workspace --features conformance,sqlx-postgres,arbitrary-precision --test memory --test postgres -- numbers:: user_metadata::

# Break servers of the tests' own, and the network before them; needs Linux and PostgreSQL's binaries, and no `just db-up`
faults *arguments:
    cargo test --workspace --features axum,conformance,sqlx-postgres --test faults -- --ignored --skip a_full_notification_queue --test-threads=2 {{ arguments }}

# Compare the adapters and press on them, each time with fresh seeds, for so many minutes or until something fails
soak minutes="10":
    #!/usr/bin/env bash
    set -euo pipefail
    export DATABASE_URL=$(just _database-url) DIFFERENTIAL_OPERATIONS=50000 HOSTILE_CASES=250 CONCURRENCY_SECONDS=20
    until (( SECONDS >= 60 * {{ minutes }} )); do
        cargo test --quiet --workspace --features axum,conformance,sqlx-postgres --test differential --test hostile --test concurrency
    done

# Change the source in small ways, and see that tests fail: an area (input, memory, postgres/GROUP) and a part of it, as in `0/16`
mutants area shard:
    DATABASE_URL=$(just _database-url 2>/dev/null || true) scripts/mutants.sh {{ area }} {{ shard }}

# Do so with ten mutants of the memory adapter and of what checks input; about five minutes
mutants-sample:
    scripts/mutants.sh sample

# Count the outcomes of all parts that have run
mutants-report:
    scripts/mutants.sh report

# Measure what runs without a server: the memory adapter beside bare maps
bench-micro *arguments:
    cargo bench --package better-auth-benches --bench memory_size
    cargo bench --package better-auth-benches --bench memory_ratios
    cargo bench --package better-auth-benches --bench memory_writes
    cargo bench --package better-auth-benches --bench memory_waits
    cargo bench --package better-auth-benches --bench memory -- --noplot {{ arguments }}

# Measure the table of targets beside peers, on a server of its own, and write docs/performance/table.md with its plot
bench *options:
    benches/peers/run.sh table {{ options }}

# Measure every lookup from 10,000 to 10,000,000 sessions, and write docs/performance/scale.md with its plot
bench-scale *options:
    benches/peers/run.sh scale {{ options }}

# Measure lookups while millions of rows are deleted, and write docs/performance/delete.md
bench-delete *options:
    benches/peers/run.sh delete {{ options }}

# Measure session checks on a pool that the application uses too, and write docs/performance/shared.md
bench-shared *options:
    benches/peers/run.sh shared {{ options }}

# Measure session checks that slide and those of hashed tokens, and write docs/performance/session-checks.md
bench-sessions *options:
    benches/peers/run.sh sessions {{ options }}

# Measure session checks with the session cache, and write docs/performance/session-cache.md
bench-cache *options:
    benches/peers/run.sh cache {{ options }}

# Measure the store of organizations and its races, and write docs/performance/organizations.md
bench-organizations *options:
    benches/peers/run.sh organizations {{ options }}

# Measure what counting uses of API keys and calls of rate limits costs, and write docs/performance/credentials.md
bench-credentials *options:
    benches/peers/run.sh credentials {{ options }}

# Measure what the features `tracing` and `metrics` cost, and write docs/performance/telemetry.md
bench-telemetry *options:
    benches/telemetry/run.sh {{ options }}

# Measure `migrate`, `hash-tokens`, `clean-up` and `import` of millions of rows, some of them ended by `kill -9`, and write docs/performance/operations.md
bench-operations *options:
    benches/operations/run.sh {{ options }}

# Lint the benchmarks beside peers, and see that each runs; its figures mean nothing
bench-check:
    #!/usr/bin/env bash
    set -euo pipefail
    cargo clippy --locked --manifest-path benches/peers/Cargo.toml -- --deny warnings
    output=$(mktemp -d)
    trap 'rm -rf "$output"' EXIT
    export PEERS_SHARED_BUFFERS=128MB PEERS_PROFILE=dev
    benches/peers/run.sh table --sessions 5000 --rounds 1 --seconds 0.1 --output "$output"
    benches/peers/run.sh shared --sessions 5000 --rounds 1 --seconds 0.1 --output "$output"
    benches/peers/run.sh sessions --sessions 5000 --rounds 1 --seconds 0.1 --output "$output"
    benches/peers/run.sh cache --sessions 5000 --rounds 1 --seconds 0.1 --output "$output"
    benches/peers/run.sh credentials --sessions 5000 --keys 5000 --rounds 1 --seconds 0.1 --output "$output"
    benches/peers/run.sh scale --sessions 10000 --rounds 1 --seconds 0.1 --output "$output"
    benches/peers/run.sh delete --sessions 5000 --dead 5000 --of-one-user 2000 --seconds 0.5 --output "$output"
    benches/peers/run.sh organizations --organizations 1500 --members 1200 --calls 3 --rounds 2 --seconds 0.5 --output "$output"

# Format and lint, for every combination of features
lint:
    cargo fmt --all --check
    cargo fmt --check --manifest-path benches/peers/Cargo.toml
    cargo fmt --check --manifest-path examples/app/Cargo.toml
    cargo fmt --check --manifest-path examples/axum-login/Cargo.toml
    cargo fmt --check --manifest-path tests/consumer/Cargo.toml
    cargo clippy --workspace --all-targets -- --deny warnings
    cargo clippy --workspace --all-targets --features conformance -- --deny warnings
    cargo clippy --workspace --all-targets --features axum,conformance -- --deny warnings
    cargo clippy --workspace --all-targets --features axum,conformance,sqlx-postgres -- --deny warnings
    cargo clippy --workspace --test infrastructure --test typescript --features axum,conformance,sqlx-postgres -- --deny warnings
    cargo clippy --package better-auth --features axum -- --deny warnings
    # The tests have the features that observe switched on.
    cargo clippy --package better-auth --features sqlx-postgres -- --deny warnings
    cargo clippy --package better-auth --features sqlx-postgres,metrics -- --deny warnings
    cargo clippy --package better-auth --features sqlx-postgres,tracing -- --deny warnings
    cargo clippy --package better-auth --all-targets --all-features -- --deny warnings

# Build the documentation, with warnings denied
doc:
    RUSTDOCFLAGS="--deny warnings" cargo doc --package better-auth --no-deps --features conformance
    RUSTDOCFLAGS="--deny warnings" cargo doc --package better-auth --no-deps --features axum,conformance,sqlx-postgres

# Write .sqlx and the schema that check_schema expects anew, from the statements in src and a freshly migrated database
sqlx-prepare:
    @url=$(just _database-url) && scripts/sqlx-cache.sh prepare "$url"

# Fail where .sqlx, the statements in src, the expected schema and the migrations differ
sqlx-check:
    @url=$(just _database-url) && scripts/sqlx-cache.sh check "$url"

# Prove that sqlx-check passes, and fails when it should
sqlx-check-test:
    @url=$(just _database-url) && scripts/sqlx-cache.sh test "$url"

# Run the conformance suite through a stock PgBouncer, and see that a dangerous one is found; `newer` for one built anew
pgbouncer-check release="":
    @url=$(just _database-url) && scripts/pgbouncer.sh "$url" {{ release }}

# Run the tests that may notice it on releases of PostgreSQL, all or those named; `ci` for a part on the oldest and the newest
servers-check *releases:
    scripts/releases.sh {{ releases }}

# Run the conformance suite on a server of yours; `prepare` names a file with what each test's database needs first, as docs/scaling.md shows
engine-check url prepare="":
    DATABASE_URL={{ quote(url) }} ENGINE_PREPARE={{ if prepare == "" { "" } else { quote(absolute_path(prepare)) } }} cargo test --workspace --features axum,conformance,sqlx-postgres --test postgres -- conformance::

# Connect by rustls and native-tls, with right and wrong certificates and passwords, and through Unix sockets
tls-check:
    scripts/tls.sh

# Build an application against the packaged crate under everything that applications bring along; `ci` for a part
consumer-check part="all":
    @url=$(just _database-url) && scripts/consumer.sh {{ part }} "$url"

# Build examples/app without a database and run its tests: an application with checked SQL of its own
app-check:
    env --unset=DATABASE_URL cargo test --no-run --locked --manifest-path examples/app/Cargo.toml --target-dir target/examples
    url=$(just _database-url) && DATABASE_URL=$url SQLX_OFFLINE=true cargo test --locked --manifest-path examples/app/Cargo.toml --target-dir target/examples

# Lint and test examples/axum-login: a backend for axum-login and a store for tower-sessions
axum-login-check:
    cargo clippy --locked --all-targets --manifest-path examples/axum-login/Cargo.toml --target-dir target/examples -- --deny warnings
    cargo test --locked --manifest-path examples/axum-login/Cargo.toml --target-dir target/examples

# Format, lint and test examples/axum: in memory, on PostgreSQL, and in a browser, which is Debian's `chromium` with `chromium-driver`
example-check: && _example-test
    cargo fmt --check --manifest-path examples/axum/Cargo.toml
    cargo clippy --locked --all-targets --manifest-path examples/axum/Cargo.toml --target-dir target/examples -- --deny warnings
    env --unset=DATABASE_URL cargo test --locked --manifest-path examples/axum/Cargo.toml --target-dir target/examples

_example-test:
    url=$(just _example-database) && DATABASE_URL=$url cargo test --locked --manifest-path examples/axum/Cargo.toml --target-dir target/examples --test application over_http
    url=$(just _example-database) && DATABASE_URL=$url cargo test --locked --manifest-path examples/axum/Cargo.toml --target-dir target/examples --test browser

# An empty database for examples/axum, by its URL
_example-database:
    #!/usr/bin/env bash
    set -euo pipefail
    url=$(just _database-url)
    psql --quiet "$url" --command 'DROP DATABASE IF EXISTS better_auth_example WITH (FORCE)' --command 'CREATE DATABASE better_auth_example' >&2
    sed --regexp-extended 's#/[^/?]*($|\?)#/better_auth_example\1#' <<<"$url"

# Write the pictures of examples/axum anew
example-screenshots:
    SCREENSHOTS=$PWD/examples/axum/screenshots cargo test --locked --manifest-path examples/axum/Cargo.toml --target-dir target/examples --test browser

# Measure requests per second of examples/axum with and without the session check
bench-example:
    url=$(just _example-database) && DATABASE_URL=$url cargo bench --locked --manifest-path examples/axum/Cargo.toml --target-dir target/examples --bench load

# Write the .sqlx of examples/app anew, from a database in which better-auth and the application have migrated
app-prepare:
    #!/usr/bin/env bash
    set -euo pipefail
    url=$(just _database-url)
    export DATABASE_URL=${url%/*}/better_auth_app_cache
    export CARGO_TARGET_DIR=$PWD/target
    # Away from this crate's sqlx.toml.
    cd examples/app
    cargo sqlx database drop -y
    cargo sqlx database create
    # With the tables of all stores.
    (cd ../.. && BETTER_AUTH_SQLX_PREPARE_URL=$DATABASE_URL cargo sqlx migrate run)
    cargo sqlx migrate run
    cargo sqlx prepare

# Run Better Auth (TypeScript) and this crate on the same tables, and import its own; needs Node.js and npm
typescript-check *arguments:
    npm ci --silent --no-audit --no-fund --prefix tests/typescript
    url=$(just _database-url) && DATABASE_URL=$url cargo test --workspace --features axum,conformance,sqlx-postgres --test typescript {{ arguments }}

# Compile with the oldest dependencies that Cargo.toml allows, and with the oldest Rust where it is at hand
versions-check:
    scripts/versions.sh

# Check the licenses and sources of all dependencies, and that none is banned
deny-check:
    cargo deny check bans licenses sources

# Check all dependencies for known vulnerabilities, and say so where the database of advisories cannot be had
advisories-check:
    scripts/advisories.sh

# Compare the public API with that of a git revision, by the rules of semantic versioning
semver-check revision="main":
    cargo semver-checks --version || { echo "Install it:  cargo install cargo-semver-checks --locked" >&2; exit 1; }
    cargo semver-checks --package better-auth --only-explicit-features --features axum,conformance,sqlx-postgres --baseline-rev {{ revision }}

# Print what CHANGELOG.md says of a version
release-notes version:
    scripts/release-notes.sh {{ version }}

# Write docs/public-api.txt anew
public-api:
    scripts/public-api.sh >docs/public-api.txt

# Fail where the public API is not that of docs/public-api.txt
public-api-check:
    diff docs/public-api.txt <(scripts/public-api.sh)
