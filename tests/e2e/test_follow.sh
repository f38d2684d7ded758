#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# oncpu invocations --follow across restarts and kills of the agent: each record once, in order. And what
# oncpu functions and oncpu top say of a real agent.
. "$(dirname "$0")/lib.sh"
gcc -O2 -Wall -Wextra -Werror -Iinclude tests/functions/marks.c -o "$work/marks"
agent_up || { echo "not ok 1 - the agent starts"; bad=1; exit 1; }

follow() { # FD NAME OPTION...: a follower whose lines FD reads
	local fd=$1 name=$2
	shift 2
	mkfifo "$work/$name.fifo"
	"$B/oncpu" invocations --follow "$@" --state-dir "$work/state" --socket "$work/s.sock" >"$work/$name.fifo" \
		2>"$work/$name.err" &
	eval "${name}=\$! ; exec $fd<\"$work/$name.fifo\""
}
take() { # FD COUNT FILE: so many lines, or fail
	local line i
	for ((i = 0; i < $2; i++)); do
		IFS= read -r -t 30 -u "$1" line || return 1
		printf '%s\n' "$line" >>"$3"
	done
}
ids() { sed -nE 's/.*"id":"([^"]*)".*/\1/p' "$1"; }
each() { # FILE NAME COUNT: NAME-1 … NAME-COUNT, each once
	[ "$(ids "$1" | grep "^$2-" | sort -V)" = "$(seq -f "$2-%.0f" "$3")" ]
}
# begun on an empty ledger, the agent restarts before the first record
mkfifo "$work/empty.fifo" "$work/calls"
strace -e trace=connect -o "$work/calls" "$B/oncpu" invocations --follow --json --state-dir "$work/state" \
	--socket "$work/s.sock" >"$work/empty.fifo" 2>"$work/empty.err" &
tracer=$!
exec 5<"$work/empty.fifo" 4<"$work/calls"
for _ in 1 2; do # it lists, then it follows
	while IFS= read -r -t 30 -u 4 call; do case $call in *" = 0") break ;; esac; done
done
cat <&4 >/dev/null &
agent_down
agent_up
"$work/marks" first 50
take 5 50 "$work/empty.out"
check "begun before the first record, across a restart: each once" each "$work/empty.out" first 50
kill -INT "$(pgrep -P $tracer oncpu)"
wait "$tracer"
check "SIGINT ends it with 0" test $? = 0
check "it says at most that it waits" eval '! grep -vx "oncpu: the agent has gone; waiting for it" "$work/empty.err"'

follow 6 both --json --last 1
follow 7 table --last 2
follow 8 only --json --function second --last 0
take 6 1 "$work/both.out"
take 7 3 "$work/table.out"
"$work/marks" second 50
take 6 50 "$work/both.out"
check "--last 1, then what ends" test "$(ids "$work/both.out" | head -n 1)" = first-50
check "live" each "$work/both.out" second 50
agent_kill
agent_up
"$work/marks" third 50
"$work/marks" second 1
take 6 51 "$work/both.out"
check "across a kill -9" each "$work/both.out" third 50
duplicates() { sed -nE 's/.*"record_id":"([^"]*)".*/\1/p' "$1" | sort | uniq -d; }
check "no record twice" test -z "$(duplicates "$work/both.out")"
take 8 51 "$work/only.out"
check "--function" test "$(ids "$work/only.out" | grep -vc '^second-')" = 0
take 7 100 "$work/table.out"
aligned() { # the titles once; the columns below them
	[ "$(grep -c '^START' "$work/table.out")" = 1 ] && [ "$(sed -n 1p "$work/table.out" | cut -c1-5)" = START ] &&
		[ "$(awk 'NR > 1 { print index($0, " ok ") }' "$work/table.out" | sort -u | wc -l)" = 1 ]
}
check "the table: titles once, aligned" aligned
kill -TERM "$only"
wait "$only"
check "SIGTERM as well" test $? = 0
kill -INT "$both"
wait "$both"
(oncpu invocations --follow --json --last 1 2>"$work/err"; echo $? >"$work/code") | head -n 1 >"$work/head" &
headed=$!
while [ ! -s "$work/head" ]; do read -r -t 0.01 -u 9 _; done # head has seen enough
"$work/marks" fourth 1
wait "$headed"
check "nobody reads it any more: it ends, with 0 and without a word" test "$(cat "$work/code" "$work/err")" = 0
kill -INT "$table"
wait "$table"

check "functions --names" test "$(oncpu functions --names | tr '\n' ' ')" = 'first fourth second third '
functions() { [ "$(oncpu functions --json | jq -c '[.function, .count, .cold_starts, .instances_open]' | tr '\n' ' ')" = "$1" ]; }
check "functions --json" functions '["first",50,1,0] ["fourth",1,1,0] ["second",51,2,0] ["third",50,1,0] '
check "functions: a table" eval 'oncpu functions | grep -qE "^second +51 +2 +0 +0 "'
# a function at work while top looks: what it ended in the interval, in no reading twice
"$work/marks" busy 100000000 >/dev/null 2>&1 &
busy=$!
oncpu_top() { "$B/oncpu" top --socket "$work/s.sock" "$@"; }
until oncpu functions --names | grep -qx busy; do :; done
oncpu_top --once --json --interval 500ms --function busy >"$work/top" 2>"$work/why"
sed 's/^/# /' "$work/top" "$work/why"
kill "$busy" 2>/dev/null
wait "$busy" 2>/dev/null
check "top --once of a real agent: invocations, on-CPU within the wall time of one thread" \
	jq -e '.count > 0 and .cpu_ns > 0 and .cpu_ns <= .wall_ns and .interval_ns >= 500000000 and .instances == 1 and .billed_ns >= .count * 1000000' "$work/top"
agent_down
quiet() { [ "$(oncpu functions --json | jq -c 'select(.function != "busy") | [.function, .count, .cold_starts, .instances_open]' | tr '\n' ' ')" = "$1" ]; }
check "functions from the ledger: nobody knows what runs" quiet '["first",50,1,null] ["fourth",1,1,null] ["second",51,2,null] ["third",50,1,null] '
oncpu invocations --follow --json 2>"$work/why"
code=$?
check "without an agent it says so" eval '[ $code = 1 ] && grep -q "only an agent can be followed" "$work/why"'
