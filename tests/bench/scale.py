#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""What 10,000 instances cost: memory in kernel and agent, a context switch among them, the audit of them.

scale.py [JSON-LINES-FILE]   INSTANCES=10000 ROUNDS_OF_SCALE=8. Leaves no process, cgroup, pin or file behind.
Each instance is a cgroup with one process that sleeps.
"""
import os, subprocess, sys, time

from bench import Agent, Rows

CROWD, TRACKED = "build/bench/crowd", "build/bench/tracked"
INSTANCES, ROUNDS = int(os.environ.get("INSTANCES", 10000)), int(os.environ.get("ROUNDS_OF_SCALE", 8))
NAME = f"oncpu-crowd-{os.getpid()}"
AUDIT_SECONDS = 5
row = Rows("scale", 40)


class Crowd:
    def __enter__(self):
        begin = time.monotonic()
        self.process = subprocess.Popen([CROWD, str(INSTANCES), NAME], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if not self.process.stdout.readline():
            sys.exit("scale.py: no crowd")
        print(f"{INSTANCES:,} cgroups with a sleeping process each, made in {time.monotonic() - begin:.1f} s", flush=True)
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(120)


def kernel_side():
    out = subprocess.run([TRACKED, str(INSTANCES), f"/{NAME}/*", str(ROUNDS)], capture_output=True, text=True)
    if out.returncode:
        sys.exit(f"scale.py: {out.stderr}")
    said = [line.split() for line in out.stdout.splitlines()]
    maps = {name: (float(each), int(whole)) for key, name, each, whole in (s for s in said if s[0] == "memory")
            if name != "events"}  # the ring's size is a choice of its own
    grow = {name: each for name, (each, _) in maps.items() if each}
    whole = sum(b for _, b in maps.values())
    row("kernel memory, each instance", f"{sum(grow.values()):.0f} bytes of maps, with {os.cpu_count()} CPUs ("
        + ", ".join(f"{n} {b:.0f}" for n, b in sorted(grow.items(), key=lambda x: -x[1])) + ")",
        bytes=round(sum(grow.values())), maps=grow)
    row("  all maps but the ring, for them", f"{whole / 2**20:.1f} MiB; the same whatever their number: "
        + ", ".join(f"{n} {b / 2**20:.1f}" for n, (each, b) in sorted(maps.items(), key=lambda x: -x[1][1]) if not each)
        + " MiB", bytes=whole)
    ms = next(float(s[1]) for s in said if s[0] == "adopt")
    row("load and adopt them all", f"{ms:.0f} ms", ms=ms)
    nothing, few, many = map(float, next(s[1:] for s in said if s[0] == "switch"))
    change = many / few - 1
    row("a switch, tracked on both sides", f"{few:.0f} ns with 2 instances, {many:.0f} with {INSTANCES + 2:,}: {change:+.1%} "
        f"(nothing attached: {nothing:.0f}; the quickest of {ROUNDS} rounds each)", "within ±5 %", abs(change) <= 0.05,
        nothing_ns=nothing, few_ns=few, many_ns=many, rounds=ROUNDS)


def config(pattern, audit="0"):
    return (f"[agent]\nmax_instances = {INSTANCES + 240}\naudit = {audit}\n"
            f"[function \"crowd\"]\ncgroup = {pattern}\n")


def open_instances(agent):
    return sum(f["instances_open"] for f in agent.read("functions"))


def settled(pattern, audit, expected):
    agent = Agent(config(pattern, audit))
    agent.__enter__()
    end = time.monotonic() + 60
    while (there := open_instances(agent)) < expected:
        if time.monotonic() > end:
            sys.exit(f"scale.py: the agent has {there} of {expected} instances")
    return agent


def busy(agent, seconds):
    begin, cpu = time.monotonic(), agent.cpu_s()
    time.sleep(seconds)
    return (agent.cpu_s() - cpu) / (time.monotonic() - begin)


def agents():
    few = settled("/oncpu-nobody/*", "0", 0)
    none = few.memory_kib("RssAnon")
    few.__exit__()
    cores = {}
    for audit in ("0", "10s"):
        agent = settled(f"/{NAME}/*", audit, INSTANCES)
        anonymous, ready = agent.memory_kib("RssAnon"), agent.ready_ms
        busy(agent, 1)
        cores[audit] = busy(agent, AUDIT_SECONDS)
        agent.__exit__()
    row("agent memory, each instance", f"{(anonymous - none) * 1024 / INSTANCES:.0f} bytes ({none / 1024:.1f} MiB without, "
        f"{anonymous / 1024:.1f} MiB with {INSTANCES:,})", bytes=round((anonymous - none) * 1024 / INSTANCES), none_kib=none, all_kib=anonymous)
    row("agent start, with all of them there", f"ready after {ready:.0f} ms", ready_ms=round(ready, 1))
    for audit, used in cores.items():
        row(f"agent CPU, all idle, audit = {audit}", f"{used * 100:.2f} % of a core", percent=round(used * 100, 3))


with Crowd():
    kernel_side()
    agents()
