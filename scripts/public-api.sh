#!/usr/bin/env bash
# Lists the public API: public-api.sh
set -euo pipefail

cd "$(dirname "$0")/.."
command -v cargo-public-api >/dev/null || {
    echo "cargo-public-api is missing. Install it:  cargo install cargo-public-api --version 0.52.0 --locked" >&2
    exit 1
}
# The JSON of rustdoc is unstable; the switch would have everything else in the target folder compiled again.
RUSTC_BOOTSTRAP=1 cargo rustdoc --quiet --package better-auth --lib --features axum,sqlx-postgres --target-dir target/public-api -- \
    -Z unstable-options --output-format json >&2
cargo public-api --rustdoc-json target/public-api/doc/better_auth.json -sss
