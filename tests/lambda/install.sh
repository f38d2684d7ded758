#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# install.sh DIRECTORY: AWS's own Node clients from npm, as package-lock.json pins them. Once: the runtime
# client has a native part that takes most of a minute to build. Without a network the tests that need
# them are skipped, and say so.
set -u
here=$(cd "$(dirname "$0")" && pwd)
there=$1
stamp=$there/installed
want=$(cat "$here/package.json" "$here/package-lock.json" | sha256sum)
[ "$(cat "$stamp" 2>/dev/null)" = "$want" ] && exit 0

packages() { # those of the named that a program of the same line is missing for
	local missing=()
	command -v node >/dev/null || missing+=(nodejs)
	command -v npm >/dev/null || missing+=(npm)
	command -v cmake >/dev/null || missing+=(cmake)
	command -v xz >/dev/null || missing+=(xz-utils)
	[ ${#missing[@]} -eq 0 ] && return
	apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}
headers() { # where node's own are: with it, or from Debian
	local prefix
	prefix=$(dirname "$(dirname "$(readlink -f "$(command -v node)")")")
	if [ ! -e "$prefix/include/node/node.h" ]; then
		apt-get install -y -qq --no-install-recommends libnode-dev >/dev/null || return
		prefix=/usr
	fi
	echo "$prefix"
}
fail() {
	echo "AWS's Node clients could not be installed ($1): tests that need them are skipped" >&2
	exit 0
}

export DEBIAN_FRONTEND=noninteractive
[ "$(id -u)" = 0 ] || [ -x "$(command -v npm)" ] || fail "npm is missing: run sudo make test-deps"
packages || fail "packages"
npm_config_nodedir=$(headers) || fail "node's headers"
export npm_config_nodedir
echo "installing AWS's Node clients into ${there#"$PWD/"} (a minute, once)"
mkdir -p "$there"
cp "$here/package.json" "$here/package-lock.json" "$there"
(cd "$there" && npm ci --no-audit --no-fund --ignore-scripts=false --loglevel=error) >"$there/npm.log" 2>&1 ||
	fail "see $there/npm.log"
[ -e "$there/node_modules/aws-lambda-ric/rapid-client.node" ] || fail "its native part: see $there/npm.log"
echo "$want" >"$stamp"
