#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The main job on real input: starts an agent of its own, runs four real functions in cgroups of their
# own, shows what each used and would be billed, and the law against the kernel's own books. Leaves
# nothing behind.
set -eu
cd "$(dirname "$0")/.."
B=build
[ "$(id -u)" = 0 ] || { echo "the demo loads eBPF programs and makes cgroups: run it with sudo make demo"; exit 1; }

work=$(mktemp -d /tmp/oncpu-demo.XXXXXX)
chmod 755 "$work"
root=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)
[ -n "$root" ] || { echo "no cgroup v2 mount (mount -t cgroup2 none /sys/fs/cgroup)"; exit 1; }
oncpu() { "$B/oncpu" "$@" --state-dir "$work/state" --socket "$work/oncpu.sock"; }

agent=
finish() {
	status=$?
	if [ -n "$agent" ]; then kill "$agent" 2>/dev/null && wait "$agent" 2>/dev/null || true; fi
	for c in "$root"/oncpu-demo/*/; do [ -d "$c" ] && rmdir "$c"; done
	[ -d "$root/oncpu-demo" ] && rmdir "$root/oncpu-demo"
	[ "$status" -eq 0 ] || cat "$work/agent.log"
	rm -rf "$work"
}
trap finish EXIT

for name in thumb fetch render report; do
	printf '[function "%s"]\ncgroup = /oncpu-demo/%s-*\nmemory_mb = 128\n' "$name" "$name"
done >"$work/oncpu.conf"
mkfifo "$work/ready"
"$B/oncpu" agent --config "$work/oncpu.conf" --state-dir "$work/state" --socket "$work/oncpu.sock" \
	--unpin --ready-fd 9 9<>"$work/ready" >"$work/agent.log" 2>&1 &
agent=$!
# one byte when it is ready; or it ends, and the log says why
exec 8<>"$work/ready"
while ! IFS= read -r -n 1 -t 1 -u 8 _; do kill -0 "$agent" 2>/dev/null || exit 1; done

# in CGROUP COMMAND...: the command is in its cgroup before its first instruction
in_cgroup() {
	mkdir -p "$root/oncpu-demo/$1"
	sh -c 'echo $$ >"$0/cgroup.procs" && shift 0 && exec "$@"' "$root/oncpu-demo/$1" "${@:2}"
}

count=${COUNT:-20}
echo "running four functions, $count invocations each …"
in_cgroup thumb-1 "$B/functions/thumb" --function thumb --count "$count" &
p1=$!
in_cgroup fetch-1 "$B/functions/fetch" --function fetch --count "$count" &
p2=$!
wait "$p1" "$p2"
in_cgroup render-1 "$B/functions/render" --function render --count "$count"
in_cgroup report-1 /usr/bin/python3 tests/functions/lambda.py "$B/liboncpu-runtime.so" --function report --count "$count"

echo
echo "The last invocations (oncpu invocations; INIT stands at a cold start):"
for name in thumb fetch render report; do oncpu invocations --function "$name" --last 3 | tail -n +"$([ "$name" = thumb ] && echo 1 || echo 2)"; done
echo
echo "What they used, and what they would be billed (oncpu compare):"
oncpu compare
echo
echo "The law: init + invocations + freeze + between, against the kernel's own cpu.stat (whole µs):"
oncpu instances --json >"$work/instances"
/usr/bin/python3 - "$work/instances" "$root/oncpu-demo" <<'PYTHON'
import json, sys
print(f"{'FUNCTION':<10} {'ACCOUNTS, ns':>15} {'CPU.STAT, ns':>15} {'DIFFERENCE':>12} {'%':>10}")
broken = False
for line in open(sys.argv[1]):
    i = json.loads(line)
    accounts = sum(i[k] for k in ("init_cpu_ns", "invocations_cpu_ns", "freeze_cpu_ns", "between_cpu_ns"))
    with open(f"{sys.argv[2]}/{i['function']}-1/cpu.stat") as f:
        stat = int(f.readline().split()[1]) * 1000
    # cpu.stat is cut to whole µs: what is below one is its rounding, not ours
    broken |= not -1000 <= accounts - stat <= 1000 + stat // 100000
    print(f"{i['function']:<10} {accounts:>15,} {stat:>15,} {accounts - stat:>9,} ns {100 * (accounts - stat) / stat:>+10.5f}")
print("the law holds: what is left is the part of a microsecond that cpu.stat cuts off" if not broken else "THE LAW IS BROKEN")
sys.exit(1 if broken else 0)
PYTHON
echo
echo "Any program, its whole process tree as one invocation (oncpu measure -- …):"
"$B/oncpu" measure --function archive --id job-7 --state-dir "$work/state" --socket "$work/oncpu.sock" -- \
	sh -c 'tar cf - agent include bpf tests | gzip -9 | wc -c >/dev/null'
