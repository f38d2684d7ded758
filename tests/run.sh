#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Runs tests and counts what they say in TAP. run.sh NAME... where NAME is a program or script.
#
# A test prints `ok N - what`, `not ok N - what` or `ok N - what # SKIP why` (cmocka: `not ok N # SKIP what`, after a line
# `skipped: why`). A test that ends with a
# status other than 0, or without having said anything, has failed. A script may ask for more time than
# others with a line `# run.sh: timeout SECONDS`. The last line is
# `N passed, N failed, N skipped`.
#
# Unit tests, which need nothing but themselves, run as many at once as there are CPUs (TEST_JOBS), every other
# test alone; what they say is printed in the order of their names all the same.
set -u
cd "$(dirname "$0")/.." || exit 2
tests=("$@") logs=() launched=0
jobs=${TEST_JOBS:-$(nproc)}
passed=0 failed=0 skipped=0 failures=()
begun=$SECONDS

run() { # TEST LOG: what it said, and in LOG.end its status and seconds
	local limit began=$SECONDS
	limit=$(head -n 30 "$1" | sed -n 's/^# run\.sh: timeout \([0-9]*\)$/\1/p' 2>/dev/null)
	CMOCKA_MESSAGE_OUTPUT=TAP timeout --kill-after=10 "${TEST_TIMEOUT:-${limit:-180}}" "$1" >"$2" 2>&1 </dev/null
	echo "$? $((SECONDS - began))" >"$2.end"
}
is_unit() { [[ $1 == */unit/* ]]; }
launch() { # the next one
	logs[launched]=$(mktemp)
	run "${tests[launched]}" "${logs[launched]}" &
	launched=$((launched + 1))
}
trap 'kill $(jobs -p) 2>/dev/null; exit 130' INT TERM

for at in "${!tests[@]}"; do
	test=${tests[at]}
	[ $launched -gt "$at" ] || launch
	log=${logs[at]}
	until [ -s "$log.end" ]; do
		while is_unit "$test" && [ $launched -lt ${#tests[@]} ] && is_unit "${tests[launched]}" &&
			[ "$(jobs -rp | wc -l)" -lt "$jobs" ]; do launch; done
		wait -n
		[ $? -ne 127 ] || [ -s "$log.end" ] || echo "255 0" >"$log.end" # nothing runs: it was lost
	done
	read -r status seconds <"$log.end"
	p=$(grep -E '^ok ' "$log" | grep -vc '# [Ss][Kk][Ii][Pp]')
	s=$(grep -cE '^(not )?ok .*# [Ss][Kk][Ii][Pp]' "$log")
	f=$(grep -E '^not ok ' "$log" | grep -vc '# [Ss][Kk][Ii][Pp]')
	if [ "$status" -ne 0 ] && [ "$f" -eq 0 ] || [ $((p + s + f)) -eq 0 ]; then f=$((f + 1)); fi
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	printf '%-44s %4d passed %3d failed %3d skipped %5ds\n' "${test#build/}" "$p" "$f" "$s" "$seconds"
	grep -E '^(not )?ok .*# [Ss][Kk][Ii][Pp]|^skipped: ' "$log" | sed 's/^\(not \)\?ok/    ok/; s/^skipped/    skipped/'
	if [ "$f" -gt 0 ]; then
		why=$(grep -E '^not ok ' "$log" | grep -v '# [Ss][Kk][Ii][Pp]' | head -n 10)
		failures+=("failed: $test (exit $status)"$'\n'"$(sed 's/^/    /' <<<"${why:-$(tail -n 3 "$log")}")")
		tail -n 60 "$log" | sed 's/^/    | /'
	elif [ -n "${V:-}" ]; then
		sed 's/^/    | /' "$log"
	else
		grep -E '^# ' "$log" | grep -v '^# ok - ' | sed 's/^# /    /'
	fi
	rm -f "$log" "$log.end"
done

# what failed once more, and why: a long log may be cut to its end
for f in "${failures[@]+"${failures[@]}"}"; do echo "$f"; done
echo "took $((SECONDS - begun)) s"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ $((passed + skipped)) -gt 0 ]
