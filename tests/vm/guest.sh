#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What runs inside the virtual machine, as TAP of several programs one after another; run.sh numbers it.
# "== NAME" begins a program, "== status N SECONDS" ends it; "== instructions" comes before their table.
export ONCPU_EMULATED=1 EXACTNESS_EMULATED=1 CMOCKA_MESSAGE_OUTPUT=TAP COUNT=120
export KILL_BUSY=60 KILL_WAITING=60 KILLS=4 # a machine has some minutes
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
# those that assert no short time, and break where kernels differ
for test in one_life families_hold_the_law clone_into_a_cgroup_counts_from_the_first_slice \
	a_move_in_mid_slice_splits_as_the_kernels_books ids_of_every_kind pins_are_adopted_with_totals_and_events; do
	TEST_FILTER=test_$test run build/bpf/test_kernel
done
for test in 7_what_ran_before_is_not_charged 8_an_instance_is_its_whole_subtree \
	11_strings_not_in_memory_are_read 12_no_kernel_symbol_is_needed; do
	TEST_FILTER=test_trap_$test run build/bpf/test_traps
done
# its timer comes upon whoever runs, and on a real-time kernel in a thread of its own
[ ! -e /sys/kernel/debug/sched/preempt ] || run build/bpf/test_move
run tests/e2e/test_exactness.sh
run tests/e2e/test_kill.sh
run tests/e2e/test_measure.sh
run tests/e2e/test_slicer_crash.py keeper
run tests/vm/test_scheduler.sh
echo "== end"
