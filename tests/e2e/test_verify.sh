#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# integrity = chain on a real agent: across restarts and a kill, the ledger and its export verify; a record
# that is changed, left out or made up is named.
. "$(dirname "$0")/lib.sh"
gcc -O2 -Wall -Wextra -Werror -Iinclude tests/functions/marks.c -o "$work/marks"
head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$work/key"
chmod 600 "$work/key"
printf '[agent]\nintegrity = chain\nintegrity_key = %s\n' "$work/key" >"$work/conf"
verify() { "$B/oncpu" verify --state-dir "$work/state" "$@"; }
says() { # WHAT COMMAND...: fails, and says so
	local what=$1
	shift
	if "$@" >"$work/said" 2>&1; then sed 's/^/# /' "$work/said"; return 1; fi
	grep -qE "$what" "$work/said" || { sed 's/^/# /' "$work/said"; return 1; }
}

agent_up --config "$work/conf" || { echo "not ok 1 - the agent starts"; bad=1; exit 1; }
"$work/marks" one 50
agent_down
agent_up --config "$work/conf"
"$work/marks" two 50
records --last 1 >/dev/null # all is stored
check "while the agent runs" verify --key "$work/key"
agent_kill
agent_up --config "$work/conf"
"$work/marks" three 50
records --last 0 >"$work/export"
oncpu instances --json --last 0 >"$work/instances"
agent_down
verify --key "$work/key" >"$work/all"
check "across a restart and a kill: 150 invocations and 3 instances" grep -q '^153 records' "$work/all"
end=$(sed -n 's/^its end, for --through: //p' "$work/all")
check "its end is found again" verify --key "$work/key" --through "$end"
check "and another one is not" says 'is not among them' verify --key "$work/key" --through "7:${end#*:}"
check "without the key" says 'give its --key' verify
echo 0123456789abcdef0123456789abcdef >"$work/other"
chmod 600 "$work/other"
check "with another" says 'sealed with hmac-sha256:.*, not with' verify --key "$work/other"
sed -i 's/^integrity_key.*//' "$work/conf"
check "an agent without the key refuses that ledger" says 'one chain has one key' timeout 20 "$B/oncpu" agent \
	--config "$work/conf" --state-dir "$work/state" --socket "$work/s.sock"

export_of() { verify --key "$work/key" "$1"; }
check "the export" export_of "$work/export"
check "the closing records of the instances" export_of "$work/instances"
check "as jq writes it, members sorted" eval 'jq -cS . "$work/export" | verify --key "$work/key" - >/dev/null'
check "a selection" eval 'grep "\"two-" "$work/export" | verify --key "$work/key" - >/dev/null'
sed -E '7s/"cpu_ns":[0-9]+/"cpu_ns":1/' "$work/export" >"$work/changed"
check "one number changed: the record is named" says "line 7: record $(sed -n 7p "$work/export" | jq -r .record_id) is not as" export_of "$work/changed"
sed -E '9s/^\{/{"made":"up",/' "$work/export" >"$work/changed"
check "a member added" says 'line 9: record .* is not as' export_of "$work/changed"
sed -n '5p;5p' "$work/export" >"$work/changed"
check "a record twice" says 'line 2: record .* is there twice' export_of "$work/changed"
head -c -20 "$work/export" >"$work/changed"
check "an export cut short" says 'line 150 is no JSON, or not whole' export_of "$work/changed"
check "an export with nothing sealed" says 'no record in .* has a seal' eval 'jq -c "del(.integrity)" "$work/export" | verify -'
check "no export at all" says 'line 1 is no' export_of README.md

db=$(ls "$work/state"/ledger-*.db | tail -n 1)
sqlite3 "$db" "UPDATE invocations SET cpu_ns=cpu_ns+1 WHERE record_key=(SELECT min(record_key)+60 FROM invocations)"
id=$(sqlite3 "$db" "SELECT (SELECT host||'-'||substr(boot_id,1,8) FROM boots)||'-'||(min(record_key)+60) FROM invocations")
check "the ledger: a number changed behind its back" says "$(basename "$db"): record $id \(position [0-9]+\) is not as" verify --key "$work/key"
