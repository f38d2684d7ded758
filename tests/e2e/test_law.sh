#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The law over 100,000 invocations of one instance, with forks, exits, threads, execs and freezes, from the
# scheduler to the ledger: all accounts together are the cgroup's own cpu.stat, to 0.001 %.
. "$(dirname "$0")/lib.sh"
invocations=${COUNT:-100000} cgroup=$root/oncpu-e2e-law
printf '[function "law"]\ncgroup = /oncpu-e2e-law\n' >"$work/conf"
agent_up --config "$work/conf" || { echo "not ok 1 - the agent starts"; bad=1; exit 1; }

rmdir "$cgroup" 2>/dev/null
mkdir "$cgroup"
# shellcheck disable=SC2016
sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$cgroup" "$B/functions/law" "$invocations" &
function=$!
/usr/bin/python3 - "$cgroup" "$function" <<'PYTHON' >"$work/freezes" &
import os, select, sys
cgroup, function = sys.argv[1], int(sys.argv[2])
events = os.open(f"{cgroup}/cgroup.events", os.O_RDONLY)
changed = select.poll()
changed.register(events, select.POLLPRI)
ended = os.pidfd_open(function)
changed.register(ended, select.POLLIN)
freezes = 0

def until(text):
    """Waits for the cgroup to say so; False once the function has ended."""
    while text not in os.pread(events, 200, 0).decode():
        if any(fd == ended for fd, _ in changed.poll()):
            return False
    return True

over = select.poll()
over.register(ended, select.POLLIN)
while not over.poll(20):  # a freeze every 20 ms: not a wait for anything, but the load
    with open(f"{cgroup}/cgroup.freeze", "w") as f:
        f.write("1")
    freezes += until("frozen 1")
    with open(f"{cgroup}/cgroup.freeze", "w") as f:
        f.write("0")
print(freezes)
PYTHON
freezer=$!
wait "$function"
check "the function ends well" [ $? -eq 0 ]
wait "$freezer"

oncpu instances --json --function law >"$work/instances"
records --function law --last 0 >"$work/records"
law() {
	/usr/bin/python3 - "$work/records" "$work/instances" "$work/freezes" "$cgroup/cpu.stat" "$invocations" <<'PYTHON'
import json, sys
records = [json.loads(line) for line in open(sys.argv[1])]
instances = [json.loads(line) for line in open(sys.argv[2])]
freezes, stat = int(open(sys.argv[3]).read()), int(open(sys.argv[4]).readline().split()[1]) * 1000
count = int(sys.argv[5])
bad = []

def must(true, what):
    if not true:
        bad.append(what)

must(len(instances) == 1, f"{len(instances)} instances")
closing = instances[0]
must([r["id"] for r in records] == [f"law-{i}" for i in range(1, count + 1)], f"{len(records)} records, not each once")
flagged = sorted({f for r in records for f in r["flags"]} - {"stale_slot", "torn_read", "negative_split"})
must(not flagged, f"flags {flagged}")
part = lambda r, name: (r[name] or {}).get("cpu_ns", 0)
# the records alone: the first one's init, each one's invocation and what came before it; then the last stretch
accounts = sum(part(r, "init") + r["cpu_ns"] + part(r, "between") + part(r, "freeze") for r in records)
accounts += part(closing, "last_between")
rest = closing["init_cpu_ns"] + closing["invocations_cpu_ns"] + closing["freeze_cpu_ns"] + closing["between_cpu_ns"]
must(rest == accounts, f"the closing record has {rest} ns, the records {accounts}")
must(stat >= 1_000_000_000, f"{stat} ns of CPU are not 1 s")
must(freezes >= 20, f"{freezes} freezes")
# cpu.stat is cut to whole µs
must(-stat // 100_000 <= rest - stat <= stat // 100_000 + 1000, f"accounts {rest}, cpu.stat {stat}")
print(f"# {len(records)} invocations, {freezes} freezes, accounts {rest} ns, cpu.stat {stat} ns: "
      f"{rest - stat:+} ns, {100 * (rest - stat) / stat:+.6f} %")
for b in bad:
    print("#", b)
sys.exit(bool(bad))
PYTHON
}
check "init + invocations + freeze + between = cpu.stat, to 0.001 %" law
agent_down
