#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# make install, the systemd unit, make deb. No systemd need run here (test_systemd.sh has one): the unit is checked by its own
# tools, and the agent runs with exactly the unit's capabilities, file system and system calls.
. "$(dirname "$0")/lib.sh"
work_dest=$work/dest
make -s install DESTDIR="$work_dest" PREFIX=/usr >"$work/make.log" 2>&1 ||
	{ sed 's/^/# /' "$work/make.log"; echo "not ok 1 - make install"; bad=1; exit 1; }
has() { for f in "$@"; do [ -s "$work_dest$f" ] || { echo "# $f is not there"; return 1; }; done; }
check "make install: each part is where it belongs" has /usr/bin/oncpu /usr/lib/liboncpu-runtime.so \
	/usr/include/oncpu/runtime.h /usr/share/man/man1/oncpu.1 /usr/share/man/man8/oncpu-agent.8 \
	/usr/share/man/man5/oncpu.conf.5 /usr/share/bash-completion/completions/oncpu /etc/oncpu/oncpu.conf \
	/usr/lib/systemd/system/oncpu.service /usr/lib/sysusers.d/oncpu.conf /usr/lib/tmpfiles.d/oncpu.conf
echo '; mine' >"$work_dest/etc/oncpu/oncpu.conf"
make -s install DESTDIR="$work_dest" PREFIX=/usr >/dev/null
check "a configuration that is there stays" grep -qx '; mine' "$work_dest/etc/oncpu/oncpu.conf"
make -s uninstall DESTDIR="$work_dest" PREFIX=/usr >/dev/null
check "make uninstall: and nothing else does" test "$(cd "$work_dest" && find . -type f)" = ./etc/oncpu/oncpu.conf
rm -r "$work_dest"
make -s install DESTDIR="$work_dest" PREFIX=/usr >/dev/null
# shellcheck disable=SC2016
examples() { # each line of the example, uncommented, is good
	sed -E 's/^; (retention|\[|cgroup|memory|file|symbol|boundary|id_arg)/\1/; /^socket_group/d' \
		"$work_dest/etc/oncpu/oncpu.conf" >"$work/example.conf"
	"$B/oncpu" unpin --config "$work/example.conf" --state-dir "$work/none" --pin-dir "$work/nopins" 2>"$work/why" &&
		[ "$(grep -c '^[a-z]' "$work/example.conf")" -ge 7 ] || { sed 's/^/# /' "$work/why"; return 1; }
}
check "the example configuration is a good one, uncommented, too" examples

# ---- the unit ----
unit=$work/oncpu.service
sed "s|^ExecStart=/usr|ExecStart=$work_dest/usr|" "$work_dest/usr/lib/systemd/system/oncpu.service" >"$unit"
verified() { systemd-analyze verify --man=no "$unit" >"$work/verify" 2>&1 && [ ! -s "$work/verify" ] || { sed 's/^/# /' "$work/verify"; return 1; }; }
check "systemd-analyze verify has nothing to say" verified
secure() { systemd-analyze security --offline=yes --threshold=40 "$unit" >"$work/security" 2>&1 || { tail -n 1 "$work/security"; return 1; }; }
check "systemd-analyze security: at most 4.0 of 10" secure
echo "# $(tail -n 1 "$work/security")"
made() {
	systemd-sysusers --root="$work_dest" oncpu.conf && systemd-tmpfiles --root="$work_dest" --create oncpu.conf &&
		[ "$(stat -c %u:%a "$work_dest/var/lib/oncpu")" = "$(awk -F: '$1 == "oncpu" { print $3 }' "$work_dest/etc/passwd"):750" ]
}
check "its user, and its directory" made

value() { sed -n "s/^$1=//p" "$unit"; }
bounding=-all$(value CapabilityBoundingSet | tr ' ' '\n' | sed 's/^CAP_/,+/' | tr -d '\n' | tr A-Z a-z)
gcc -O2 -Wall -Wextra -Werror -Iinclude tests/functions/marks.c -o "$work/marks"
cat >"$work/notified.py" <<'PYTHON'
import os, socket, sys
# The supervisor: a line for each word that it is told; ends at STOPPING=1.
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
s.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o600)
s.settimeout(60)
print("listening", flush=True)
while True:
    text, ancillary, _, _ = s.recvmsg(256, 256)
    pid = int.from_bytes(ancillary[0][2][:4], sys.byteorder)
    print(text.decode(), pid, flush=True)
    if text == b"STOPPING=1":
        break
PYTHON
mkfifo "$work/told"
/usr/bin/python3 "$work/notified.py" "$work/notify" >"$work/told" &
supervisor=$!
exec 8<"$work/told"
await() { # WORD: until the supervisor has been told it, by the unit's main process
	local word pid
	while IFS=' ' read -r -t 60 -u 8 word pid; do
		[ "$word" != "$1" ] || { [ -z "${2:-}" ] || [ "$pid" = "$2" ]; return; }
	done
	return 1
}
await listening
mkdir -p "$work/state" "$work/run" "$root/oncpu-e2e-unit"
printf '[agent]\naudit = 100ms\n[function "unit"]\ncgroup = /oncpu-e2e-unit\n' >"$work/conf"
install -d -o nobody -m 700 "$work/private"
install -o nobody -m 700 "$work/marks" "$work/private/marks"
notify=$work/notify
confined() { # the agent as the unit has it: all read-only but what it names; strace writes behind that
	# shellcheck disable=SC2016
	NOTIFY_SOCKET=$notify exec unshare --mount --propagation slave bash -ec '
		for rw in /sys/fs/bpf "$0/state" "$0/run"; do mount --bind "$rw" "$rw"; done
		for fs in $(awk "{ print \$2 }" /proc/self/mounts | sort -u); do
			case $fs in /sys/fs/bpf | "$0"/* | /proc | /proc/* | /dev | /dev/*) ;;
			*) mount -o remount,bind,ro "$fs" 2>/dev/null || true ;; esac
		done
		umask "$2"
		exec setpriv --bounding-set="$1" --inh-caps=-all --no-new-privs "${@:3}" "$0/dest/usr/bin/oncpu" agent --config "$0/conf" \
			--state-dir "$0/state" --socket "$0/run/s.sock" --ready-fd 9' "$work" "$bounding" "$(value UMask)" "$@"
}
oncpu() { "$B/oncpu" "$@" --state-dir "$work/state" --socket "$work/run/s.sock"; }
confined >>"$work/agent.log" 2>&1 &
agent=$!
read -r -n 1 -t 30 -u 9 _
check "Type=notify: READY=1, from the main process" await READY=1 "$agent"
bits() { sed -n "s/^Cap$1:\t//p" "/proc/$2/status"; }
wanted=$(setpriv --bounding-set="$bounding" --inh-caps=-all sed -n 's/^CapEff:\t//p' /proc/self/status)
check "the agent has the unit's capabilities and no other" test "$(bits Eff "$agent") $(bits Bnd "$agent")" = "$wanted $wanted"
check "its other half has none" test "$(bits Eff "$(pgrep -P "$agent")")" = 0000000000000000
setpriv --reuid=65534 --regid=65534 --clear-groups "$work/private/marks" private 50
check "with those it measures a binary that only its owner can read" each_once private:50
mkfifo "$work/go"
# shellcheck disable=SC2016
sh -c 'echo $$ >"$0/cgroup.procs"; read -r _ <"$1"' "$root/oncpu-e2e-unit" "$work/go" &
waiting=$!
audited() { # by doctor's word; it does not end before it has one
	until oncpu doctor --json | jq -e 'select(.what == "the kernel'"'"'s own books" or
		(.what == "accounts = cpu.stat" and (.found | test("[1-9][0-9]* comparisons")))) | .verdict' >"$work/audit"; do
		kill -0 "$waiting" || break
	done
	[ "$(cat "$work/audit")" = '"ok"' ]
}
check "with those its audit reads the kernel's own books" audited
echo go >"$work/go"
wait "$waiting"
check "WatchdogSec: it is fed" await WATCHDOG=1 "$agent"
check "and again" await WATCHDOG=1 "$agent"
kill "$agent"
check "STOPPING=1" await STOPPING=1 "$agent"
wait "$agent" "$supervisor" 2>/dev/null
agent=
notify=
confined strace -f -qq -o "$work/run/calls" >>"$work/agent.log" 2>&1 &
agent=$!
check "started again, under strace" read -r -n 1 -t 30 -u 9 _
setpriv --reuid=65534 --regid=65534 --clear-groups "$work/private/marks" again 50
check "it measures on" each_once private:50 again:50
kill -TERM "$(pgrep -P "$agent" oncpu)"
wait "$agent" 2>/dev/null
agent=
filter() { # the system calls of the unit's filter, sets resolved
	/usr/bin/python3 - "$@" <<'PYTHON'
import subprocess, sys
done, left = set(), list(sys.argv[1:])
while left:
    name = left.pop()
    if name in done:
        continue
    done.add(name)
    if name.startswith("@"):
        text = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True).stdout
        left += [line.split()[0] for line in text.splitlines()[1:] if line.strip() and not line.strip().startswith("#")]
print("\n".join(sorted(n for n in done if not n.startswith("@"))))
PYTHON
}
# shellcheck disable=SC2046
filter $(value SystemCallFilter) >"$work/allowed"
# what setpriv does before it becomes the agent is not the agent's
sed -nE 's/^[0-9]+ +([a-z_0-9]+)\(.*/\1/p' "$work/run/calls" | sort -u >"$work/made"
outside=$(comm -13 "$work/allowed" "$work/made" | tr '\n' ' ')
check "each of its $(wc -l <"$work/made") system calls is in the unit's filter (outside: ${outside:-none})" test -z "$outside"
check "and they are many enough" test "$(wc -l <"$work/made")" -gt 30
"$B/oncpu" unpin --state-dir "$work/state" >/dev/null 2>&1

refused() { # without one of them it says so, and does not leave a function waiting for ever
	setpriv --bounding-set="${bounding/,+sys_ptrace/}" --inh-caps=-all "$B/oncpu" agent --state-dir "$work/state" \
		--socket "$work/run/s.sock" 2>&1 | grep -q 'root without CAP_SYS_PTRACE'
}
check "a capability that is missing is named" refused

# ---- the Debian package, in a copy of this machine's own file system ----
make -s deb >"$work/make.log" 2>&1
deb=$(ls "$B"/oncpu_*.deb)
check "make deb" test -s "$deb"
lower=$work/lower
mkdir -p "$work/box" "$lower"
cat >"$work/chroot.sh" <<'INSIDE'
set -eu
step() { echo "step $1"; }
mount -t proc proc /proc
mount -t bpf bpf /sys/fs/bpf 2>/dev/null || true
dpkg -i /oncpu.deb >/tmp/dpkg.log 2>&1 || { cat /tmp/dpkg.log; exit 1; }
step installed
[ "$(dpkg-query -W -f '${Status}' oncpu)" = 'install ok installed' ]
[ "$(stat -c %U:%a /var/lib/oncpu)" = oncpu:750 ]
[ -L /etc/systemd/system/multi-user.target.wants/oncpu.service ]
oncpu --version
man -w oncpu-agent >/dev/null
ldconfig -p | grep -q liboncpu-runtime
step complete
dpkg -V oncpu
step verified
mkfifo /tmp/ready
exec 9<>/tmp/ready
# a name of its own for the pins: the machine's own agent, if there is one, is none of our business
printf '[agent]\npin_dir = /sys/fs/bpf/oncpu-deb-%s\n' $$ >/etc/oncpu/oncpu.conf
oncpu agent --ready-fd 9 2>/tmp/agent.log & agent=$!
IFS= read -r -n 1 -t 20 -u 9 _ || { cat /tmp/agent.log; exit 1; }
[ "$(ps -o user= --ppid $agent)" = oncpu ]
oncpu doctor --json | grep -q 'answers, version'
[ "$(stat -c %U /run/oncpu/oncpu.sock)" = oncpu ]
step runs
kill $agent
wait $agent
ls -d /sys/fs/bpf/oncpu-deb-$$ >/dev/null
dpkg -i /oncpu.deb >/tmp/dpkg.log 2>&1 </dev/null || { cat /tmp/dpkg.log; exit 1; }
ls -d /sys/fs/bpf/oncpu-deb-$$ >/dev/null
grep -q oncpu-deb- /etc/oncpu/oncpu.conf
step upgraded
dpkg -r oncpu >/tmp/dpkg.log 2>&1 || { cat /tmp/dpkg.log; exit 1; }
[ ! -e /sys/fs/bpf/oncpu-deb-$$ ]
[ ! -e /usr/bin/oncpu ] && [ -e /etc/oncpu/oncpu.conf ] && [ -e /var/lib/oncpu/agent.lock ]
step removed
dpkg -P oncpu >/tmp/dpkg.log 2>&1 || { cat /tmp/dpkg.log; exit 1; }
left=$(find /etc /usr /lib /var /run -xdev -iname '*oncpu*' -newer /marker -print)
[ -z "$left" ] || { echo "left: $left"; exit 1; }
step purged
INSIDE
packaged() {
	# shellcheck disable=SC2016
	unshare --mount --pid --fork bash -ec '
		mount -t tmpfs none "$0/box"
		mkdir "$0/box/upper" "$0/box/work" "$0/box/root"
		mount -t overlay -o "lowerdir=/,upperdir=$0/box/upper,workdir=$0/box/work" none "$0/box/root"
		cd "$0/box/root"
		mount --bind /dev dev
		mount --rbind /sys sys
		mount -t tmpfs none tmp
		mount -t tmpfs none run
		cp "$1" oncpu.deb
		cp "$0/chroot.sh" tmp/chroot.sh
		rm -rf etc/oncpu var/lib/oncpu
		touch marker
		exec chroot . bash /tmp/chroot.sh' "$work" "$deb"
}
if unshare --mount bash -ec "mount -t tmpfs none $work/box; mkdir $work/box/u $work/box/w $work/box/r
	mount -t overlay -o lowerdir=/,upperdir=$work/box/u,workdir=$work/box/w none $work/box/r" 2>"$work/why"; then
	packaged >"$work/steps" 2>&1 || true
	for step in installed complete verified runs upgraded removed purged; do
		check "the package: $step" grep -qx "step $step" "$work/steps"
	done
	grep -qx "step purged" "$work/steps" || sed 's/^/# /' "$work/steps"
else
	echo "ok $((++count)) - the package # SKIP no overlayfs over /: $(tail -n 1 "$work/why")"
fi
