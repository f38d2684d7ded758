#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# make bench: what measuring costs and how exact it is, as tables, and as one JSON document in
# build/bench.json. Ratios within one run are what counts; absolute times depend on the machine. Some four
# minutes with ROUNDS=9 PEER_ROUNDS=3 SECONDS_OF_COST=150, the defaults; on a busy host cost takes all of its seconds.
set -eu
cd "$(dirname "$0")/../.."
[ "$(id -u)" = 0 ] || { echo "make bench loads eBPF programs: run it with sudo"; exit 1; }
rows=build/bench.rows
: >"$rows"
kernel=$(uname -sr) cpus=$(nproc) date=$(date -u +%F)
echo "$kernel, $cpus CPUs, $date"
build/bench/cost --rounds "${ROUNDS:-9}" --peer-rounds "${PEER_ROUNDS:-3}" --seconds "${SECONDS_OF_COST:-150}" --json "$rows"
echo
build/bench/seal_cost --json "$rows"
echo
/usr/bin/python3 tests/bench/agent.py "$rows"
/usr/bin/python3 tests/bench/api.py "$rows"
/usr/bin/python3 tests/bench/page.py "$rows"
echo
/usr/bin/python3 tests/bench/slicer.py "$rows"
echo
/usr/bin/python3 tests/bench/billing.py "$rows"
/usr/bin/python3 - "$rows" "$kernel" "$cpus" "$date" >build/bench.json <<'PYTHON'
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
print(json.dumps({"kernel": sys.argv[2], "cpus": int(sys.argv[3]), "date": sys.argv[4], "rows": rows}, indent=1))
PYTHON
rm "$rows"
echo
echo "Exactness, 10,000 invocations a mode"
build/bpf/exactness 10000
