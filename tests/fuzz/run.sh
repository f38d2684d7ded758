#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# run.sh [SECONDS [NAME...]]: each fuzzer for so long (20), two at once, from its corpus in
# tests/fuzz/corpus/NAME; what it finds goes to build-fuzzer/found/NAME. TAP. With KEEP=1 inputs that
# reach new code are added to the corpus, the corpus made small again.
set -u
cd "$(dirname "$0")/../.." || exit 2
seconds=${1:-20}
[ $# -gt 0 ] && shift
names=("$@")
[ ${#names[@]} -gt 0 ] || for f in tests/fuzz/fuzz_*.c; do names+=("$(basename "$f" .c)"); done

one() { # NAME
	local name=$1 corpus=tests/fuzz/corpus/$1 found=build-fuzzer/found/$1 log=build-fuzzer/found/$1.log status
	rm -rf "$found" && mkdir -p "$found/new"
	"build-fuzzer/fuzz/$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=3000 \
		-artifact_prefix="$found/" -print_final_stats=1 "$found/new" "$corpus" >"$log" 2>&1 </dev/null
	status=$?
	if [ $status -eq 0 ] && [ -n "${KEEP:-}" ]; then
		mv "$corpus" "$found/old" && mkdir "$corpus"
		"build-fuzzer/fuzz/$name" -set_cover_merge=1 "$corpus" "$found/old" "$found/new" >>"$log" 2>&1
	fi
	return $status
}

mkdir -p build-fuzzer/found
number=0 bad=0
for ((at = 0; at < ${#names[@]}; at += 2)); do
	pids=() pair=("${names[@]:at:2}")
	for name in "${pair[@]}"; do one "$name" & pids+=($!); done
	for i in "${!pair[@]}"; do
		name=${pair[$i]}
		wait "${pids[$i]}"
		status=$?
		runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "build-fuzzer/found/$name.log" | tail -n 1)
		number=$((number + 1))
		if [ $status -eq 0 ] && [ "${runs:-0}" -gt 0 ]; then
			echo "ok $number - $name: $runs inputs"
		else
			bad=1
			echo "not ok $number - $name: exit $status; build-fuzzer/found/$name.log says:"
			grep -vE '^#[0-9]+|^INFO|^stat::' "build-fuzzer/found/$name.log" | head -n 40 | sed 's/^/# /'
			find "build-fuzzer/found/$name" -maxdepth 1 -type f | sed 's/^/# the input: /'
		fi
	done
done
echo "1..$number"
exit $bad
