#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Each thing that the agent can go without, forced: what doctor says of it, what is measured all the same, and
# what the records say. Then all at once, and an agent in a container with the documented capabilities only.
. "$(dirname "$0")/lib.sh"
printf '[function "caged"]\ncgroup = /oncpu-e2e-caged\n' >"$work/c"
cage="$root/oncpu-e2e-caged"

up() { # WITHOUT [CONFIGURATION]: an agent that has never seen anything
	rm -rf "$work/state"
	: >"$work/agent.log"
	agent_up --config "${2:-$work/c}" --without "$1" || { sed 's/^/# /' "$work/agent.log"; return 1; }
	for name in ${1//,/ }; do grep -q "goes without $name: " "$work/agent.log" || return 1; done
}
down() {
	pins=$(sed -n 's|.* side in \(/sys/fs/bpf/[^,]*\),.*|\1|p' "$work/agent.log" | head -n 1)
	agent_down
	build/oncpu unpin --pin-dir "$pins" >/dev/null 2>&1
	rmdir "$cage" 2>/dev/null
	return 0
}
doctor() { # NAME...: a line with the loss for each, and no more of them than the host itself has
	build/oncpu doctor --json --without "$1" --state-dir "$work/state" --socket "$work/s.sock" >"$work/doctor"
	jq -se --arg w "without $1" 'map(select(.what == $w and .verdict == "WARN" and (.found | length) > 20)) | length == 1' \
		"$work/doctor" >/dev/null
}
run() { # BINARY NAME COUNT: in its cgroup
	mkdir -p "$cage"
	# shellcheck disable=SC2016
	sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$cage" "$@"
}
caged() { # COUNT: by cgroup: each once, and the law
	run "$B/functions/thumb" --function caged --count "$1"
	each_once "caged:$1" && law
}
law() {
	local us said
	us=$(awk '/^usage_usec/ { print $2 }' "$cage/cpu.stat")
	said=$(oncpu instances --json | jq -s '[.[] | select(.function == "caged") | .total_cpu_ns] | add // 0')
	echo "# accounts $said ns, cpu.stat $us us"
	[ $((said - us * 1000)) -ge -4000 ] && [ $((said - us * 1000)) -le 4000 ]
}

for name in steal direct-reads clock books; do
	check "doctor: without $name" doctor $name
	up $name
	check "without $name: each invocation is there once, and the law holds" caged 10
	[ $name != clock ] || check "without clock: each record's bound says so" \
		eval '[ "$(records --function caged --last 0 | jq -s "map(.cpu_error_bound_ns) | min")" -ge 10000000 ]'
	down
done

check "doctor: without iterator" doctor iterator
mkdir -p "$cage"
mkfifo "$work/go"
# shellcheck disable=SC2016
sh -c 'echo $$ >"$0/cgroup.procs"; read -r _ <"$1"; exec "$2" --function caged --count 5' "$cage" "$work/go" "$B/functions/thumb" &
waiting=$!
until grep -q $waiting "$cage/cgroup.procs"; do :; done
up iterator
check "without iterator: what ran already is not adopted, and the log says so" grep -q "could not be adopted" "$work/agent.log"
echo go >"$work/go"
wait $waiting
check "without iterator: its marks make it a process tree, which is measured" each_once caged:5
down

check "doctor: without uprobes" doctor uprobes
up uprobes
cp "$B/functions/marks" "$work/marks"
run "$work/marks" caged 1500
hellos_only() { # the first mark of a process is a hello; the others are missing by number, and their CPU is not
	records --function caged --last 0 >"$work/seen"
	jq -c '[.id, .flags, .marks_lost]' "$work/seen" | sed 's/^/# /'
	jq -se 'length >= 1 and length < 10 and .[0].id == "caged-1" and (map(.marks_lost // 0) | add) > 900' "$work/seen" >/dev/null && law
}
check "without uprobes: hellos are seen, the marks between are counted as lost, the law holds" hellos_only
down

check "doctor: without stop" doctor stop
up stop
cp "$B/functions/thumb" "$work/thumb"
run "$work/thumb" --function caged --count 30
counted() { # nothing is silently missing: records and lost marks make up what was done
	local ended lost
	ended=$(records --function caged --last 0 | wc -l)
	lost=$(oncpu instances --json | jq -s '[.[] | select(.function == "caged") | .marks_lost // 0] | add')
	echo "# $ended records, $lost marks lost"
	[ "$ended" -gt 0 ] && { [ "$ended" -eq 30 ] || [ "$lost" -gt 0 ]; } && law
}
check "without stop: nobody is held; marks before the attaching are counted" counted
down

check "doctor: without hello" doctor hello
up hello
cp "$B/functions/thumb" "$work/thumb"
run "$work/thumb" --function caged --count 5
unseen() { [ "$(records --function caged --last 0 | wc -l)" = 0 ] && law; }
check "without hello: an unseen binary's marks are not seen, its CPU is" unseen
"$B/oncpu" measure --state-dir "$work/state" --socket "$work/s.sock" --function m --id m-1 -- true 2>/dev/null
check "without hello: oncpu measure works" each_once m:1
down

check "doctor: without cgroups" doctor cgroups
up cgroups
"$B/functions/thumb" --function tree --count 5
check "without cgroups: processes that mark are measured" each_once tree:5
down

all=steal,direct-reads,clock,books,iterator
up $all
check "without all that a number can be had without ($all)" caged 10
down

audited() { # doctor says that the kernel's own total of a cgroup was compared
	mkdir -p "$cage"
	# shellcheck disable=SC2016
	sh -c 'echo $$ >"$0/cgroup.procs"; read -r _ <"$1"' "$cage" "$work/go" &
	waiting=$!
	until oncpu doctor --json | jq -e 'select(.what == "the kernel'"'"'s own books" or
		(.what == "accounts = cpu.stat" and (.found | test("[1-9][0-9]* comparisons")))) | .verdict' >"$work/audit"; do
		kill -0 $waiting || break
	done
	echo go >"$work/go"
	wait $waiting
	[ "$(cat "$work/audit")" = '"ok"' ] || { oncpu doctor | grep -i "books\|cpu.stat"; return 1; }
}
printf '[agent]\naudit = 100ms\n' | cat - "$work/c" >"$work/audited"

# an agent in a container of its own (mount, net, uts and ipc namespaces, the host's pids and cgroups) with no
# more than the documented capabilities; functions in containers of others, on overlayfs
caps=+sys_admin,+bpf,+perfmon,+sys_ptrace,+kill,+setuid,+setgid,+chown,+fowner,+dac_override,+dac_read_search
rm -rf "$work/state"
: >"$work/agent.log"
setsid unshare --mount --net --uts --ipc setpriv --bounding-set "-all,$caps" --inh-caps "-all,$caps" \
	--ambient-caps "-all,$caps" --securebits +noroot,+no_setuid_fixup \
	"$B/oncpu" agent --config "$work/audited" --state-dir "$work/state" --socket "$work/s.sock" --ready-fd 9 \
	>>"$work/agent.log" 2>&1 &
agent=$!
check "an agent in a container, with the documented capabilities only" read -r -n 1 -t 20 -u 9
gcc -O2 -Iinclude -static tests/functions/marks.c -o "$work/static" &&
	gcc -O2 -Iinclude tests/functions/marks.c -o "$work/dynamic" || bad=1
mkdir -p "$work/image" "$work/box"
# shellcheck disable=SC2046
cp --parents $(ldd "$work/dynamic" | grep -o '/[^ ]*') "$work/image"
cp "$work/static" "$work/dynamic" "$work/image"
contained() { # FILE: process 1 of another container
	# shellcheck disable=SC2016
	unshare --mount --pid --net --fork sh -ec '
		mount -t tmpfs none "$0/box" && mkdir "$0/box/upper" "$0/box/work" "$0/box/root"
		mount -t overlay -o "lowerdir=$0/image,upperdir=$0/box/upper,workdir=$0/box/work" none "$0/box/root"
		exec chroot --userspec=65534:65534 "$0/box/root" "/$1" "$1" 30' "$work" "$1"
}
check "its audit reads the kernel's own books" audited
for file in static dynamic; do
	contained $file
	check "it measures a $file function in somebody else's container" each_once $file:30
done
down

check "a name that is none: which there are" eval \
	'! build/oncpu agent --without nonsense 2>"$work/said" && grep -q "nonsense.*steal, direct-reads" "$work/said"'
