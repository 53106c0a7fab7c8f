#!/usr/bin/env bash
# Makes a CA and a server's certificate with openssl, for trying things out. Keys stay in a folder that git ignores.
set -euo pipefail

usage() {
    echo "usage: certs/development-ca.sh [--folder FOLDER] NAME...
Makes FOLDER/ca.crt, ca.key, tls.crt and tls.key; the CA only where there is none. The names are DNS names or IP addresses, such as
spark-admission.spark-admission.svc. FOLDER is certs/development by default." >&2
    exit 2
}

folder="$(dirname "$0")/development"
if [ "${1:-}" = --folder ]; then
    [ $# -ge 2 ] || usage
    folder="$2"
    shift 2
fi
[ $# -gt 0 ] || usage
case "$1" in -*) usage ;; esac

names=""
for name in "$@"; do
    kind=DNS
    if [[ "$name" =~ ^[0-9.]+$ || "$name" == *:* ]]; then kind=IP; fi
    names="${names:+$names,}$kind:$name"
done

umask 077
mkdir -p "$folder"
drafts="$(mktemp -d "$folder/.draft-XXXXXX")"
trap 'rm -rf "$drafts"' EXIT

if [ ! -e "$folder/ca.crt" ] || ! openssl x509 -in "$folder/ca.crt" -noout -checkend 7776000 >/dev/null; then
    openssl ecparam -name prime256v1 -genkey -noout -out "$drafts/ca.key"
    openssl req -x509 -new -key "$drafts/ca.key" -days 365 -subj "/CN=spark-admission development CA" \
        -addext basicConstraints=critical,CA:TRUE,pathlen:0 -addext keyUsage=critical,keyCertSign,cRLSign \
        -out "$drafts/ca.crt"
    mv "$drafts/ca.key" "$drafts/ca.crt" "$folder"
fi

openssl ecparam -name prime256v1 -genkey -noout -out "$drafts/tls.key"
openssl req -new -key "$drafts/tls.key" -subj "/CN=spark-admission" -out "$drafts/tls.csr"
cat >"$drafts/extensions" <<END
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=serverAuth
subjectAltName=$names
END
openssl x509 -req -in "$drafts/tls.csr" -CA "$folder/ca.crt" -CAkey "$folder/ca.key" -CAcreateserial -CAserial "$drafts/serial" \
    -days 90 -extfile "$drafts/extensions" -out "$drafts/tls.crt" 2>/dev/null
mv "$drafts/tls.key" "$drafts/tls.crt" "$folder"
echo "$folder/ca.crt, tls.crt and tls.key, for $*"
