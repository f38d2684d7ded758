#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Functions on a scheduler in trouble: a CPU taken off and back, a CPU quota, real-time priority up to its
# throttling, a function that walks from one instance's cgroup into another's. Each invocation is there once,
# and the accounts are what cpu.stat says. Inside a virtual machine: nobody else's CPUs are taken away.
. "$(dirname "$0")/../e2e/lib.sh"

names="hot quota limited realtime from to"
for name in $names; do
	printf '[function "%s"]\ncgroup = /oncpu-e2e-%s\n' "$name" "$name"
	[ "$name" = hot ] || mkdir -p "$root/oncpu-e2e-$name"
done >"$work/c"
agent_up --config "$work/c" || { echo "not ok 1 - the agent starts"; bad=1; exit 1; }
enter() { # NAME COMMAND...
	mkdir -p "$root/oncpu-e2e-$1"
	# shellcheck disable=SC2016
	sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$root/oncpu-e2e-$1" "${@:2}"
}
stat() { awk -v key="$2" '$1 == key { print $2 }' "$root/oncpu-e2e-$1/cpu.stat"; }
law() { # NAME...: of instances that have ended; 2 µs a CPU are the fractions that cpu.stat cuts off
	oncpu instances --json >"$work/instances"
	for name in "$@"; do
		local said us
		said=$(jq -s --arg f "$name" '[.[] | select(.function == $f) | .total_cpu_ns] | add // 0' "$work/instances")
		us=$(stat "$name" usage_usec)
		echo "# $name: accounts $said ns, cpu.stat $us us"
		[ $((said - us * 1000)) -ge -4000 ] && [ $((said - us * 1000)) -le 4000 ] || return 1
	done
}

# ---- CPU hotplug ----
offline=/sys/devices/system/cpu/cpu1/online
enter hot "$B/functions/render" --function hot --count 12 &
function=$!
flips=0
while kill -0 $function 2>/dev/null; do
	[ $flips -lt 40 ] || break # its own work costs an emulated CPU more than the function does
	echo 0 >$offline && echo 1 >$offline && flips=$((flips + 1))
done
wait $function
echo "# CPU 1 went and came $flips times"
check "a CPU is taken off and back while a function runs on both" test $flips -gt 2
check "each of its invocations is there once" each_once hot:12
check "and the law holds" law hot

# ---- CPU quota ----
echo "10000 100000" >"$root/oncpu-e2e-quota/cpu.max"
enter quota "$B/functions/thumb" --function quota --count 15
check "a quota of a tenth of a CPU throttled the function" test "$(stat quota nr_throttled)" -gt 3
check "each of its invocations is there once" each_once quota:15
check "and the law holds" law quota
unstretched() { # wall time is there, and it is not on-CPU time
	records --function quota --last 0 | jq -se 'map(.wall_ns) as $w | map(.cpu_ns) as $c | ($w | add) > 3 * ($c | add)' >/dev/null
}
check "throttled time is wall time, and not CPU" unstretched

# ---- real-time priority ----
echo 200000 >/proc/sys/kernel/sched_rt_runtime_us # of a second: what real-time threads may have
dmesg -c >/dev/null
enter realtime chrt -f 10 "$B/functions/thumb" --function realtime --count 30
echo 950000 >/proc/sys/kernel/sched_rt_runtime_us
echo "# $(dmesg | grep -o 'RT throttling activated' || echo 'the kernel does not say whether it throttled')"
check "a real-time function: each invocation is there once" each_once realtime:30
check "and the law holds" law realtime

# ---- a walk between cgroups ----
# shellcheck disable=SC2016
sh -c 'burn() { i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done; }
	burn; echo $$ >"$0-from/cgroup.procs"; burn; echo $$ >"$0-to/cgroup.procs"; burn' "$root/oncpu-e2e"
check "a process that walks through two instances leaves in each what that cgroup was charged" law from to
agent_down
rmdir "$root"/oncpu-e2e-*
