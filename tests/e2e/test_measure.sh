#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# oncpu measure: the program's own exit status, and one record with the CPU of its whole process tree,
# whatever becomes of the program and whether or not an agent runs.
. "$(dirname "$0")/lib.sh"
agent_up || { echo "not ok 1 - the agent starts"; bad=1; exit 1; }

cgroups() { ls -d "$root"/oncpu/measure-* 2>/dev/null; }
before=$(cgroups)
measure() { "$B/oncpu" measure --state-dir "$work/state" --socket "$work/s.sock" "$@" 2>"$work/said"; }
exits() { # STATUS ID COMMAND...
	measure --function thumb --id "$2" -- "${@:3}"
	local got=$?
	[ $got -eq "$1" ] || { echo "# exit status $got"; sed 's/^/# /' "$work/said"; return 1; }
}
record() { # ID STATUS: one, unflagged
	records --last 0 --id "$1" | jq -se --arg s "$2" \
		'length == 1 and .[0].function == "thumb" and .[0].status == $s and .[0].flags == []' >/dev/null ||
		{ records --id "$1" | sed 's/^/# /'; return 1; }
}

check "0: the program's" exits 0 job-7 true
check "its record is there" record job-7 ok
check "3: the program's" exits 3 three sh -c 'exit 3'
check "its record says error" record three error
check "127: no such program" exits 127 nobody "$work/nobody"
check "its record says error" record nobody error
check "126: it is no program" exits 126 unfit "$work/agent.log"
check "143: killed by SIGTERM" exits 143 killed sh -c 'kill -TERM $$'
check "its record says crashed" record killed crashed

# Three processes; the last is nobody's child by then and outlives the program. Each says what the
# kernel's own clock has charged it when it is done.
cat >"$work/tree.py" <<'PYTHON'
import os, sys, time
def burn():
    while time.process_time_ns() < 60_000_000:
        pass
    os.write(1, f"{time.process_time_ns()}\n".encode())
if os.fork() == 0:
    if os.fork() == 0:
        os.read(orphan := int(sys.argv[1]), 1)  # until the program has ended
    burn()
    os._exit(0)
burn()
os.wait()
PYTHON
mkfifo "$work/ended"
exec 7<>"$work/ended" # the programs inherit it
tree() {
	measure --function thumb --id tree -- sh -c '/usr/bin/python3 "$0" 7; echo >&7' "$work/tree.py" >"$work/burnt" &&
		records --id tree >"$work/tree"
	/usr/bin/python3 - "$work/tree" "$work/burnt" "$work/said" <<'PYTHON'
import json, re, sys
record = json.load(open(sys.argv[1]))
burnt = [int(line) for line in open(sys.argv[2])]
stat = int(re.search(r"^cpu\.stat .* (\d+) ns", open(sys.argv[3]).read(), re.M)[1])
print(f"# on-CPU {record['cpu_ns']} cpu.stat {stat} the three themselves {burnt} flags {record['flags']}")
sys.exit(not (len(burnt) == 3 and record["cpu_ns"] >= sum(burnt) and 0 <= record["cpu_ns"] - stat < 1000))
PYTHON
}
check "the whole tree is in it, the last orphan too, and it is what cpu.stat says" tree

short() { # its last moments, after it was waited for, are the kernel's as well as ours
	local i cpu stat wrong=0
	for i in {1..20}; do
		measure --function thumb --id "short-$i" -- sh -c : || return 1
		stat=$(sed -nE 's/^cpu\.stat .* ([0-9]+) ns.*/\1/p' "$work/said")
		cpu=$(sed -nE 's/^on-CPU .* ([0-9]+) ns.*/\1/p' "$work/said")
		[ $((cpu - stat)) -ge 0 ] && [ $((cpu - stat)) -lt 1000 ] || { echo "# $cpu ns, cpu.stat $stat"; wrong=$((wrong + 1)); }
	done
	[ $wrong = 0 ]
}
check "20 short programs: each is what cpu.stat says" short

spins() { # what measure itself has been charged while its program, its child, computed
	measure --function thumb --id spins -- /usr/bin/python3 -c '
import os, sys, time
parent = lambda: int(open(f"/proc/{os.getppid()}/schedstat").read().split()[0])
before, until = parent(), time.process_time_ns() + 300_000_000
while time.process_time_ns() < until:
    pass
print("# measure itself took", parent() - before, "ns of CPU beside 300 ms of its program")
sys.exit(parent() - before > 30_000_000)'
}
check "measure sleeps while its program runs" spins

start() { # ID COMMAND...: in a session of its own, as signals to the whole group would end this test
	setsid "$B/oncpu" measure --state-dir "$work/state" --socket "$work/s.sock" --function thumb --id "$1" -- \
		"${@:2}" 2>"$work/said" &
	measured=$!
}
ended() { # STATUS: it ends within some seconds, with this status
	timeout 10 tail --pid="$measured" -s 0.05 -f /dev/null || kill -KILL "$measured"
	wait "$measured"
	test $? -eq "$1"
}
start passed sh -c 'echo >&7; exec sleep 1000'
read -r -t 10 -u 7 _
kill -TERM "$measured"
check "a signal is passed on" ended 143
check "its record says crashed" record passed crashed
start rest sh -c 'sleep 1000 & echo >&7'
until grep -q 'waiting for the rest of its tree' "$work/said"; do kill -0 "$measured" || break; read -r -t 0.05 -u 7 _; done
kill -TERM "$measured"
check "after its program's end, a signal ends the rest of the tree" ended 0
check "its record is the program's" record rest ok

agent_down
check "with no agent, it has one of its own" exits 3 alone sh -c 'exit 3'
check "its record is there" record alone error
check "no process and no cgroup of all that is left" eval '! pgrep -f "$work" && [ "$(cgroups)" = "$before" ]'
