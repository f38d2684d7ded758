#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Runs tests and counts what they say in TAP. run.sh NAME... where NAME is a program or script.
#
# A test prints `ok N - what`, `not ok N - what` or `ok N - what # SKIP why`. A test that ends with a
# status other than 0, or without having said anything, has failed. A script may ask for more time than
# others with a line `# run.sh: timeout SECONDS`. The last line is
# `N passed, N failed, N skipped`.
set -u
cd "$(dirname "$0")/.." || exit 2
passed=0 failed=0 skipped=0 failures=()
begun=$SECONDS

for test in "$@"; do
	log=$(mktemp)
	began=$SECONDS
	limit=$(head -n 30 "$test" | sed -n 's/^# run\.sh: timeout \([0-9]*\)$/\1/p' 2>/dev/null)
	CMOCKA_MESSAGE_OUTPUT=TAP timeout --kill-after=10 "${TEST_TIMEOUT:-${limit:-180}}" "$test" >"$log" 2>&1 </dev/null
	status=$?
	p=$(grep -E '^ok ' "$log" | grep -vc '# [Ss][Kk][Ii][Pp]')
	s=$(grep -E '^ok ' "$log" | grep -c '# [Ss][Kk][Ii][Pp]')
	f=$(grep -cE '^not ok ' "$log")
	if [ "$status" -ne 0 ] && [ "$f" -eq 0 ] || [ $((p + s + f)) -eq 0 ]; then f=$((f + 1)); fi
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	printf '%-44s %4d passed %3d failed %3d skipped %5ds\n' "${test#build/}" "$p" "$f" "$s" $((SECONDS - began))
	grep -E '^ok .*# [Ss][Kk][Ii][Pp]' "$log" | sed 's/^/    /'
	if [ "$f" -gt 0 ]; then
		why=$(grep -E '^not ok ' "$log" | head -n 10)
		failures+=("failed: $test (exit $status)"$'\n'"$(sed 's/^/    /' <<<"${why:-$(tail -n 3 "$log")}")")
		tail -n 60 "$log" | sed 's/^/    | /'
	elif [ -n "${V:-}" ]; then
		sed 's/^/    | /' "$log"
	else
		grep -E '^# ' "$log" | grep -v '^# ok - ' | sed 's/^# /    /'
	fi
	rm -f "$log"
done

# what failed once more, and why: a long log may be cut to its end
for f in "${failures[@]+"${failures[@]}"}"; do echo "$f"; done
echo "took $((SECONDS - begun)) s"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ $((passed + skipped)) -gt 0 ]
