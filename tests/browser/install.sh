#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# install.sh DIRECTORY: what drives a browser and what parses PromQL, from npm, as package-lock.json pins
# them; no browser comes with it, Debian's is used. Without a network the tests that need them are skipped,
# and say so.
set -u
here=$(cd "$(dirname "$0")" && pwd)
there=$1
want=$(cat "$here/package.json" "$here/package-lock.json" | sha256sum)
[ "$(cat "$there/installed" 2>/dev/null)" = "$want" ] && exit 0
fail() {
	echo "the browser's remote control could not be installed ($1): tests that need it are skipped" >&2
	exit 0
}
command -v npm >/dev/null || fail "npm is missing: run sudo make test-deps"
mkdir -p "$there" || fail "$there cannot be made"
cp "$here/package.json" "$here/package-lock.json" "$there"
(cd "$there" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) >"$there/npm.log" 2>&1 ||
	fail "see $there/npm.log"
echo "$want" >"$there/installed"
