#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The unit under a real systemd: it boots in a container on an overlay of this host's files, on this kernel. The
# service starts, answers, is started again when it hangs or dies, and stops. What it measures is for the others to
# test: the container has process numbers of its own, which the kernel side does not know.
#
# run.sh: timeout 120
. "$(dirname "$0")/lib.sh"
skip() { echo "ok 1 - under systemd # SKIP $1"; exit 0; }
command -v systemd-nspawn >/dev/null && [ -x /usr/lib/systemd/systemd ] || skip "no systemd-nspawn (make test-deps)"
disk=$work/disk machine=$work/disk/root nspawn='' leader=''
mkdir "$disk"
down() {
	[ $bad -eq 0 ] || inside journalctl --no-pager -o cat -u oncpu 2>/dev/null | tail -n 30 | sed 's/^/# journal: /'
	[ -z "$nspawn" ] || { kill -TERM "$nspawn"; wait "$nspawn"; }
	umount "$machine" "$disk" 2>/dev/null
	[ $bad -eq 0 ] || sed 's/^/    machine: /' "$work/console" 2>/dev/null | tail -20
	finish
}
trap down EXIT
mount -t tmpfs tmpfs "$disk" && mkdir "$disk/upper" "$disk/work" "$machine" &&
	mount -t overlay overlay -o "lowerdir=/,upperdir=$disk/upper,workdir=$disk/work" "$machine" 2>/dev/null ||
	skip "no overlay of / can be mounted"

rm -rf "$machine/var/lib/oncpu" "$machine/etc/oncpu" "$machine/etc/machine-id" # of this host's own
make -s install DESTDIR="$machine" PREFIX=/usr >"$work/make.log" 2>&1 || { sed 's/^/# /' "$work/make.log"; exit 1; }
mkdir -p "$machine/etc/systemd/system/oncpu.service.d"
printf '[Service]\nWatchdogSec=8s\n' >"$machine/etc/systemd/system/oncpu.service.d/quick.conf"

until_true() { # COMMAND...: within 30 s
	local end=$((SECONDS + 30))
	until "$@"; do [ $SECONDS -lt $end ] || return 1; sleep 0.1; done
}
inside() { nsenter -t "$leader" -m -u -i -n -p -C "$@"; }
# every capability and system call: what the service has of them is the unit's to say
systemd-nspawn --quiet --register=no --keep-unit --capability=all --system-call-filter='bpf perf_event_open' \
	--console=pipe -D "$machine" -b systemd.unit=basic.target </dev/null >"$work/console" 2>&1 &
nspawn=$!
boots() { leader=$(pgrep -P "$nspawn" | head -n 1); [ -n "$leader" ] && inside systemctl is-system-running 2>/dev/null | grep -qE '^(running|degraded)'; }
until_true boots || skip "no systemd boots here: $(tail -n 1 "$work/console")"
inside mount -t bpf bpf /sys/fs/bpf
check "systemd runs as the first process" test "$(inside cat /proc/1/comm)" = systemd

show() { inside systemctl show oncpu --value -p "$1"; }
main() { show MainPID; }
worker() { inside pgrep -P "$(main)" | head -n 1; }
check "the service starts, and says that it is ready" inside systemctl start oncpu
[ $bad -eq 0 ] || exit 1
check "and is active" test "$(show ActiveState)" = active
check "its half that parses and serves is its user's" test "$(inside ps -o user= -p "$(worker)")" = oncpu
bounding=-all$(sed -n 's/^CapabilityBoundingSet=//p' "$machine/usr/lib/systemd/system/oncpu.service" | tr ' ' '\n' |
	sed 's/^CAP_/,+/' | tr -d '\n' | tr A-Z a-z)
bits() { sed -n 's/^CapBnd:\t//p' "$1"; }
check "the other one has the unit's capabilities" test "$(inside cat "/proc/$(main)/status" | bits -)" = \
	"$(setpriv --bounding-set="$bounding" --inh-caps=-all sed -n 's/^CapBnd:\t//p' /proc/self/status)"
answers() { inside timeout 20 oncpu instances --json >/dev/null && inside timeout 20 oncpu functions >/dev/null 2>&1; }
pinned() { inside sh -c 'ls /sys/fs/bpf/oncpu | wc -l'; }
check "it answers" answers
there=$(pinned)
check "and has pinned its kernel side" test "$there" -gt 10
restarted() { [ "$(show NRestarts)" = "$1" ] && [ "$(show ActiveState)" = active ]; }
inside kill -STOP "$(worker)"
check "when it hangs, the watchdog starts it again" until_true restarted 1
check "and it answers" answers
inside kill -KILL "$(main)"
check "when it is killed, it is started again" until_true restarted 2
check "and it answers" answers
check "systemctl stop" inside systemctl stop oncpu
check "which is no failure" test "$(show Result) $(show ActiveState)" = "success inactive"
check "and leaves the kernel side pinned, which goes on measuring" test "$(pinned)" = "$there"
check "it starts again on what it left" inside systemctl start oncpu
check "taking it over" eval 'inside journalctl --no-pager -o cat -u oncpu | tail -n 3 | grep -q "took over the kernel side"'
echo "1..$count"
