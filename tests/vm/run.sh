#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# run.sh [KERNEL]... : the tests of guest.sh on Debian's kernels, each in a virtual machine, one after another,
# as one TAP. KERNEL is a name in the table below; those of $KERNELS, or all, if none is said.
#
# run.sh: timeout 2000
#
#   UPDATE=1  writes the verifier's instruction counts anew instead of comparing them
#   ACCEL=kvm boots with hardware's help; the default, tcg, works anywhere and is the same everywhere
#
# The counts are in instructions.tsv: a program that grows by more than GROWTH % on a kernel, or does not load
# there, fails. Emulation is by one thread: with a thread for each CPU, QEMU up to 7.2 runs code that the other
# CPU has just patched, and the kernel dies of a stray int3.
set -u
cd "$(dirname "$0")/../.." || exit 2
here=tests/vm
build=$PWD/build/vm
GROWTH=15 SLACK=40 # percent, and instructions that do not count beside it
LIMIT=${VM_LIMIT:-600} # seconds a machine

# name, Debian's package (an extended regular expression), boot parameters
kernels() {
	cat <<-'TABLE'
		6.1 linux-image-6\.1\.[0-9-]+-cloud-amd64
		6.12 linux-image-6\.12\.[0-9]+\+deb[0-9]+-cloud-amd64 preempt=full
		6.1-rt linux-image-6\.1\.[0-9-]+-rt-amd64
	TABLE
}

count=0 bad=0
say() { # ok|not ok, WHAT
	count=$((count + 1))
	echo "$1 $count - $2"
	[ "$1" = ok ] || bad=1
}
skip() { echo "ok $((++count)) - $1 # SKIP $2"; }
[ "$(uname -m)" = x86_64 ] || { skip "other kernels" "x86-64 only"; exit 0; }
for tool in qemu-system-x86_64 busybox; do
	command -v $tool >/dev/null || { skip "other kernels" "no $tool (make test-deps)"; exit 0; }
done
for file in build/oncpu build/bpf/test_kernel build/bpf/instructions; do
	[ -x $file ] || { say "not ok" "$file is there (make build-tests)"; exit 1; }
done

boot() { # NAME DIRECTORY PARAMETER...
	timeout --kill-after=5 "$LIMIT" qemu-system-x86_64 -accel "${ACCEL:-tcg,thread=single}" -M q35 -cpu max -smp 2 -m 2048 \
		-nodefaults -no-user-config -no-reboot -display none \
		-serial "file:$build/$1.console" -serial "file:$build/$1.tap" \
		-kernel "$2"/vmlinuz -initrd "$build/$1.initrd" \
		-append "console=ttyS0 loglevel=4 panic=-1 tsc=reliable clocksource=tsc ${*:3}" </dev/null >"$build/$1.qemu" 2>&1
}

began() { grep -q '^== kernel' "$build/$1.tap"; } # NAME
wrong() { grep -E '^not ok|^== status [1-9]' "$build/$1.tap" | grep -v '# SKIP'; } # NAME
healthy() { # NAME
	grep -q '^== end' "$build/$1.tap" && ! wrong "$1" | grep -q .
}

# TAP of one machine: renumbered, its programs named; a program that failed without saying so has failed
relay() { # NAME
	local name=$1 program="" line said failed ended=
	while IFS= read -r line; do
		line=${line%$'\r'}
		case $line in
		"== status "*)
			read -r _ _ status seconds <<<"$line"
			if [ "$status" != 0 ] && [ "$failed" = 0 ] || [ "$said" = 0 ]; then
				say "not ok" "$name: $program: status $status after $said checks"
			fi
			echo "# $name: $program: $said checks, $seconds s"
			program=
			;;
		"== kernel "*) echo "# $name: ${line#== kernel }" ;;
		"== instructions") program=instructions said=1 failed=0 ;;
		"== end") ended=1 ;;
		"== "*)
			program=${line#== } said=0 failed=0
			program=${program#build/}
			program=${program#tests/}
			;;
		"ok "*" - "*"# SKIP "*)
			line=${line#* - }
			skip "$name: $program: ${line%% # SKIP *}" "${line#*# SKIP }"
			said=$((said + 1))
			;;
		*"ok "*" # SKIP "*) # cmocka's
			skip "$name: $program: ${line#*# SKIP }" "its reason is above"
			said=$((said + 1))
			;;
		"ok "*) say ok "$name: $program: ${line#*- }" ; said=$((said + 1)) ;;
		"not ok "*) say "not ok" "$name: $program: ${line#*- }" ; said=$((said + 1)) failed=1 ;;
		*)
			if [ "$program" = instructions ] && [[ $line =~ ^[a-z_]+\ [0-9]+$ ]]; then
				echo "$name ${line}" >>"$build/instructions"
			else
				echo "# ${line#\# }"
			fi
			;;
		esac
	done <"$build/$name.tap"
	[ -n "$ended" ] && return
	say "not ok" "$name: the machine runs to its end"
	sed 's/^/# console: /' "$build/$name.console" | tail -n 30
	tail -n 3 "$build/$name.qemu" | sed 's/^/# qemu: /'
}

compare() { # NAME: its counts against the table
	awk -v name="$1" -v growth=$GROWTH -v slack=$SLACK -v table=$here/instructions.tsv '
		FILENAME == table { if ($1 == name) want[$2] = $3; next }
		$1 == name { got[$2] = $3; any = 1 }
		END {
			if (!any) print "no program loaded"
			for (p in want)
				if (any && !(p in got)) print p ": not loaded; it took " want[p]
			for (p in got)
				if (!(p in want)) print p ": " got[p] ", not in the table yet"
				else if (got[p] > want[p] * (1 + growth / 100) + slack)
					print p ": " got[p] " instructions instead of " want[p]
		}' $here/instructions.tsv "$build/instructions" >"$build/differences"
	if [ -s "$build/differences" ]; then
		say "not ok" "$1: no program grew (if that was meant: make vmtest UPDATE=1)"
		sed "s/^/# $1: /" "$build/differences"
	else
		say ok "$1: every program loads, and none grew by more than $GROWTH %"
	fi
}

mkdir -p "$build" && : >"$build/instructions"
$here/initramfs.sh "$build/root.cpio" || { say "not ok" "the initramfs is packed"; exit 1; }
# shellcheck disable=SC2086
[ $# -gt 0 ] || set -- ${KERNELS:-}
[ $# -gt 0 ] && wanted=" $* " || wanted=
ran=
while read -r name package parameters; do
	[ -z "$wanted" ] || [[ $wanted = *" $name "* ]] || continue
	directory=$($here/kernel.sh "$package" "$build/kernels" 2>"$build/why") || {
		skip "$name" "$(cat "$build/why")"
		continue
	}
	cat "$build/root.cpio" "$directory/modules.cpio" >"$build/$name.initrd"
	rm -f "$build/$name.tap" "$build/$name.console"
	# An emulated machine can stop before its kernel has begun; a real-time kernel's may also be late for reasons
	# of the emulation: both are started once more, and what was wrong is shown.
	for try in 1 2; do
		# shellcheck disable=SC2086
		boot "$name" "$directory" $parameters
		healthy "$name" && break
		[ $try = 1 ] || break
		began "$name" && [[ $name != *-rt ]] && break
		echo "# $name: once more:"
		wrong "$name" | sed 's/^/# /'
	done
	if [[ $name = *-rt ]] && ! began "$name"; then
		skip "$name" "it does not boot here: $(tail -n 1 "$build/$name.console" | tr -d '\r')"
		continue
	fi
	relay "$name"
	rm -f "$build/$name.initrd"
	if [ -z "${UPDATE:-}" ]; then
		compare "$name"
	elif ! grep -q "^$name " "$build/instructions"; then
		say "not ok" "$name: every program loads"
		continue # what the table has of it stays
	fi
	ran="$ran $name"
done < <(kernels)

if [ -n "${UPDATE:-}" ]; then
	{
		printf '# Instructions that the verifier walked through: kernel, program, count. make vmtest UPDATE=1 writes it.\n'
		{ grep -v '^#' $here/instructions.tsv 2>/dev/null | awk -v ran="$ran " 'index(ran, " " $1 " ") == 0 { print $1, $2, $3 }'
			cat "$build/instructions"; } | sort -k1,1V -k2,2 | tr ' ' '\t'
	} >$here/instructions.tsv.new && mv $here/instructions.tsv.new $here/instructions.tsv
fi
echo "1..$count"
exit $bad
