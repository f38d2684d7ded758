#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What runs inside the virtual machine, as TAP of several programs one after another; run.sh numbers it.
# "== NAME" begins a program, "== status N SECONDS" ends it; "== instructions" comes before their table.
export ONCPU_EMULATED=1 EXACTNESS_EMULATED=1 CMOCKA_MESSAGE_OUTPUT=TAP COUNT=200
echo "== kernel $(uname -r) $(uname -v), clock $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource),\
 preemption $(cat /sys/kernel/debug/sched/preempt 2>/dev/null || echo real-time)"

run() { # PROGRAM...
	echo "== $1"
	local began=$SECONDS
	timeout --kill-after=5 "${LIMIT:-90}" "$@" </dev/null 2>&1
	echo "== status $? $((SECONDS - began))"
}
echo "== instructions"
build/bpf/instructions 2>&1
LIMIT=200 run build/bpf/test_kernel
LIMIT=200 run build/bpf/test_traps
run tests/e2e/test_exactness.sh
run tests/e2e/test_kill.sh
run tests/e2e/test_measure.sh
run tests/e2e/test_slicer_crash.py
run tests/vm/test_scheduler.sh
echo "== end"
