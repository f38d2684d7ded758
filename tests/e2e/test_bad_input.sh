#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Bad input: one line that names the cause and the cure, an exit status that is not 0, and nothing lost
# of what was measured already.
. "$(dirname "$0")/lib.sh"
here="--state-dir $work/state --socket $work/s.sock"

# STATUS REGEX COMMAND...: it ends with this status, and says one line, which matches
refused() {
	timeout 20 "${@:3}" >"$work/out" 2>"$work/said" 8>&- 9>&-
	local got=$?
	[ $got -eq "$1" ] && [ "$(wc -l <"$work/said")" = 1 ] && [ ! -s "$work/out" ] &&
		grep -qE -e "$2" "$work/said" ||
		{ echo "# exit status $got, wanted $1 and $2"; sed 's/^/# /' "$work/said" "$work/out"; return 1; }
}

# ---- options ----
while IFS='|' read -r arguments status pattern; do
	# shellcheck disable=SC2086
	check "oncpu $arguments" refused "$status" "$pattern" "$B/oncpu" $arguments
done <<'CASES'
agnet|2|there is no command agnet; did you mean agent\? \(see: oncpu help\)
xyzzy|2|there is no command xyzzy \(see: oncpu help\)
help xyzzy|2|there is no command xyzzy
agent --pindir /x|2|no option --pindir, did you mean --pin-dir\? \(see: oncpu help agent\)
agent -q|2|-q is no option \(see: oncpu help agent\)
agent --config|2|--config lacks its value \(see: oncpu help agent\)
agent --unpin=now|2|--unpin takes no value
agent now|2|takes no argument \(now\)
agent --ready-fd x|2|--ready-fd x is no number
agent --log-level loud|1|--log-level loud is unknown \(error, warning, info or debug\)
agent --state-dir=|1|--state-dir is empty \(name one, or leave it out\)
agent --user nobody-here|1|no user nobody-here \(create it with useradd
agent --user root|1|user root is root .*\(name another\)
unpin now|2|takes no argument
invocations --last many|2|--last many is no whole number .*\(0 = all\)
invocations --last -1|2|--last -1 is no whole number
invocations --last 99999999999999999999|2|is no whole number
invocations --state-dir /nowhere --socket /nowhere.s|1|no agent answers at /nowhere.s.*start one: sudo oncpu agent; or name
invocations --since yesterday --socket /nowhere.s|1|--since yesterday is no time \(15m
compare --functoin f|2|did you mean --function\?
doctor now|2|takes no argument
measure|2|needs --function NAME
measure --function f|2|needs a program: … -- PROGRAM
measure --function f --id 0123456789012345678901234567890123456789012345678901234567890123x -- true|2|--id: 1 to 64 bytes
CASES

# ---- not root ----
nobody="setpriv --reuid=65534 --regid=65534 --clear-groups"
cp "$B/oncpu" "$work/oncpu" # where nobody can run it
# shellcheck disable=SC2086
{
	check "not root: agent" refused 1 "the agent needs root .*sudo" $nobody "$work/oncpu" agent $here
	check "not root: measure" refused 1 "measure needs root.*sudo" $nobody "$work/oncpu" measure --function f -- true
	check "not root: unpin" refused 1 "needs root.*sudo" $nobody "$work/oncpu" unpin --state-dir "$work/state"
}

# ---- hosts on which it cannot work ----
# shellcheck disable=SC2086,SC2016
{
	check "a kernel too old" refused 1 "kernel 2\.6\.[0-9]+.* is too old: oncpu needs Linux 6\.1 or newer" \
		setarch --uname-2.6 "$B/oncpu" agent $here
	check "no BTF" refused 1 "no /sys/kernel/btf/vmlinux: .*CONFIG_DEBUG_INFO_BTF \(use a kernel that has it" \
		unshare --mount sh -c 'mount -t tmpfs none /sys/kernel/btf && exec "$@"' - "$B/oncpu" agent $here
	printf '[function "f"]\ncgroup = /f\n' >"$work/f.conf"
	check "no cgroup v2, and functions named by it" refused 1 "^<3>$work/f.conf:2: .*no cgroup v2 is mounted.*mount -t cgroup2" \
		unshare --mount sh -c 'umount -l "$0" && exec "$@"' "$root" "$B/oncpu" agent --config "$work/f.conf" $here
}
check "nothing of these is left in the kernel" [ -z "$(find /sys/fs/bpf -maxdepth 1 -name 'oncpu-*' -newer "$work/oncpu")" ]

# ---- configurations ----
configured() { # WHAT REGEX LINE...: refused with FILE:LINE and the cure, before anything is loaded
	printf '%s\n' "${@:3}" >"$work/bad.conf"
	check "$1" refused 1 "^<3>$work/bad.conf:$2" "$B/oncpu" agent --state-dir "$work/state" \
		--socket "$work/s.sock" --config "$work/bad.conf"
}
check "no such configuration" refused 1 "/nowhere.conf: No such file.*--config" "$B/oncpu" agent --config /nowhere.conf
check "a directory as configuration" refused 1 "$work: .*Is a directory.*--config" "$B/oncpu" agent --config "$work"
configured "unknown section" '1: unknown section \[fnction\] \(did you mean \[function\]' '[fnction "f"]'
configured "unknown key" '2: unknown key memroy_mb \(did you mean memory_mb\?' '[function "f"]' 'memroy_mb = 3'
configured "no key" '3: neither a \[section\] nor "key = value"' '[agent]' '' 'nonsense'
configured "bad number" '2: memory_mb = much is no whole number from 1' '[function "f"]' 'memory_mb = much'
configured "bad size" '2: ring_bytes = 100000 is no power of two .*try 16MiB' '[agent]' 'ring_bytes = 100000'
configured "no UTF-8" '2: user is no clean UTF-8' '[agent]' $'user = \xff\xfe'
configured "line without end" '1: the line has 199 bytes or more' "$(head -c 5000 /dev/zero | tr '\0' x)"
configured "a cgroup by its mounted path" "2: cgroup = $root/f-\\*: .*\\(write /f-\\*\\)" '[function "f"]' "cgroup = $root/f-*"
configured "a cgroup below a file" '2: cgroup = /cgroup.procs/f: .*is a file, there can be no cgroup' \
	'[function "f"]' 'cgroup = /cgroup.procs/f'
configured "a cgroup that no path is" '2: cgroup = /f/../g can match no cgroup' '[function "f"]' 'cgroup = /f/../g'

# ---- symbols; a function runs meanwhile, and the pins are an earlier agent's ----
mkdir -p "$root/oncpu-e2e-near"
printf '[function "one"]\ncgroup = /oncpu-e2e-one\n[function "far"]\ncgroup = /oncpu-e2e-naer/far-*\n' >"$work/c"
agent_up --config "$work/c" || { echo "not ok 1 - the agent starts"; bad=1; exit 1; }
check "a cgroup whose parent is not there yet is told, with the name that is near" grep -qE \
	"^<4>$work/c:4: there is no cgroup /oncpu-e2e-naer yet.*there is a oncpu-e2e-near beside it" "$work/agent.log"
check "a second agent on the same state" refused 1 "another agent \(pid $agent\) runs on this state directory, $work/state" \
	"$B/oncpu" agent --state-dir "$work/state" --socket "$work/t.sock"
check "a second agent on the same socket" refused 1 "somebody else answers on $work/s.sock.*--socket" \
	"$B/oncpu" agent --state-dir "$work/other" --socket "$work/s.sock"
check "unpin while an agent runs" refused 1 "an agent \(pid $agent\) runs on $work/state: stop it first" \
	"$B/oncpu" unpin --state-dir "$work/state"
pins=$(sed -n 's/.*kernel side in \([^,]*\),.*/\1/p' "$work/agent.log")
check "unpin while an agent runs on another state" refused 1 "an agent runs on the pins in $pins: stop it first" \
	"$B/oncpu" unpin --state-dir "$work/other" --pin-dir "$pins"

"$B/functions/thumb" --function before --count 5
agent_down
mkdir -p "$root/oncpu-e2e-one"
# shellcheck disable=SC2016
sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$root/oncpu-e2e-one" "$B/functions/thumb" --function one --count 300 &
running=$!
mark() { # FILE SYMBOL
	printf '%s\n' '[mark "theirs"]' "file = $1" "symbol = $2" 'boundary = invoke'
}
configured "a symbol's file that is not there" '1: /nowhere.so cannot be opened: No such file.*\(correct .file.\)' \
	"$(mark /nowhere.so next)"
configured "a symbol's file that is no program" "1: $work/c is no ELF file of x86-64 \(correct .file.\)" "$(mark "$work/c" next)"
configured "a symbol that is not there" \
	"1: $B/liboncpu-runtime.so has no symbol oncpu_recieve_invoke \(did you mean oncpu_receive_invoke" \
	"$(mark "$B/liboncpu-runtime.so" oncpu_recieve_invoke)"
wait "$running"
agent_up --config "$work/c" || { echo "not ok 1 - the agent starts again"; bad=1; exit 1; }
check "what was measured before and meanwhile is there" each_once before:5 one:300

# ---- ids of every kind ----
/usr/bin/python3 - "$B/liboncpu-runtime.so" >"$work/ids" <<'PYTHON'
import ctypes, sys
runtime = ctypes.CDLL(sys.argv[1])
ids = [b"x" * 64, b"y" * 65, b"z" * 300, b'a\nb\x1b[2J"\\\x7f', b"\xff\xfe\xc3(", "größe-√".encode(),
       "é".encode() * 33, b"</script>", b"\xed\xa0\x80", b"../../etc/passwd"]
for n, i in enumerate(ids):
    (runtime.oncpu_receive_invoke if n else lambda i: runtime.oncpu_receive_start(b"ids", i))(i)
    runtime.oncpu_report_done(0)
    print(i.hex())
PYTHON
ids() { # each as it was given, up to 64 bytes; with a flag where that is not the whole or no text
	records --function ids --last 0 >"$work/records"
	/usr/bin/python3 - "$work/records" "$work/ids" <<'PYTHON'
import json, sys, unicodedata
records = [json.loads(line) for line in open(sys.argv[1], "rb")]
given = [bytes.fromhex(line) for line in open(sys.argv[2])]
bad = len(records) != len(given)
for r, whole in zip(records, given):
    kept = whole[:64]
    try:
        text = kept.decode()
        clean = not any(unicodedata.category(c) == "Cc" for c in text)
    except UnicodeDecodeError:
        text, clean = None, False
    raw = bytes.fromhex(r["id_hex"]) if "id_hex" in r else r["id"].encode()
    if (raw != kept or (text is not None and r["id"] != text) or ("id_not_text" in r["flags"]) == clean
            or ("id_truncated" in r["flags"]) != (len(whole) > 64)):
        print("#", whole[:20], r["id"], r["flags"])
        bad = True
sys.exit(bad)
PYTHON
}
check "ids: too long, with control characters, no UTF-8: kept, escaped, flagged" ids
check "valid JSON, and nothing in it that steers a terminal" eval \
	'! LC_ALL=C grep -qE "[[:cntrl:]]" "$work/records" && /usr/bin/python3 -m json.tool --json-lines "$work/records" >/dev/null'
check "nor in the table" eval '! oncpu invocations --function ids | LC_ALL=C grep -qE "[[:cntrl:]]"'
check "found by its bytes" eval '[ "$(records --id $'"'\xff\xfe\xc3('"' | wc -l)" = 1 ]'

# ---- garbage on the socket ----
/usr/bin/python3 - "$work/s.sock" <<'PYTHON' >"$work/http"
import json, os, socket, sys
def answers(request, wait=True):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10)
        s.connect(sys.argv[1])
        data = b""
        try:
            s.sendall(request)
            while wait and (chunk := s.recv(65536)):
                data += chunk
        except (BrokenPipeError, ConnectionResetError):
            pass # it may hang up on what it refuses
        return data
def get(target, method=b"GET", more=b"", body=b""):
    return answers(method + b" " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + more + b"\r\n" + body)
def check(what, ok, answer):
    print("ok" if ok else "not ok", "-", what)
    if not ok:
        print("#", answer[:300])
def problem(what, answer, status, why):
    head, _, body = answer.partition(b"\r\n\r\n")
    try:
        said = json.loads(body)
        ok = head.startswith(b"HTTP/1.1 %d " % status) and said["status"] == status and why in said["detail"] \
            and b"application/problem+json" in head
    except (ValueError, KeyError):
        ok = False
    check(what, ok, answer)
problem("unknown path", get(b"/v1/invocation"), 404, "/v1/invocation")
problem("a path of control characters", get(b"/%00%0a%1b"), 404, "there is nothing at")
problem("wrong method", get(b"/v1/health", b"DELETE"), 405, "takes GET only")
problem("a body where none goes", get(b"/v1/health", b"POST", b"Content-Length: 2\r\n", b"{}"), 405, "takes GET only")
problem("unknown parameter", get(b"/v1/invocations?functoin=x"), 400, "functoin")
problem("bad number", get(b"/v1/invocations?last=x"), 400, "last is no whole number")
problem("negative number", get(b"/v1/invocations?last=-1"), 400, "last is no whole number")
problem("bad time", get(b"/v1/compare?since=yesterday"), 400, "since is no time")
problem("a day that is none", get(b"/v1/compare?since=2026-02-30T00:00:00Z"), 400, "since is no time")
problem("id too long", get(b"/v1/invocations?id=" + b"x" * 65), 400, "id is not 1 to 64 bytes")
problem("function of control characters", get(b"/v1/invocations?function=%1b[2J"), 400, "function is not")
problem("a NUL in a parameter", get(b"/v1/invocations?function=a%00b"), 400, "NUL")
problem("parameters where none go", get(b"/v1/health?x=1"), 400, "takes no parameters")
problem("two lengths", get(b"/v1/health", b"GET", b"Content-Length: 0\r\nContent-Length: 0\r\n"), 400, "more than one")
for what, request, status in [
    ("a header of 200 kB", b"GET /v1/health HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 200_000, b"431"),
    ("a path of 200 kB", b"GET /" + b"a" * 200_000, b"414"),
    ("no request line", b"garbage garbage garbage garbage\r\n\r\n", b"400"),
    ("no header", b"GET /v1/health HTTP/1.1\r\nno colon\r\n\r\n", b"400"),
    ("another protocol", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"505"),
]:
    answer = answers(request)
    check(what, answer.startswith(b"HTTP/1.1 " + status + b" "), answer)
for i in range(40): # bytes that are not even that: no answer is owed
    answers(os.urandom(1 + 97 * i), False)
    answer = answers(os.urandom(1 + 97 * i) + b"\r\n\r\n")
    if answer and not answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 505 ")):
        check("random bytes", False, answer)
check("and then it answers as before", get(b"/v1/health").startswith(b"HTTP/1.1 200 "), b"")
PYTHON
while IFS= read -r line; do # counted on from here
	case $line in
	"ok - "*) echo "ok $((++count)) - socket: ${line#ok - }" ;;
	"not ok - "*) echo "not ok $((++count)) - socket: ${line#not ok - }" && bad=1 ;;
	*) echo "$line" ;;
	esac
done <"$work/http"
check "the socket: every case was asked" [ "$(grep -c 'ok - ' "$work/http")" = 20 ]
check "the agent is still the same" eval 'kill -0 $agent && oncpu doctor --json | grep -q "pid $agent"'

# ---- pins of another layout ----
"$B/functions/thumb" --function after --count 5
agent_kill
relayout() { # VERSION: into the pinned control map
	bpftool map dump pinned "$pins/map_control" -j >"$work/control" &&
		/usr/bin/python3 - "$work/control" "$1" >"$work/value" <<'PYTHON' &&
import json, struct, sys
value = [int(b, 16) for b in json.load(open(sys.argv[1]))[0]["value"]]
value[:4] = struct.pack("<I", int(sys.argv[2]))
print(*value)
PYTHON
		bpftool map update pinned "$pins/map_control" key 0 0 0 0 value $(cat "$work/value")
}
check "bpftool writes another layout's number" relayout 77
# shellcheck disable=SC2086
check "pins of another layout" refused 1 \
	"$pins holds the maps of another oncpu version \(layout 77, this one has .*sudo oncpu unpin --pin-dir $pins" \
	"$B/oncpu" agent $here
check "they are left alone" test -e "$pins/map_totals"
check "the cure" eval '"$B/oncpu" unpin --pin-dir "$pins" 2>"$work/said" && [ ! -e "$pins" ]'
check "it says what it did" grep -qE "[0-9]+ pins removed from $pins" "$work/said"
check "a second time there is nothing to do" eval '"$B/oncpu" unpin --pin-dir "$pins" 2>&1 | grep -q "there are no pins in $pins"'
check "unpin where no pins can be" refused 1 "$work is not on a bpffs" "$B/oncpu" unpin --pin-dir "$work"
agent_up --config "$work/c" || { echo "not ok 1 - the agent starts after the cure"; bad=1; exit 1; }
"$B/functions/thumb" --function cured --count 5
check "after it the agent measures, and what was stored before is there" each_once before:5 one:300 cured:5

# ---- killed while it made its pins ----
agent_down
relayout 0
agent_up --config "$work/c" || { echo "not ok 1 - the agent starts over pins that nobody finished"; bad=1; exit 1; }
"$B/functions/thumb" --function again --count 5
check "pins that nobody finished are made anew" each_once before:5 one:300 cured:5 again:5
