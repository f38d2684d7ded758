#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Boundaries at symbols of somebody else's runtime, which the configuration names: a library that does
# not know of us, with ids that are not in memory when the symbol is called.
. "$(dirname "$0")/lib.sh"

gcc -O2 -fPIC -shared tests/functions/foreign/runtime.c -o "$work/libforeign.so" &&
	gcc -O2 tests/functions/foreign/program.c -L"$work" -lforeign -Wl,-rpath,"$work" -o "$work/foreign" ||
	{ echo "not ok 1 - the library and its program are built"; bad=1; exit 1; }
marked() { readelf -n "$work/libforeign.so" "$work/foreign" | grep -q stapsdt; }
check "neither has a mark of ours" eval '! marked'
mark() { # SYMBOL BOUNDARY KEY...
	printf '[mark "their %s"]\nfile = %s\nsymbol = %s\nboundary = %s\n' "$1" "$work/libforeign.so" "$1" "$2"
	printf '%s\n' "${@:3}"
}
{
	mark receive_start start 'function_arg = 1' 'id_arg = 2'
	mark receive_invoke invoke 'id_arg = 0'
	mark report_done "done" 'status_arg = 2' # the double is in none of these registers
} >"$work/c"
agent_up --config "$work/c" || { echo "not ok 1 - the agent starts"; bad=1; exit 1; }

"$work/foreign" foreign 40 "$work/ids"
check "the program runs as without us" test $? = 0
check "each invocation once, with its whole id" each_once foreign:40:4
long=a-function-of-a-third-party-whose-ids-are-just-not-too-long-x
"$work/foreign" $long 40 "$work/ids"
check "ids of 63 and 64 bytes, half of each in another page" each_once $long:40:4
"$work/foreign" torn 1 "$work/ids" torn
unreadable() { records --function torn | jq -se 'length == 1 and (.[0].flags | index("id_unreadable"))' >/dev/null; }
check "an id that runs out of memory that can be read is flagged" unreadable

agent_down
sed 's/receive_invoke/recieve_invoke/' "$work/c" >"$work/wrong"
"$B/oncpu" agent --state-dir "$work/state" --socket "$work/s.sock" --config "$work/wrong" >"$work/said" 2>&1
check "a symbol that is not there is refused" test $? -ne 0
check "with the line, and the name that was meant" \
	grep -q "$work/wrong:[0-9]*: .*has no symbol recieve_invoke (did you mean receive_invoke" "$work/said"
