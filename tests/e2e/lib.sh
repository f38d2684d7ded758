# SPDX-License-Identifier: GPL-2.0
# Shared by the end-to-end tests: TAP, an agent of the test's own, and nothing left behind.
# shellcheck shell=bash
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 2
B=$PWD/${B:-build}
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
# NAME:COUNT[:N]...: invocations NAME-1 to NAME-COUNT are there, each once, ok (but every Nth failed), and
# nothing is said of marks or ids. How exact a number is, is for others to test.
each_once() {
	records --last 0 >"$work/records"
	/usr/bin/python3 - "$work/records" "$@" <<'PYTHON'
import collections, json, sys
exactness = {"stale_slot", "torn_read", "negative_split"}
got = collections.Counter()
for r in map(json.loads, open(sys.argv[1])):
    got[r["function"], r["id"], r["status"], *sorted(set(r["flags"]) - exactness)] += 1
want, names = collections.Counter(), set()
for name, count, nth in ((n + ":0").split(":")[:3] for n in sys.argv[2:]):
    names.add(name)
    for i in range(1, int(count) + 1):
        want[name, f"{name}-{i}", "error" if int(nth) and i % int(nth) == 0 else "ok"] += 1
got = collections.Counter({k: n for k, n in got.items() if k[0] in names})
lost, over = want - got, got - want
if lost or over:
    print(f"# {sum(lost.values())} lost {list(lost)[:3]}, {sum(over.values())} too many {list(over)[:3]}")
sys.exit(bool(lost or over))
PYTHON
}

mkfifo "$work/ready"
exec 9<>"$work/ready"
agent_up() { # until it says that it is ready
	setsid "$B/oncpu" agent --state-dir "$work/state" --socket "$work/s.sock" --ready-fd 9 "$@" \
		>>"$work/agent.log" 2>&1 &
	agent=$!
	IFS= read -r -n 1 -t 60 -u 9 _
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
