#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The agent's memory over a long run of everything at once: it is to be flat.

long_run.py [JSON-LINES-FILE]   MINUTES=10 for the whole target; 1 otherwise

2,000 invocations a second of one instance, 100 new instances a second that make one each, a scrape and a query a
second. What grows with its ledger, or leaks with an instance's life, a request or a record, shows. What has a size of
its own (SQLite's pages, names that are remembered) is filled first.
"""
import os, statistics, subprocess, time

from bench import Agent, Rows

LOAD = "build/bench/load"
MINUTES, RATE, PERIOD_US = float(os.environ.get("MINUTES", 1)), 2000, 10000
row = Rows("long_run")


def slope(samples):
    """KiB a minute, of (seconds, KiB), by least squares."""
    times, sizes = zip(*samples)
    t, s = statistics.mean(times), statistics.mean(sizes)
    return sum((a - t) * (b - s) for a, b in samples) / sum((a - t) ** 2 for a in times) * 60


def warm_up():
    come_and_go = subprocess.Popen([LOAD, "early", "early", "1000"], stdin=subprocess.PIPE)
    subprocess.run([LOAD, "paced", "warm", "15000", "12"], stdout=subprocess.DEVNULL, check=True)
    come_and_go.stdin.close()
    come_and_go.wait()


def main():
    samples, seconds = [], MINUTES * 60
    with Agent() as agent:
        warm_up()
        come_and_go = subprocess.Popen([LOAD, "early", "fleeting", str(PERIOD_US)], stdin=subprocess.PIPE)
        steady = subprocess.Popen([LOAD, "paced", "steady", str(RATE), str(round(seconds))], stdout=subprocess.PIPE, text=True)
        begin, connection = time.monotonic(), agent.connect()
        while steady.poll() is None:
            time.sleep(1)
            connection.get("/metrics")
            connection.get("/v1/invocations?last=100")
            samples.append((time.monotonic() - begin, agent.memory_kib("RssAnon")))
        come_and_go.stdin.close()
        come_and_go.wait()
        sent = int(steady.stdout.read().split()[0])
        stored, fleeting = agent.stored("steady"), agent.stored("fleeting")
    quarter = len(samples) // 4
    early, late = (statistics.median(kib for _, kib in part) for part in (samples[quarter:2 * quarter], samples[-quarter:]))
    per_minute = slope(samples[quarter:])
    row(f"{MINUTES:g} minute{'s' * (MINUTES != 1)} of everything", f"{sent:,} invocations, {sent - stored} lost; "
        f"{fleeting:,} instances came and went", "nothing lost", sent == stored, sent=sent, stored=stored, instances=fleeting)
    row("  the agent's memory", f"{early / 1024:.1f} MiB in the second quarter, {late / 1024:.1f} MiB in the last; "
        f"{per_minute:+.0f} KiB a minute", "flat (≤ 1.05×)", late <= 1.05 * early, second_quarter_kib=early, last_quarter_kib=late,
        kib_a_minute=round(per_minute, 1), samples=len(samples))


print("A long run", flush=True)
main()
