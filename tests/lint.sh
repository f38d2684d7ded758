#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# lint.sh FILE... : formatter, cppcheck, and which folder may see which. One line a finding.
set -u
cd "$(dirname "$0")/.." || exit 2
bad=0

echo "format"
clang-format --dry-run -Werror "$@" 2>&1 | grep -E 'error:' | head -20
[ "${PIPESTATUS[0]}" -eq 0 ] || bad=1

echo "includes"
# folder: what it may include of agent/ (style: dependencies point one way)
declare -A may=(
	[base]="base" [core]="core base" [kern]="kern core base" [ledger]="ledger core base"
	[http]="http core base" [api]="api http ledger core base"
	[daemon]="daemon api http ledger kern core base" [slicer]="slicer http kern core base"
	[cli]="cli daemon slicer kern ledger core base"
	[runtime]=""
)
for folder in "${!may[@]}"; do
	while IFS=: read -r file line include; do
		target=$(sed -E 's/.*"([a-z]+)\/.*/\1/' <<<"$include")
		case " ${may[$folder]} oncpu " in
		*" $target "*) ;;
		*) echo "$file:$line: $folder may not include $target/" && bad=1 ;;
		esac
	done < <(grep -nE '^#include "[a-z]+/' agent/"$folder"/*.[ch] 2>/dev/null)
done
only() { # header pattern, folder that may see it, exceptions
	grep -rnE "#include <($1)" agent --include='*.[ch]' | grep -vE "^agent/($2)/" && bad=1
}
only 'bpf/|libelf|gelf' 'kern'
only 'sqlite3' 'ledger'
only 'microhttpd' 'http'
only 'openssl/' 'base'

echo "cppcheck"
cppcheck --quiet --error-exitcode=1 --inline-suppr --enable=warning,portability --std=c11 \
	--suppress=memleak --suppress=resourceLeak --suppress=ctuuninitvar `# it does not know __attribute__((cleanup)) nor recvmsg` \
	--suppress=missingIncludeSystem --suppress=unknownMacro -Iinclude -Iagent agent || bad=1
exit $bad
