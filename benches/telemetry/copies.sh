#!/usr/bin/env bash
# Copies the crate three times, each under another name, so that one program can hold builds with other features.
set -euo pipefail

cd "$(dirname "$0")/../.."
copies=target/telemetry-copies
for name in plain traced measured; do
    copy=$copies/$name
    rm -rf "$copy"
    mkdir -p "$copy"
    # With the times of the files, so that Cargo builds only what has changed.
    cp --archive --parents --target-directory="$copy" .sqlx migrations sqlx.toml src README.md docs
    sed -e "s/^name = \"better-auth\"\$/name = \"better-auth-$name\"/" \
        -e 's/^members = .*/members = ["."]/' -e '/^default-members/d' \
        -e '/^\[\[bin\]\]/,/^$/d' -e '/^\[\[test\]\]/,/^$/d' \
        -e 's/^\[package\]$/[package]\nautobins = false\nautoexamples = false/' Cargo.toml >"$copy/Cargo.toml"
    touch --reference=Cargo.toml "$copy/Cargo.toml"
done
