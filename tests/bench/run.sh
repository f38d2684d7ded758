#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# make bench: what measuring costs and how exact it is, as tables, and as one JSON document in
# build/bench.json. Ratios within one run are what counts; absolute times depend on the machine. Some twenty
# minutes; the end says what took how long. On a busy host cost takes all of its seconds.
#
#   ONLY="scale.py agent.py"   these parts
#   ROUNDS=9 PEER_ROUNDS=3 SECONDS_OF_COST=300   of cost
#   MINUTES=1   of long_run.py; 10 for the whole target
#   INSTANCES=10000 ROUNDS_OF_SCALE=8   of scale.py
set -u
cd "$(dirname "$0")/../.."
[ "$(id -u)" = 0 ] || { echo "make bench loads eBPF programs: run it with sudo"; exit 1; }
rows=build/bench.rows
: >"$rows"
kernel=$(uname -sr) cpus=$(nproc) date=$(date -u +%F)
export PYTHONDONTWRITEBYTECODE=1
failed="" took=""

part() { # NAME COMMAND...
	local began=$SECONDS
	[ -z "${ONLY:-}" ] || [[ " $ONLY " = *" $1 "* ]] || return 0
	"${@:2}" || failed="$failed $1"
	took="$took $1 $((SECONDS - began)) s,"
	echo
}
python() { part "$1" /usr/bin/python3 "tests/bench/$1" "$rows"; }

echo "$kernel, $cpus CPUs, $date"
part cost build/bench/cost --rounds "${ROUNDS:-9}" --peer-rounds "${PEER_ROUNDS:-3}" \
	--seconds "${SECONDS_OF_COST:-300}" --json "$rows"
python instructions.py
python boundary.py
python scale.py
python agent.py
python long_run.py
part seal_cost build/bench/seal_cost --json "$rows"
python api.py
python page.py
python slicer.py
python billing.py
/usr/bin/python3 - "$rows" "$kernel" "$cpus" "$date" >build/bench.json <<'PYTHON' || exit
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
print(json.dumps({"kernel": sys.argv[2], "cpus": int(sys.argv[3]), "date": sys.argv[4], "rows": rows}, indent=1))
PYTHON
rm "$rows"
echo "Exactness, 10,000 invocations a mode"
part exactness build/bpf/exactness 10000
echo "It took:${took%,}"
[ -z "$failed" ] || { echo "did not come to its end:$failed"; exit 1; }
