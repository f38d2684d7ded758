#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Marks in binaries that nobody has seen: many at once, static ones, in a container, in a library that
# Python loads, from C++. From the first mark on, each invocation is in the ledger exactly once.
. "$(dirname "$0")/lib.sh"

build() { "$@" -O2 -Wall -Wextra -Werror -Iinclude; } # COMPILER [OPTION...] FILE...
source=tests/functions/marks.c
build gcc $source -o "$work/marks" &&
	build gcc -static $source -o "$work/static" &&
	build gcc -c agent/runtime/runtime.c -o "$work/runtime.o" &&
	build g++ -std=c++11 -pedantic "$work/runtime.o" -x c++ $source -o "$work/c++" ||
	{ echo "not ok 1 - the functions are built"; bad=1; exit 1; }
agent_up || { echo "not ok 1 - the agent starts"; bad=1; exit 1; }

expected=() running=()
for i in {1..20}; do cp "$work/marks" "$work/unseen-$i"; done # an inode each
for i in {1..20}; do
	"$work/unseen-$i" "unseen$i" 50 &
	running+=($!) expected+=("unseen$i:50")
done
wait "${running[@]}"
check "20 unseen binaries at once, 50 invocations each" each_once "${expected[@]}"
"$work/unseen-1" again 50
check "the second process of a binary" each_once again:50

# 1,100 marks: the 1,025th is a hello again
"$work/static" static 550
check "a static binary" each_once static:550

contained() { # NAME FILE: as process 1 of a container whose root is an overlay, nobody's rights
	# shellcheck disable=SC2016
	unshare --mount --pid --fork sh -ec '
		mount -t tmpfs none "$0/box"
		mkdir "$0/box/upper" "$0/box/work" "$0/box/root"
		mount -t overlay -o "lowerdir=$0/image,upperdir=$0/box/upper,workdir=$0/box/work" none "$0/box/root"
		cp "$0/marks" "$0/box/root/upper"
		exec chroot --userspec=65534:65534 "$0/box/root" "/$2" "$1" 50' "$work" "$1" "$2"
}
mkdir -p "$work/box" "$work/image"
cp --parents $(ldd "$work/marks" | grep -o '/[^ ]*') "$work/image"
cp "$work/marks" "$work/image/lower"
if unshare --mount sh -ec "mount -t tmpfs none $work/box; mkdir $work/box/u $work/box/w
	mount -t overlay -o lowerdir=$work/image,upperdir=$work/box/u,workdir=$work/box/w none $work/box" 2>"$work/why"; then
	contained lower lower
	check "a container: a binary of its image" each_once lower:50
	contained upper upper
	check "a container: a binary that was put into it later" each_once upper:50
else
	for i in 1 2; do echo "ok $((++count)) - a container # SKIP no overlayfs: $(tail -n 1 "$work/why")"; done
fi

cp "$B/liboncpu-runtime.so" "$work/unseen.so"
/usr/bin/python3 tests/functions/lambda.py "$work/unseen.so" --function python --count 50
check "a Python program, through ctypes" each_once python:50

"$work/c++" c++ 50
check "C++, and C beside it" each_once c++:50

"$work/marks" cold 50 "$work/ids"
check "ids that are not in memory" each_once cold:50

notes() { # FILE: each mark's note, once
	readelf -n "$1" | awk '/Provider:/ { provider = $2 } /Name:/ { print provider ":" $2 }' | tr '\n' ' ' |
		grep -qx 'oncpu:receive_start oncpu:receive_invoke oncpu:response oncpu:report_done '
}
for file in marks static c++ unseen.so; do
	check "notes in the systemtap format: $file" notes "$work/$file"
done
traced() { # the first invocation's start is a hello; its done goes through the nop
	bpftrace -e "usdt:$work/marks:oncpu:report_done { @done = count(); }
		usdt:$work/marks:oncpu:receive_invoke { @ids[str(arg1)] = count(); }" \
		-c "$work/marks traced 50" >"$work/trace" 2>&1
	grep -qx '@done: 50' "$work/trace" && [ "$(grep -c '^@ids\[traced-[0-9]*\]: 1$' "$work/trace")" = 49 ] ||
		{ sed 's/^/# /' "$work/trace" | head; return 1; }
}
if command -v bpftrace >/dev/null; then
	check "bpftrace sees the marks" traced
	check "and the agent beside it" each_once traced:50
else
	echo "ok $((++count)) - bpftrace sees the marks # SKIP no bpftrace"
fi
stopped() { ps -eo stat=,args= | grep -E "^T.*($work|lambda.py)"; }
check "nobody is left stopped" eval '! stopped'
