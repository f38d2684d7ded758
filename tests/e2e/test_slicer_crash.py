#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""`oncpu run`: kill -9 of either half leaves nothing behind that the next start does not clear; SIGTERM
lets what runs finish."""
import os
import signal
import subprocess

from slicer import Slicer, alive, bare, check, main, until


def family(pid):
    """The process and its descendants that are there now."""
    out = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True)
    parents = {int(c): int(p) for c, p in (line.split() for line in out.stdout.splitlines())}
    found = {pid}
    while True:
        more = {c for c, p in parents.items() if p in found} - found
        if not more:
            return found
        found |= more


def frozen_pids(s, functions):
    """Every function has an idle instance with daemons in it, frozen."""
    pids = []
    for n, name in enumerate(functions):
        pids += s.invoke(name, {"do": "daemons"}).value["pids"]
        until(lambda cage=n: any(os.path.isdir(s.cage(cage, i)) and s.frozen(cage, i)
                                 for i in range(8)), "a freeze")
    return pids + [int(p) for p in s.cgroups()[1]]


def killed(which):
    functions = {"one": bare(), "two": bare()}
    s = Slicer(functions)
    pids = frozen_pids(s, functions)
    others = family(s.process.pid) - {s.process.pid} - set(pids)
    if which == "keeper":
        victim = s.process.pid
    else:  # the half that listens
        victim = next(p for p in others if f":{s.port:04X}" in listeners(p))
    os.kill(victim, signal.SIGKILL)
    s.wait()
    until(lambda: not any(map(alive, others)), f"the end of the others of {s.run}: {others}")
    check(f"kill -9 of the {which}: the slicer's other processes end by themselves", True)
    again = Slicer(functions, directory=s.directory)
    if which == "keeper":
        check("kill -9 of the keeper: the next start says what it cleared",
              "1 run(s) of a slicer that died were ended" in again.words(), again.words())
    check(f"kill -9 of the {which}: after the next start nothing of the old one is left, "
          "frozen or not", s.cgroups() == ([], []) and not any(map(alive, pids)),
          (s.cgroups(), [p for p in pids if alive(p)]))
    a = again.invoke("one", {"n": 1})
    check(f"kill -9 of the {which}: the next slicer works", a.value["echo"] == {"n": 1}, a)
    again.stop(f"kill -9 of the {which}")


def listeners(pid):
    """Local addresses of the process's listening sockets, as /proc/net/tcp has them."""
    mine = set()
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            mine.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
    except FileNotFoundError:
        pass
    with open("/proc/net/tcp") as f:
        rows = [line.split() for line in f.readlines()[1:]]
    return " ".join(r[1] for r in rows if r[3] == "0A" and f"socket:[{r[9]}]" in mine)


def keeper():
    killed("keeper")


def front():
    killed("front")


def during():
    """kill -9 while an invocation runs and others wait: callers see it, nothing hangs."""
    s = Slicer({"slow": bare(timeout="30s")})
    call = s.begin("slow", {"do": "sleep", "ms": 20000})
    until(lambda: any(x.startswith("START ") for x in s.log("slow")), "a START")
    os.kill(s.process.pid, signal.SIGKILL)
    s.wait()
    try:
        said = call.result(5)
    except Exception as error:  # a connection that ends
        said = type(error).__name__
    check("kill -9 in mid-invocation: the caller's connection ends",
          said in ("RemoteDisconnected", "ConnectionResetError"), said)
    again = Slicer({"slow": bare()}, directory=s.directory)
    a = again.invoke("slow", {"n": 1})
    check("kill -9 in mid-invocation: the next slicer works", a.value["echo"] == {"n": 1}, a)
    check("kill -9 in mid-invocation: no stray process", s.cgroups() == ([], []), s.cgroups())
    again.stop("kill -9 in mid-invocation")


def gently():
    names = ("slow", "suspended")
    s = Slicer({name: bare(timeout="5s") for name in names})
    for name in names:
        s.invoke(name)
    calls = [s.begin("slow", {"do": "sleep", "ms": 500}),
             s.begin("suspended", {"do": "until", "ms": 400})]
    for name in names:
        until(lambda n=name: sum(x.startswith("START ") for x in s.log(n)) == 2, "a START")
    records, _ = s.stop("SIGTERM")
    a, b = (call.result() for call in calls)
    check("SIGTERM: an invocation that runs is finished, and its caller answered",
          a.value and a.value["slept"] == 500, a)
    check("SIGTERM: so is one that is suspended until",
          b.value and b.value["waited_ms"] >= 400, b)
    check("SIGTERM: their records are there",
          {a.id(), b.id()} <= {r["id"] for r in records if r["status"] == "ok"}, records)


main("kill -9 and SIGTERM of oncpu run", keeper, front, during, gently)
