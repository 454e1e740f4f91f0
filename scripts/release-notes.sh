#!/usr/bin/env bash
# Prints what CHANGELOG.md says of a version: release-notes.sh VERSION
set -euo pipefail

cd "$(dirname "$0")/.."
version=${1:?usage: release-notes.sh VERSION}
packaged=$(sed -n '/^\[package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
[ "$version" = "$packaged" ] || { echo "Cargo.toml has version $packaged, not $version" >&2; exit 1; }
notes=$(awk -v heading="## $version" '
    /^## / { inside = $0 == heading || index($0, heading " ") == 1; next }
    inside' CHANGELOG.md)
[ -n "$notes" ] || { echo "CHANGELOG.md has no part \"## $version\"" >&2; exit 1; }
printf '%s\n' "$notes"
