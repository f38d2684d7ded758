#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The formatter, the linter and the include directions, as a test.
cd "$(dirname "$0")/.." || exit 2
for tool in clang-format cppcheck; do
	command -v "$tool" >/dev/null || { echo "ok 1 - lint # SKIP no $tool (make test-deps)"; exit 0; }
done
git rev-parse --git-dir >/dev/null 2>&1 || { echo "ok 1 - lint # SKIP no git checkout to list the sources of"; exit 0; }
if out=$(make --no-print-directory lint 2>&1); then
	echo "ok 1 - formatter, include directions, cppcheck"
else
	sed 's/^/# /' <<<"$out"
	echo "not ok 1 - formatter, include directions, cppcheck"
	exit 1
fi
