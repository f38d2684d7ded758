#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The exactness harness in short: no invocation outside its own stated bound, in any mode, and bounds
# that say something. (build/bpf/exactness 10000 is the whole of it.)
cd "$(dirname "$0")/../.." || exit 2
[ "$(id -u)" = 0 ] || { echo "ok 1 - exactness # SKIP needs root"; exit 0; }
[ -r /sys/kernel/btf/vmlinux ] || { echo "ok 1 - exactness # SKIP no BTF"; exit 0; }
# A host whose hypervisor takes its CPUs away makes bounds that say nothing (exit 2): then that mode once more. One
# invocation outside its own bound (exit 1) is shown and looked for again, a second run with one fails: what is left
# open comes about once in 100,000 on a host that is hogged (README, Limits).
outside=0 wide=0 out=/tmp/oncpu-exactness.out
head=$(mktemp) rows=$(mktemp)
for mode in 0 1 2 3 4 5; do
	for _ in 1 2 3 4 5 6 7 8; do
		EXACTNESS_SHOW=1 build/bpf/exactness "${COUNT:-3000}" $mode 2>/tmp/oncpu-exactness.log >$out
		status=$?
		head -n 2 $out >"$head"
		tail -n 1 $out >>"$rows"
		[ $status -ne 0 ] || break
		echo "# mode $mode is not clean (exit $status), $(grep -c '#' /tmp/oncpu-exactness.log) outside their bound"
		grep -A 1 '#' /tmp/oncpu-exactness.log | head -20 | sed 's/^/# /'
		[ $status -ne 1 ] || outside=$((outside + 1))
		[ $outside -lt 2 ] && [ $status -le 2 ] || break 2
	done
	[ $status -ne 2 ] || wide=$((wide + 1))
done
if [ $status -le 2 ] && [ $outside -lt 2 ] && [ $wide -eq 0 ]; then
	echo "ok 1 - each invocation lies within its own stated bound, in six modes"
else
	echo "not ok 1 - each invocation lies within its own stated bound, in six modes (exit $status, $outside runs outside, $wide modes too wide)"
fi
cat "$head" "$rows" | sed 's/^/# /'
rm -f "$head" "$rows"

# Trap 3 of the accounting scheme: who is about to run is charged from its wake-up on, afterwards. Left open,
# a bound of 0 is claimed for it, and some invocation lies outside its own.
open_trap() { # SWITCH MODE
	for _ in 1 2 3 4 5; do
		env "$1=1" build/bpf/exactness "${COUNT:-3000}" "$2" >/tmp/oncpu-exactness.out 2>&1
		[ $? -ne 1 ] || return 0
	done
	return 1
}
if open_trap EXACTNESS_NO_WAKEUP_BOUND 2; then
	echo "ok 2 - trap 3 left open: without the bound of what is waking up some lie outside"
elif [ -n "${EXACTNESS_EMULATED:-}" ]; then
	echo "ok 2 - trap 3 left open # SKIP none of the few invocations of an emulated CPU was woken at the right instant"
else
	echo "not ok 2 - trap 3 left open: without the bound of what is waking up some lie outside"
fi
tail -n 1 /tmp/oncpu-exactness.out | sed 's/^/# /'

# Trap 13: a switch after a wake-up charges up to the wake-up. Left open, what runs in between is counted.
if [ -n "${EXACTNESS_EMULATED:-}" ]; then
	echo "ok 3 - trap 13 left open # SKIP a window of some µs is too seldom met by the few invocations of an emulated CPU"
elif open_trap EXACTNESS_NO_SKIP_CHECK 5; then
	echo "ok 3 - trap 13 left open: what runs between a wake-up and its switch is counted, and some lie outside"
else
	echo "not ok 3 - trap 13 left open: what runs between a wake-up and its switch is counted, and some lie outside"
fi
tail -n 1 /tmp/oncpu-exactness.out | sed 's/^/# /'
rm -f /tmp/oncpu-exactness.out /tmp/oncpu-exactness.log
