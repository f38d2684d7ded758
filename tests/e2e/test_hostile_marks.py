#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The threat model of README.md, tried: a function lies with its marks, and runs from its accounts. It can
spoil its own records only, never its total, another's record, or the agent."""
import os
import shutil
import signal
import subprocess
import time

from host import B, Agent, Function, check, finish, law, need_host, pattern, say

NOBODY = 65534
NAMES = ["liar", "victim"]


def liar(*arguments, **options):
    return Function("liar", [f"{B}/functions/liar", "liar", *map(str, arguments)], **options)


def rss_kib(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(next(l.split()[1] for l in f if l.startswith("VmRSS")))


class Victim:
    """An ordinary function beside it, whose records are exact whatever the other does."""

    def __enter__(self):
        self.f = Function("victim", [f"{B}/functions/steady", "victim", "300"], held=True)
        return self

    def __exit__(self, *_):
        self.f.remove()

    def judge(self, agent, what):
        self.f.end()
        done, inside, outside = map(int, self.f.out.split())
        records, closing = agent.records("victim"), agent.closed("victim")
        ids = sorted(int(r["id"].rsplit("-", 1)[1]) for r in records)
        check(f"{what}: the other function's {done} records are all there, once, in its own name",
              ids == list(range(1, done + 1)) and {r["function"] for r in records} == {"victim"},
              f"{len(ids)} of {done}")
        spent = sum(r["cpu_ns"] for r in records)
        check(f"{what}: and exact: its own clocks, and the law",
              inside <= spent <= outside and len(closing) == 1 and law(closing[0], self.f.stat_ns()),
              f"{inside} {spent} {outside} {closing} {self.f.stat_ns()}")


def closes(agent, f, what):
    closing = agent.closed("liar")
    return check(f"{what}: its own total is the kernel's", len(closing) == 1 and
                 law(closing[0], f.stat_ns()), f"{closing} {f.stat_ns()}")


def forged():
    with Agent("".join(map(pattern, NAMES))) as agent, Victim() as victim:
        f = liar("forge", "victim", 500)
        try:
            check("forge: 500 marks in another's name, with its ids", f.end() == 0)
            mine = agent.records("liar")
            check("forge: they are the liar's own records, and say so",
                  len(mine) == 500 and all("name_mismatch" in r["flags"] for r in mine[:1]), str(mine[:1]))
            closes(agent, f, "forge")
            victim.judge(agent, "forge")
        finally:
            f.remove()


def storm():
    with Agent("[agent]\nring_bytes = 1MiB\n" + "".join(map(pattern, NAMES))) as agent, Victim() as victim:
        before = rss_kib(agent.worker())
        f = liar("storm", 8, 20000)
        begun = time.monotonic()
        try:
            check("storm: 320,000 marks of eight threads", f.end() == 0)
            seconds = time.monotonic() - begun
            closing, records = agent.closed("liar"), agent.records("liar")
            say(f"{320000 / seconds:.0f} marks a second; {len(records)} records, "
                f"{closing[0]['events_lost']} of its events found no room; "
                f"the agent's memory {before} to {rss_kib(agent.worker())} KiB")
            closes(agent, f, "storm")
            check("storm: no record of it is there twice",
                  len({r["record_id"] for r in records}) == len(records))
            check("storm: the agent has not grown with it", rss_kib(agent.worker()) < before + (96 << 10),
                  f"{before} {rss_kib(agent.worker())}")
            victim.judge(agent, "storm")
            lost = [r for r in agent.records("victim") if "events_lost" in r["flags"]]
            check("storm: none of the other's events was pushed out of the ring", not lost, len(lost))
        finally:
            f.remove()


def false_hellos():
    with Agent("".join(map(pattern, NAMES))) as agent, Victim() as victim:
        f = liar("hello", 300)
        try:
            check("hello: 900 false ones, and the process is let go on", f.end() == 0)
            kernel = agent.health()["kernel"]
            check("hello: what makes no sense is counted", kernel["hellos_malformed"] > 0, str(kernel))
            closes(agent, f, "hello")
            check("hello: the agent is well", agent.process.poll() is None and agent.health()["status"] == "ok")
            victim.judge(agent, "hello")
        finally:
            f.remove()


def runaways():
    with Agent("".join(map(pattern, NAMES))) as agent, Victim() as victim:
        for what, arguments, flags in (("session", ["session"], {"child_mark"}),
                                       ("trace", ["trace"], set())):
            f = liar(*arguments)
            try:
                check(f"{what}: done", f.end() == 0)
                record = [r for r in agent.records("liar") if r["id"] == f"{what}-1"]
                check(f"{what}: its invocation has all of its CPU", len(record) == 1 and
                      record[0]["status"] == "ok" and flags <= set(record[0]["flags"]), str(record))
                closing = agent.closed("liar")[-1]
                check(f"{what}: and the law", closing["total_cpu_ns"] - f.stat_ns() <= 3000, str(closing))
            finally:
                f.remove()
        setuid(agent)
        victim.judge(agent, "runaways")


def setuid(agent):
    """As nobody, into a program of root's with the setuid bit."""
    program = f"{agent.work}/setuid"
    shutil.copy(f"{B}/functions/hello", program)
    os.chmod(program, 0o4755)
    suid = not os.statvfs(agent.work).f_flag & os.ST_NOSUID
    f = Function("liar", ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
                          f"{B}/functions/liar", "liar", "exec", program])
    try:
        f.end()
        record = [r for r in agent.records("liar") if r["id"] == "exec-1"]
        check("setuid: a program that it becomes is still its own account" + ("" if suid else " (nosuid mount)"),
              len(record) == 1 and "exit_in_invocation" in record[0]["flags"], str(record))
        closing = agent.closed("liar")[-1]
        check("setuid: and the law", law(closing, f.stat_ns()), f"{closing} {f.stat_ns()}")
    finally:
        f.remove()


def movers():
    with Agent("".join(map(pattern, NAMES))) as agent, Victim() as victim:
        there = f"{victim.f.cgroup}/cgroup.procs"
        f = Function("liar", ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
                              f"{B}/functions/liar", "liar", "move", there])
        try:
            f.end()
            check("move: without the right to, it stays where it is", f.out.splitlines()[0] == "13", f.out)
            closes(agent, f, "move")
        finally:
            f.remove()
        # root in a cgroup namespace: its own subtree is all it sees, and that is its own account
        script = ('mkdir -p "$0/below" && mount --bind "$0" /mnt && '
                  f'exec {B}/functions/liar liar move /mnt/below/cgroup.procs')
        f = Function("liar", ["true"])
        f.end()
        cgroup = f.cgroup
        f = Function("liar", ["unshare", "--cgroup", "--mount", "sh", "-c", script, cgroup])
        try:
            check("move: into a cgroup below its own", f.end() == 0 and f.out.splitlines()[0] == "0", f.out)
            closing = agent.closed("liar")[-1]
            record = [r for r in agent.records("liar") if r["id"] == "move-1"][-1]
            check("move: it is still one instance with one invocation", record["status"] == "ok", str(record))
            check("move: the whole subtree is its account", -3000 <= closing["total_cpu_ns"] - f.stat_ns() +
                  0 <= 3000 or closing["total_cpu_ns"] <= f.stat_ns(), f"{closing} {f.stat_ns()}")
            os.rmdir(f"{cgroup}/below")
        finally:
            f.remove()
        victim.judge(agent, "move")


def stopped_attacher():
    """Only root can stop it; then nobody new is attached, and who waits goes on once it does."""
    with Agent("".join(map(pattern, NAMES))) as agent, Victim() as victim:
        refused = subprocess.run(["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
                                  "kill", "-STOP", str(agent.process.pid), str(agent.worker())],
                                 capture_output=True)
        check("attacher: a function's user cannot stop it", refused.returncode != 0)
        new = f"{agent.work}/unseen"
        shutil.copy(f"{B}/functions/marks", new)
        os.kill(agent.process.pid, signal.SIGSTOP)
        f = Function("liar", [new, "liar", "300"])
        time.sleep(1.5)  # longer than the heartbeat lasts
        os.kill(agent.process.pid, signal.SIGCONT)
        try:
            check("attacher: stopped for a while, the function still ends", f.end() == 0)
            ids = [r["id"] for r in agent.records("liar")]
            lost = sum(r["flags"].count("marks_lost") for r in agent.records("liar"))
            check("attacher: no mark is lost unseen", sorted(ids) == sorted(f"liar-{i}" for i in range(1, 301)) or
                  lost > 0, f"{len(ids)} {lost}")
            closes(agent, f, "attacher")
            victim.judge(agent, "attacher")
        finally:
            f.remove()


need_host()
forged()
storm()
false_hellos()
runaways()
movers()
stopped_attacher()
finish()
