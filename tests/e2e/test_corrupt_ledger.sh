#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A damaged ledger: what is damaged is kept aside as it is, what is not is served, no record's name is
# given twice, and an instance that lives through it keeps its books.
. "$(dirname "$0")/lib.sh"

older() { mv "$(newest)" "$(of_hour "$1")"; } # as if it were of another hour, and closed
of_hour() { echo "$work/state/ledger-$(date -u -d "$started - $1 hours" +%Y%m%dT%H).db"; }
started=$(date -u +%FT%TZ)
newest() { find "$work/state" -name 'ledger-*.db' | sort | tail -n 1; }
spoil() { # FILE: as long as it was, and nothing in it
	head -c "$(stat -c %s "$1")" /dev/urandom >"$work/garbage" && cp "$work/garbage" "$1"
}
run() { "$B/functions/thumb" --function "$1" --count 20; }
names() { # of every record that can be read: RECORD_ID FUNCTION
	{ records --last 0 && oncpu instances --json --last 0; } 2>/dev/null | jq -r '.record_id + " " + .function'
}
printf '[function "long"]\ncgroup = /oncpu-e2e-long\n' >"$work/c"

# ---- three segments, and an instance that lives in all of them ----
agent_up --config "$work/c" || { echo "not ok 1 - the agent starts"; bad=1; exit 1; }
mkdir -p "$root/oncpu-e2e-long"
mkfifo "$work/go"
# shellcheck disable=SC2016
sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$root/oncpu-e2e-long" /usr/bin/python3 -c '
import ctypes, sys
runtime, go = ctypes.CDLL(sys.argv[1]), open(sys.argv[2])
for n, line in enumerate(iter(go.readline, "stop\n")):
    (runtime.oncpu_receive_invoke if n else lambda i: runtime.oncpu_receive_start(b"long", i))(line.strip().encode())
    sum(i * i for i in range(300000))
    runtime.oncpu_report_done(0)
    open(sys.argv[3], "w").close()
' "$B/liboncpu-runtime.so" "$work/go" "$work/done" &
long=$!
exec 6>"$work/go"
mkfifo "$work/done"
invoke() { echo "long-$1" >&6 && timeout 10 cat "$work/done"; } # one invocation, to its end
invoke 1
run first
agent_down
older 9
agent_up --config "$work/c"
invoke 2
run second
agent_down
older 8
agent_up --config "$work/c"
invoke 3
run third
check "nothing is lost so far" each_once long:3 first:20 second:20 third:20
names >"$work/before"
agent_down
lost=$(newest)
spoil "$lost"
agent_up --config "$work/c" || { echo "not ok 2 - the agent starts over a damaged ledger"; bad=1; exit 1; }

# ---- the newest is damaged ----
invoke 4
run fourth
check "the damaged segment is kept, as it is" cmp -s "$work/garbage" "$lost.corrupt-1"
check "the log names it, what it is now, and what to do" \
	grep -qE "^<4>ledger: $lost was damaged and is kept as $lost.corrupt-1: .*\.recover" "$work/agent.log"
check "what was stored before it and after it is there" each_once first:20 second:20 fourth:20
names >"$work/after"
unique() { # no name twice, none that the lost segment had given; what it held alone is missing
	/usr/bin/python3 - "$work/before" "$work/after" <<'PYTHON'
import sys
before, after = ([line.split() for line in open(f)] for f in sys.argv[1:])
old, new = dict(before), dict(after)
again = [n for n in new if n in old and old[n] != new[n]]
fresh = [n for n in new if new[n] == "fourth"]
print(f"# {len(old)} names before, {len(new)} after, {len(fresh)} of them new")
sys.exit(len(new) != len(after) or bool(again) or any(n in old for n in fresh) or len(fresh) < 20)
PYTHON
}
check "no record_id is given twice" unique

# ---- older ones are damaged ----
agent_down
first=$(of_hour 9)
spoil "$first"
agent_up --config "$work/c"
served() { # with exit status 0, the others' records, and one warning that names the file
	records --last 0 >"$work/records" 2>"$work/said" && grep -q '"second-20"' "$work/records" &&
		grep -q '"fourth-20"' "$work/records" && ! grep -q '"first-' "$work/records" && warned
}
warned() {
	[ "$(wc -l <"$work/said")" = 1 ] && grep -qE "^oncpu: warning: .*$first: .*\.recover" "$work/said" ||
		{ sed 's/^/# /' "$work/said"; return 1; }
}
check "an older segment is damaged: the others are served, and it is named" served
check "the newest 5 are in others: nothing to warn of" eval \
	'records --last 5 2>&1 >/dev/null | wc -l | grep -qx 0'
check "sums: likewise" eval 'oncpu compare --json >"$work/sums" 2>"$work/said" && grep -q second "$work/sums" && warned'
check "closed instances: likewise" eval 'oncpu instances --json >"$work/closed" 2>"$work/said" && grep -q second "$work/closed" && warned'
check "the agent's log says it once" [ "$(grep -c "^<4>.*$first: " "$work/agent.log")" = 1 ]
check "it is left where it is" cmp -s "$work/garbage" "$first"
agent_down
check "without an agent: likewise" served

# ---- the instance that lived through it ----
agent_up --config "$work/c"
invoke 5
echo stop >&6
wait "$long"
books() {
	records --function long --last 0 2>/dev/null >"$work/records" && oncpu instances --json --function long 2>/dev/null >"$work/instances"
	/usr/bin/python3 - "$work/records" "$work/instances" "$root/oncpu-e2e-long/cpu.stat" <<'PYTHON'
import json, sys
ids = [json.loads(l)["id"] for l in open(sys.argv[1])]
i, = map(json.loads, open(sys.argv[2]))
stat = int(open(sys.argv[3]).readline().split()[1]) * 1000
accounts = sum(i[k] for k in ("init_cpu_ns", "invocations_cpu_ns", "freeze_cpu_ns", "between_cpu_ns"))
print(f"# {ids} accounts {accounts} total {i['total_cpu_ns']} cpu.stat {stat} flags {i['flags']}")
sys.exit(ids != ["long-2", "long-4", "long-5"] or accounts != i["total_cpu_ns"] or not -4000 <= accounts - stat <= 4000
         or "events_lost" not in i["flags"])
PYTHON
}
check "its accounts add up to cpu.stat, and say that events were lost" books
