#!/usr/bin/env bash
# Runs tests/infrastructure/tls.rs on an encrypting server of its own, with rustls and with native-tls
set -euo pipefail

cd "$(dirname "$0")/.."
source scripts/servers.bash

bin=$(server_binaries)
directory=$(mktemp -d)
port=$(free_port)
trap 'stop_server "$bin" "$directory" immediate 2>/dev/null || true; rm -rf "$directory"' EXIT
init_server "$bin" "$directory" better_auth

# authority NAME: NAME.key and NAME.crt, which may sign others.
authority() {
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=$1" -keyout "$directory/$1.key" -out "$directory/$1.crt" \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign 2>/dev/null
}

authority authority
authority other
openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout "$directory/server.key" -out "$directory/server.csr" 2>/dev/null
openssl x509 -req -in "$directory/server.csr" -days 2 -CA "$directory/authority.crt" -CAkey "$directory/authority.key" \
    -CAcreateserial -extfile <(printf 'subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\n') \
    -out "$directory/server.crt" 2>/dev/null
chmod 600 "$directory"/*.key
[ "$(id -u)" != 0 ] || chown "$(owner)" "$directory/server.key"

start_server "$bin" "$directory" "$port" -c ssl=on -c "ssl_cert_file='$directory/server.crt'" -c "ssl_key_file='$directory/server.key'"

export BETTER_AUTH_TLS_PORT=$port BETTER_AUTH_TLS_DIRECTORY=$directory
export BETTER_AUTH_TLS_CA=$directory/authority.crt BETTER_AUTH_TLS_OTHER_CA=$directory/other.crt
for feature in tls-rustls-ring-webpki tls-native-tls; do
    # In a folder of their own: their features would have everything else compiled again.
    cargo test --quiet --package better-auth-tests --features "conformance,sqlx-postgres,$feature" --test infrastructure --target-dir target/tls -- tls::
    echo "$feature: passed"
done
