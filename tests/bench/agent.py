#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""What the agent does: start to first boundary, 50,000 invocations a second and more, the ledger's own rate.

agent.py [JSON-LINES-FILE]   appends a line a row; leaves no process, pin or file behind
"""
import re, shutil, statistics, subprocess, sys, tempfile, time

from bench import Agent, Rows

LOAD, LEDGER = "build/bench/load", "build/bench/ledger_rate"
STARTS, RATE, SECONDS = 5, 50000, 10
STEPS, STEP_SECONDS, TRIES = (50000, 75000, 100000, 125000, 150000, 200000, 250000, 300000), 3, 3
RING = "[agent]\nring_bytes = 64MiB\n"  # where a core ends is asked, not how long a stall of the disk may be
row = Rows("agent")


def start_to_first_boundary():
    """Processes begin and mark all the time: the first one whose mark is in the ledger says when."""
    first, ready = [], []
    for _ in range(STARTS):
        load = subprocess.Popen([LOAD, "early", "early", "500"], stdin=subprocess.PIPE)
        time.sleep(0.05)
        with Agent() as agent:
            time.sleep(0.05)
            load.stdin.close()
            load.wait()
            ids = [int(r["id"]) for r in agent.read("invocations", "--function", "early", "--last", "0")]
            ready.append(agent.ready_ms)
            if ids:
                first.append((min(ids) - agent.begin) / 1e6)
    if not first:
        sys.exit("agent.py: no boundary was accounted")
    ms = statistics.median(first)
    row("start to first boundary", f"{ms:.0f} ms (of {len(first)}: {min(first):.0f} … {max(first):.0f}), "
        f"ready after {statistics.median(ready):.0f} ms", "≤ 300 ms", ms <= 300,
        ms=round(ms, 1), worst_ms=round(max(first), 1), ready_ms=round(statistics.median(ready), 1))


def many_invocations():
    with Agent() as agent:
        load = subprocess.Popen([LOAD, "paced", "many", str(RATE), str(SECONDS)], stdout=subprocess.PIPE, text=True)
        begin, cpu = time.monotonic(), agent.cpu_s()
        memory = []
        while load.poll() is None:
            time.sleep(0.5)
            memory.append(agent.memory_kib())
        sent, took = load.stdout.read().split()
        stored = agent.stored("many")
        cores = (agent.cpu_s() - cpu) / (time.monotonic() - begin)
        quarter, last = memory[len(memory) // 4], memory[-1]
        lost = int(sent) - stored
    row("50,000 invocations/s", f"{int(sent)} in {float(took):.1f} s, {stored} in the ledger, {lost} lost",
        "all", lost == 0, sent=int(sent), stored=stored, seconds=float(took))
    row("  the agent's CPU", f"{cores:.2f} cores", "≤ 1", cores <= 1, cores=round(cores, 3))
    row("  the agent's memory", f"{quarter / 1024:.0f} MiB after a quarter, {last / 1024:.0f} MiB at the end",
        "flat (≤ 1.1×)", last <= 1.1 * quarter, quarter_kib=quarter, end_kib=last)


def one_step(rate):
    """Cores that the agent used while they came, its CPU time for each, and how many are in the ledger."""
    with Agent(RING) as agent:
        load = subprocess.Popen([LOAD, "paced", "step", str(rate), str(STEP_SECONDS)], stdout=subprocess.PIPE, text=True)
        begin, cpu = time.monotonic(), agent.cpu_s()
        sent, took = load.communicate()[0].split()
        cores = (agent.cpu_s() - cpu) / (time.monotonic() - begin)
        stored = agent.stored("step")
        return int(sent), float(took), stored, cores, (agent.cpu_s() - cpu) / max(stored, 1) * 1e6


def saturation():
    """Upwards, until the agent has no more of its core to give, or loses something each time it is tried."""
    held, why, cores, us = 0, "the last step", 0, 0
    steps = []
    for rate in STEPS:
        for _ in range(TRIES):
            sent, took, stored, cores_now, us_now = one_step(rate)
            steps.append({"rate": rate, "sent": sent, "stored": stored, "cores": round(cores_now, 3), "us": round(us_now, 2)})
            if stored == sent and took <= 1.05 * STEP_SECONDS:
                break
        if stored < sent:
            why = f"at {rate:,}/s {sent - stored:,} of {sent:,} were lost (the agent at {cores_now:.2f} cores)"
            break
        if took > 1.05 * STEP_SECONDS:
            why = f"the load itself makes no more than {sent / took:,.0f}/s here"
            break
        held, cores, us = rate, cores_now, us_now
        if cores_now > 0.97:
            why = "a core"
            break
    row("invocations/s until a core is full", f"{held:,}/s all in the ledger, at {cores:.2f} cores, {us:.1f} µs of the agent's CPU "
        f"each; the end: {why}", "≥ 50,000", held >= 50000, held=held, cores=round(cores, 3), us=round(us, 2), end=why,
        steps=steps)


def ledger_rate():
    place = tempfile.mkdtemp(prefix="oncpu-bench.", dir="/tmp")
    out = subprocess.run([LEDGER, f"{place}/ledger", "200000"], capture_output=True, text=True)
    shutil.rmtree(place)
    for size, rate, us in re.findall(r"(\d+) a transaction:\s+(\d+) rows/s,\s+([\d.]+) us", out.stdout)[:3]:
        row(f"ledger, {size} rows a transaction", f"{int(rate):,} rows/s, {us} µs of CPU a row",
            rows_per_s=int(rate), us_per_row=float(us))


print("The agent", flush=True)
start_to_first_boundary()
many_invocations()
saturation()
ledger_rate()
