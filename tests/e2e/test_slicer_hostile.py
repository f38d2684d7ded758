#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""`oncpu run`: a function that misbehaves harms nobody but itself. After each case an ordinary function
of the same slicer answers, and nothing outlives the slicer."""
import http.client
import os

from slicer import MS, Slicer, alive, bare, check, main, until

KINDS = {
    "bad": bare(timeout="1s"), "bomb": bare(processes=20, timeout="10s"),
    "deaf": bare("deaf", timeout="300ms"), "good": bare(timeout="10s", concurrency=2),
    "flood": bare(timeout="300ms", cpu_limit="5s"), "quick": bare(timeout="300ms"),
}


def hostile():
    s = Slicer(KINDS)

    def good(what, ok, saw=None):
        check(what, ok, saw)
        a = s.invoke("good", {"after": what})
        check("  and an ordinary function answers after it",
              a.value and a.value.get("echo") == {"after": what}, a)

    a = s.invoke("bad")
    check("a function is nobody, not root", a.value["uid"] not in (0, os.getuid()), a)
    cases = (daemons, deaf, sockets, others, logs, bombs)
    for case in cases:
        case(s, good)
    left = [int(p) for p in s.cgroups()[1]]
    _, instances = s.stop("after all of it")
    check("after all of it: no process of any instance lives", left and not any(map(alive, left)), left)
    return instances


def daemons(s, good):
    a = s.invoke("bad", {"do": "daemons"})
    pids = a.value["pids"]
    good("daemons in sessions of their own: the invocation ends", len(pids) == 3, a)
    cages = {open(f"/proc/{p}/cgroup").read().rsplit("/", 1)[1].strip() for p in pids}
    index = int(min(cages).split("-i")[1])
    good("daemons: all are in their instance's cgroup, and frozen with it",
         len(cages) == 1 and all(map(alive, pids)) and until(lambda: s.frozen(0, index), "a freeze"),
         cages)
    a = s.invoke("good", {"do": "signal_others", "pids": [s.process.pid, os.getpid(), 1]})
    check("a function signals the slicer, the test and init: refused",
          a.value == {"refused": ["PermissionError"] * 3}, a)
    a = s.invoke("bad", {"do": "exit", "status": 1})
    until(lambda: not any(map(alive, pids)), "the daemons' end")
    good("daemons: end with their instance, deaf to signals as they are",
         a.value["errorType"] == "Runtime.ExitError", a)


def deaf(s, good):
    a = s.invoke("quick", {"do": "deaf_to_term"})
    good("deaf to SIGTERM: the time-out ends it all the same",
         a.value["errorType"] == "Sandbox.Timedout", a)
    a = s.invoke("deaf", b'"' + b"z" * ((6 << 20) - 2) + b'"')
    good("never reads a big event: a time-out", a.value["errorType"] == "Sandbox.Timedout", a)
    s.invoke("bad", {"do": "thread"})
    (cage,) = until(lambda: s.cages(0) if len(s.cages(0)) == 1 else None, "one instance")
    until(lambda: s.frozen(0, cage), "a freeze")
    before = s.used_us(0, cage)
    a = s.invoke("good", {"do": "sleep", "ms": 50})  # time that it would burn
    after = s.used_us(0, cage)
    good("a thread that burns after the answer: the kernel says it gets nothing while frozen",
         a.value["slept"] == 50 and before == after and s.frozen(0, cage), (before, after))
    b = s.invoke("bad", {"n": 1})
    second = s.record(b, "bad")
    good("a thread that burns after the answer: so say the books",
         b.value["echo"] == {"n": 1}
         and second["freeze"]["cpu_ns"] + second["between"]["cpu_ns"]
         < second["freeze"]["wall_ns"] + second["between"]["wall_ns"] - 50 * MS, second)
    s.invoke("bad", {"do": "exit", "status": 0})


def works(s, event):
    """What is under way when it breaks off may fail; it must not hang, and must get well."""
    return until(lambda: (s.invoke("bad", event).value or {}).get("echo") == event, "an answer")


def sockets(s, good):
    a = s.invoke("bad", {"do": "close"})
    good("closes its sockets with a next open: its caller is told", a.status == 200, a)
    good("closes its sockets: it works again, or anew, after that", works(s, {"n": 2}))
    a = s.invoke("bad", {"do": "hang_up"})
    good("hangs up on its open next: its caller has the answer", a.value == {"hung": "up"}, a)
    good("hangs up on its open next: works anew after that", works(s, {"n": 3}))
    a = s.invoke("bad", {"do": "garbage"})
    good("garbage to the Runtime API: refused or hung up on, and the invocation still succeeds",
         a.value and len(a.value.get("said", [])) == 7
         and not any(x.startswith("HTTP/1.1 2") for x in a.value["said"]), a)
    a = s.invoke("bad", {"n": 3})
    good("garbage: the next invocation succeeds", a.value.get("echo") == {"n": 3}, a)
    s.invoke("bad", {"do": "next_again"})
    s.invoke("bad", {"n": 4})  # into a socket that nobody reads
    good("next on 20 connections at once: it works again, or anew, after that", works(s, {"n": 5}))


def others(s, good):
    def starts():
        return [x.split()[2] for x in s.log("good") if x.startswith("START ")]

    before = len(starts())
    waiting = s.begin("good", {"do": "sleep", "ms": 700})
    victim = until(lambda: starts()[before:], "a START")[0]
    a = s.invoke("bad", {"do": "answer_other", "other": victim})
    good("answers another function's id: nobody hears of it",
         a.value == {"statuses": [202, 202, 409, 409]}, a)
    b = waiting.result()
    check("answers another function's id: he gets his own answer",
          not b.error and b.value == {"slept": 700, "id": victim}, b)
    api = s.invoke("good").value["api"]
    a = s.invoke("bad", {"do": "visit", "api": api})
    good("speaks to another instance's Runtime API: hung up on",
         a.value.get("refused") in ("RemoteDisconnected", "ConnectionResetError", "BrokenPipeError"), a)
    for path in ("/2018-06-01/ping", "/2018-06-01/runtime/invocation/next"):
        c = http.client.HTTPConnection(api, timeout=5)
        try:
            c.request("GET", path)
            said = c.getresponse().status
        except (http.client.HTTPException, ConnectionError) as error:
            said = type(error).__name__
        finally:
            c.close()
        good(f"a process outside asks {path}: hung up on",
             said in ("RemoteDisconnected", "ConnectionResetError", "BrokenPipeError"), said)
    check("somebody else at a Runtime API: the slicer says so", "somebody else spoke" in s.words(),
          s.words())


def logs(s, good):
    a = s.invoke("bad", {"do": "flood", "bytes": 4 << 20}, X_Amz_Log_Type="Tail")
    own = sum(len(x) + 1 for x in s.log("bad") if x.startswith("xxx"))
    dropped = [x for x in s.log("bad") if "more bytes of output were dropped" in x]
    counted = int(dropped[0].split()[1]) if dropped else 0
    good("floods its log: 1 MiB is kept, the rest is counted, the tail is 4 KiB",
         a.value and len(dropped) == 1 and (1 << 20) - 100 <= own <= (1 << 20) + 100
         and own + counted in range(a.value["wrote"], a.value["wrote"] + 100)
         and len(a.log()) <= 4096, (a.value, own, dropped))
    a = s.invoke("flood", {"do": "flood_for_ever"})
    size = os.path.getsize(os.path.join(s.directory, "logs/flood.log"))
    good("floods its log for ever: the time-out ends it, and its log is bounded",
         a.value["errorType"] == "Sandbox.Timedout" and size < 2 << 20, (a, size))


def bombs(s, good):
    a = s.invoke("bomb", {"do": "fork_bomb"})
    good("a fork bomb: bounded by --processes 20",
         a.value and a.value["children"] == 19 and a.value["error"] == 11, a)
    r = s.record(a, "bomb")
    check("a fork bomb: its invocation has a record", r["status"] == "ok" and r["cpu_ns"] > 1 * MS, r)


main("oncpu run and hostile functions", hostile)
