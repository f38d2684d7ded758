# SPDX-License-Identifier: GPL-2.0
# Shared by the end-to-end tests: TAP, an agent of the test's own, and nothing left behind.
# shellcheck shell=bash
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 2
B=$PWD/build
count=0 bad=0

[ "$(id -u)" = 0 ] || { echo "ok 1 - all # SKIP needs root"; exit 0; }
[ -r /sys/kernel/btf/vmlinux ] || { echo "ok 1 - all # SKIP no BTF"; exit 0; }

work=$(mktemp -d /tmp/oncpu-e2e.XXXXXX)
chmod 755 "$work"
root=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)
agent=

check() { # check WHAT COMMAND...: ok if the command succeeds
	count=$((count + 1))
	local what=$1
	shift
	if "$@"; then echo "ok $count - $what"; else echo "not ok $count - $what"; bad=1; fi
}
oncpu() { "$B/oncpu" "$@" --state-dir "$work/state" --socket "$work/s.sock"; }
records() { oncpu invocations --json "$@"; }

mkfifo "$work/ready"
exec 9<>"$work/ready"
agent_up() { # until it says that it is ready
	setsid "$B/oncpu" agent --state-dir "$work/state" --socket "$work/s.sock" --ready-fd 9 "$@" \
		>>"$work/agent.log" 2>&1 &
	agent=$!
	IFS= read -r -n 1 -t 20 -u 9 _
}
agent_down() { kill "$agent" 2>/dev/null; wait "$agent" 2>/dev/null; agent=; }
agent_kill() { kill -KILL -- "-$agent" 2>/dev/null; wait "$agent" 2>/dev/null; agent=; }

finish() {
	[ -z "$agent" ] || agent_kill
	for d in /sys/fs/bpf/oncpu-*; do [ -d "$d" ] && grep -qs "$d" "$work/agent.log" && rm -rf "$d"; done
	for c in "$root"/oncpu-e2e-*; do [ -d "$c" ] && rmdir "$c" 2>/dev/null; done
	[ $bad -eq 0 ] || sed 's/^/    agent: /' "$work/agent.log" 2>/dev/null | tail -20
	rm -rf "$work"
	exit $bad
}
trap finish EXIT
