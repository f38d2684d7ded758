#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# fetch.sh DIRECTORY: the one thing on the page that is not ours, from npm, as package-lock.json pins it.
set -u
here=$(cd "$(dirname "$0")" && pwd)
there=$1
want=$(cat "$here/package.json" "$here/package-lock.json" | sha256sum)
[ "$(cat "$there/fetched" 2>/dev/null)" = "$want" ] && exit 0
fail() {
	echo "uPlot, the page's charts, could not be fetched from npm: $1" >&2
	exit 1
}
if ! command -v npm >/dev/null; then
	[ "$(id -u)" = 0 ] || fail "npm is missing (sudo make deps)"
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nodejs npm >/dev/null ||
		fail "npm could not be installed"
fi
mkdir -p "$there" || exit
cp "$here/package.json" "$here/package-lock.json" "$there" || exit
(cd "$there" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) >"$there/npm.log" 2>&1 ||
	fail "see $there/npm.log (a registry behind a proxy: npm config set registry)"
# npm keeps the year 1985; make wants to see that they are newer than what asked for them
touch "$there"/node_modules/uplot/dist/* "$there"/node_modules/uplot/LICENSE
echo "$want" >"$there/fetched"
