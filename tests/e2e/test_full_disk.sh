#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The ledger's disk is full: the agent says so and goes on measuring, the kernel's ring holds what
# happens, and once there is room again every invocation is there, exactly once.
. "$(dirname "$0")/lib.sh"

mkdir "$work/state"
mount -t tmpfs -o size=2m,mode=755 oncpu-e2e "$work/state" || { echo "ok 1 - all # SKIP no tmpfs"; exit 0; }
trap '[ -z "$agent" ] || agent_kill; umount -lq "$work/state" "$work/new"; finish' EXIT
fill() { dd if=/dev/zero of="$work/state/ballast" bs=4096 2>/dev/null; [ "$(df --output=avail "$work/state" | tail -n 1)" -eq 0 ]; }
logged() { # REGEX COUNT: until the log has so many of these lines
	for ((i = 0; i < 200; i++)); do
		[ "$(grep -cE -e "$1" "$work/agent.log")" -ge "$2" ] && return 0
		read -r -t 0.05 -u 9 _ # the log wakes nobody: look again
	done
	return 1
}
run() { "$B/functions/thumb" --function "$1" --count "$2"; }

agent_up || { echo "not ok 1 - the agent starts"; bad=1; exit 1; }
run before 20
check "nothing is lost with room" each_once before:20
check "the disk is filled" fill
run during 400
check "the log says that the disk is full, what to do, and what is left of the ring" logged \
	'^<3>the ledger.s disk is full: .*free space.*Measuring goes on, [0-9]+ bytes of ring left' 1
check "once, not with each attempt" [ "$(grep -c 'disk is full' "$work/agent.log")" = 1 ]
asked() { # what is stored is served, and who asks is told that it is not all
	records --last 0 >"$work/records" 2>"$work/said" && grep -q '"before-20"' "$work/records" &&
		grep -qE '^oncpu: the agent is degraded: .*(full|space)' "$work/said" || { sed 's/^/# /' "$work/said"; return 1; }
}
check "who asks meanwhile is told" asked
rm "$work/state/ballast"
check "the log says that it goes on" logged '^<6>the ledger goes on where it stopped' 1
check "every invocation is there, exactly once" each_once before:20 during:400

# ---- the agent is killed while the disk is full ----
fill
run killed 400
logged 'disk is full' 2
agent_kill
run alone 20
agent_up || { echo "not ok $((count + 1)) - the agent starts on a full disk"; bad=1; exit 1; }
check "started on it, it says so" logged 'disk is full' 3
agent_kill
rm "$work/state/ballast"
agent_up || { echo "not ok $((count + 1)) - the agent starts again"; bad=1; exit 1; }
check "killed on a full disk, twice: every invocation is there, exactly once" \
	each_once before:20 during:400 killed:400 alone:20

# ---- the very first start ----
agent_down
mkdir "$work/new"
mount -t tmpfs -o size=4k,mode=755 oncpu-e2e "$work/new"
echo >"$work/new/ballast"
first() {
	timeout 20 "$B/oncpu" agent --state-dir "$work/new" --socket "$work/t.sock" >"$work/said" 2>&1
	[ $? -eq 1 ] && [ "$(wc -l <"$work/said")" = 1 ] && grep -qE 'No space left.*free' "$work/said" ||
		{ sed 's/^/# /' "$work/said"; return 1; }
}
check "a first start on a full disk is refused in one line" first
check "and leaves nothing in the kernel" [ "$(find /sys/fs/bpf -maxdepth 1 -name 'oncpu-*' -newer "$work/new/ballast" | wc -l)" = 0 ]
umount "$work/new"
