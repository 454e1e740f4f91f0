#!/usr/bin/env bash
# Proves what Cargo.toml says of versions: the oldest dependencies that it allows, and the oldest compiler.
set -euo pipefail

cd "$(dirname "$0")/.."
features=axum,cli,conformance,tracing,metrics
target=$(realpath -m target/versions)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$copy"
cd "$copy"

rm Cargo.lock
RUSTC_BOOTSTRAP=1 cargo -Z direct-minimal-versions generate-lockfile
cargo check --locked --package better-auth --features $features --target-dir "$target"
echo "compiles with the oldest dependencies that Cargo.toml allows"

oldest=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
if toolchain=$(rustup toolchain list 2>/dev/null | grep -oE "^$oldest[^ ]*"); then
    cargo +"$toolchain" check --locked --package better-auth --features $features --target-dir "$target"
    echo "compiles with Rust $oldest"
else
    echo "Rust $oldest is not at hand: not compiled with it"
fi
