#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# End-to-end tests with the address and undefined-behaviour sanitizers in the agent and the slicer (built with
# make SAN=address all): what outsiders send, and life from start to end. Their timings are not looked at: the
# tests named here have none.
set -u
cd "$(dirname "$0")/../.." || exit 2
export B=build-address
if [ ! -x $B/oncpu ]; then
	echo "ok 1 - under sanitizers # SKIP $B is not built (make SAN=address all)"
	exit 0
fi
bad=0
for test in test_life.sh test_slicer_hostile.py test_slicer_telemetry.py; do
	"tests/e2e/$test" 2>&1 | sed "s/ - / - under sanitizers: /"
	[ "${PIPESTATUS[0]}" -eq 0 ] || bad=1
done
exit $bad
