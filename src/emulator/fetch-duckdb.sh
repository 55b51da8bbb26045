#!/bin/sh
# Puts libduckdb.so and its LICENSE into the directory given; does nothing when they are already there.
# The library comes from the pinned npm package of DuckDB's own Node bindings, checked by SHA-256.
set -eu

[ $# -eq 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
directory=$1
version=1.5.5-r.5
stamp="$directory/duckdb.version"

if [ -s "$directory/libduckdb.so" ] && [ -s "$directory/LICENSE" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$version" ]; then
	exit 0
fi

case $(uname -m) in
x86_64 | amd64)
	machine=x64
	sum=86d2bda909785550e8a14a57a8a4584827aff0e268d8f1a58c3fd48559f7020e ;;
aarch64 | arm64)
	machine=arm64
	sum=3b85f3ea438f7dc3691d7b5e6e4222ffe9127fd17885f96ca72e0c99925c348e ;;
*)
	echo "$0: no DuckDB library for $(uname -m)" >&2
	exit 1 ;;
esac

command -v npm >/dev/null || { echo "$0: npm is needed to fetch DuckDB" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

(cd "$work" && npm pack --silent "@duckdb/node-bindings-linux-$machine@$version" >/dev/null)
archive=$(find "$work" -maxdepth 1 -name '*.tgz')
echo "$sum  $archive" | sha256sum --check --status || { echo "$0: checksum of the DuckDB package differs" >&2; exit 1; }
tar -xzf "$archive" -C "$work"

mkdir -p "$directory"
install -m 0644 "$work/package/LICENSE" "$directory/LICENSE"
install -m 0755 "$work/package/libduckdb.so" "$directory/libduckdb.so.new"
mv "$directory/libduckdb.so.new" "$directory/libduckdb.so"
echo "$version" >"$stamp"
