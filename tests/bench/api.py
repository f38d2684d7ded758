#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""What the query API costs: the newest records of one function among many, scrapes, and readers beside the measuring.

api.py [JSON-LINES-FILE]   ROWS=10000000 for the whole target (2 GB, and two minutes to fill; 1,000,000 otherwise)
                           SEGMENTS=N hours that they are of (100)
"""
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time

from bench import Agent, Rows

LOAD, FILL = "build/bench/load", "build/bench/ledger_fill"
ROWS, SEGMENTS = int(os.environ.get("ROWS", 1000000)), int(os.environ.get("SEGMENTS", 100))
ROW_BYTES, SEGMENT_BYTES = 320, 1 << 20  # what they take at most, in the ledger and beside it while it is filled
RATE, SECONDS, READERS = 10000, 6, 8
row = Rows("api")


class Filled(Agent):
    """One whose ledger has rows already."""

    def __init__(self, rows):
        super().__init__()
        self.rows = rows

    def prepare(self, state_dir):
        need, place = self.rows * ROW_BYTES + SEGMENTS * SEGMENT_BYTES, os.path.dirname(state_dir)
        if shutil.disk_usage(place).free < need + (1 << 30):
            shutil.rmtree(place)
            sys.exit(f"api.py: {self.rows:,} rows need {need / 1e9:.1f} GB in {os.path.dirname(place)}: ROWS=n, or TMPDIR")
        begin = time.monotonic()
        subprocess.run([FILL, state_dir, str(self.rows), str(SEGMENTS)], check=True)
        self.filled_s = time.monotonic() - begin
        subprocess.run(["chmod", "-R", "a+rwX", state_dir], check=True)  # the agent's user is its own choice


def worker_kib(agent):
    with open(f"/proc/{agent.pids()[1]}/status") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])


def ms_of(connection, what, times=60):
    """Median time of a request, of which the client's part is measured with one that does next to nothing."""
    def one(path):
        begin = time.perf_counter()
        connection.get(path)
        return (time.perf_counter() - begin) * 1000
    taken = [(one("/v1/flags"), one(what)) for _ in range(times)]
    return statistics.median(t for _, t in taken), statistics.median(t for t, _ in taken)


def reading():
    with Filled(ROWS) as agent:
        c = agent.connect()
        begin = time.perf_counter()
        c.get("/v1/invocations?function=nobody&last=100")
        cold = (time.perf_counter() - begin) * 1000
        last, floor = ms_of(c, "/v1/invocations?function=function-7&last=100")
        row(f"last 100 of one among {ROWS:,}", f"{last:.2f} ms (a request that reads nothing: {floor:.2f} ms; "
            f"filled in {agent.filled_s:.0f} s)", "≤ 5 ms", last <= 5, ms=round(last, 3), floor_ms=round(floor, 3),
            rows=ROWS)
        rare, _ = ms_of(c, "/v1/invocations?function=rare&last=100")
        row(f"  of one in 2 of {SEGMENTS} hours", f"{rare:.2f} ms", "≤ 5 ms", rare <= 5, ms=round(rare, 3))
        none, _ = ms_of(c, "/v1/invocations?function=nobody&last=100")
        row("  of one that is in none", f"{none:.2f} ms (the first time after the agent's start: {cold:.0f} ms)", "≤ 5 ms",
            none <= 5, ms=round(none, 3), cold_ms=round(cold, 1))
        page, _ = ms_of(c, "/v1/invocations?limit=100")
        row("  a page of 100, all functions", f"{page:.2f} ms", ms=round(page, 3))
        record = json.loads(c.get("/v1/invocations?function=function-7&limit=1"))["record_id"]
        one, _ = ms_of(c, f"/v1/invocations/{record}")
        row("  one by its record_id", f"{one:.2f} ms", ms=round(one, 3))
        known, _ = ms_of(c, "/v1/functions", 20)
        row("  /v1/functions, 100 of them", f"{known:.2f} ms", ms=round(known, 3))
        before, begin = worker_kib(agent), time.perf_counter()
        c.request("GET", "/v1/invocations?last=1000000&fields=record_id")
        answer, n = c.getresponse(), 0
        while block := answer.read(1 << 20):
            n += block.count(b"\n")
        took = time.perf_counter() - begin
        grown = worker_kib(agent) - before
        row("  a stream of 1,000,000 records", f"{n:,} in {took:.1f} s, {grown / 1024:+.1f} MiB in the agent",
            "constant memory (≤ 8 MiB)", n == min(ROWS, 1000000) and grown <= 8192, seconds=round(took, 2), grown_kib=grown)


def scrapes():
    with Agent() as agent:
        subprocess.run([LOAD, "paced", "scraped", "1000", "1"], stdout=subprocess.DEVNULL, check=True)
        c = agent.connect()
        for _ in range(100):
            c.get("/metrics")
        after_100 = worker_kib(agent)
        begin = time.perf_counter()
        for _ in range(900):
            c.get("/metrics")
        ms, after_1000 = (time.perf_counter() - begin) / 900 * 1000, worker_kib(agent)
        row("1,000 scrapes", f"{after_100 / 1024:.1f} MiB after 100, {after_1000 / 1024:.1f} MiB after 1,000; {ms:.2f} ms each",
            "flat (≤ 1.02×)", after_1000 <= 1.02 * after_100, kib_100=after_100, kib_1000=after_1000, ms=round(ms, 3))


def beside_readers(readers):
    """Paced invocations while clients read all there is, again and again: what is lost, and how far the ledger lags."""
    with Agent() as agent:
        over, bytes_read = threading.Event(), [0] * readers

        def read(i):
            c = agent.connect()
            while not over.is_set():
                for what in ("/v1/invocations", "/v1/functions", "/v1/compare", "/v1/instances", "/v1/health"):
                    bytes_read[i] += len(c.get(what))

        threads = [threading.Thread(target=read, args=(i,)) for i in range(readers)]
        load = subprocess.Popen([LOAD, "paced", "beside", str(RATE), str(SECONDS)], stdout=subprocess.PIPE, text=True)
        for t in threads:
            t.start()
        c, lag = agent.connect(), []
        while load.poll() is None:
            lag.append(agent.metric(c, "oncpu_ledger_lag_bytes"))
            time.sleep(0.02)
        over.set()
        for t in threads:
            t.join()
        sent = int(load.stdout.read().split()[0])
        stored = -1
        while stored != (stored := sum(json.loads(s)["count"] for s in c.get("/v1/functions").splitlines()
                                       if json.loads(s)["function"] == "beside")):
            pass
        lost = agent.metric(c, "oncpu_events_lost_total") + agent.metric(c, "oncpu_kernel_events_lost_total")
        return sent, stored, lost, max(lag), agent.metric(c, "oncpu_ring_size_bytes"), sum(bytes_read)


def readers():
    _, _, _, quiet, ring, _ = beside_readers(0)
    sent, stored, lost, most, ring, read = beside_readers(READERS)
    row(f"{READERS} clients reading everything", f"{sent:,} invocations at {RATE:,}/s, {sent - stored} not stored, {lost:.0f} events "
        f"lost; {read / 1e6:.0f} MB read", "nothing lost", sent == stored and lost == 0, sent=sent, stored=stored, lost=lost)
    row("  the ledger's lag", f"{most / 1024:.0f} KiB at most ({quiet / 1024:.0f} KiB without readers), of a ring of "
        f"{ring / 1024:.0f} KiB", "≤ half of the ring", most <= ring / 2, most_bytes=most, quiet_bytes=quiet)


print("The query API", flush=True)
reading()
scrapes()
readers()
