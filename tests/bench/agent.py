#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""What the agent does: start to first boundary, 50,000 invocations a second, the ledger's own rate.

agent.py [JSON-LINES-FILE]   appends a line a row; leaves no process, pin or file behind
"""
import json, os, re, shutil, signal, statistics, subprocess, sys, tempfile, time

ONCPU, LOAD, LEDGER = "build/oncpu", "build/bench/load", "build/bench/ledger_rate"
STARTS, RATE, SECONDS = 5, 50000, 10
lines = open(sys.argv[1], "a") if len(sys.argv) > 1 else None


def row(name, text, target=None, met=None, **figures):
    verdict = "" if target is None else f"   target {target}: {'met' if met else 'MISSED'}"
    print(f"{name:<34} {text}{verdict}", flush=True)
    if lines:
        more = {} if target is None else {"target": target, "met": met}
        print(json.dumps({"bench": "agent", "row": name, **figures, **more}), file=lines, flush=True)


class Agent:
    """An agent on a state of its own, ready; `with` ends it and all that it made."""

    def __enter__(self):
        self.work = tempfile.mkdtemp(prefix="oncpu-bench.", dir="/tmp")
        os.chmod(self.work, 0o755)
        self.places = ["--state-dir", f"{self.work}/state", "--socket", f"{self.work}/s.sock"]
        self.log = open(f"{self.work}/log", "w+")
        ready, told = os.pipe()
        self.begin = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        self.process = subprocess.Popen(
            [ONCPU, "agent", *self.places, "--unpin", "--ready-fd", str(told)],
            pass_fds=[told], stdout=self.log, stderr=self.log)
        os.close(told)
        answer = os.read(ready, 1)
        os.close(ready)
        self.ready_ms = (time.clock_gettime_ns(time.CLOCK_MONOTONIC) - self.begin) / 1e6
        if not answer:
            self.log.seek(0)
            sys.exit(f"agent.py: the agent does not start: {self.log.read()}")
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.close()
        shutil.rmtree(self.work, ignore_errors=True)

    def read(self, *arguments):
        out = subprocess.run([ONCPU, *arguments, "--json", *self.places], capture_output=True, text=True)
        return [json.loads(line) for line in out.stdout.splitlines()]

    def pids(self):
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as f:
            return [self.process.pid, *map(int, f.read().split())]

    def cpu_s(self):
        def of(pid):
            with open(f"/proc/{pid}/stat") as f:
                return sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13]))
        return sum(map(of, self.pids())) / os.sysconf("SC_CLK_TCK")

    def memory_kib(self):
        def of(pid):
            with open(f"/proc/{pid}/status") as f:
                return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])
        return sum(map(of, self.pids()))


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
        stored = seen = -1
        while stored != seen or stored < 0:  # the commands ask the agent to store what has happened
            seen = stored
            stored = sum(s["count"] for s in agent.read("compare", "--function", "many"))
        cores = (agent.cpu_s() - cpu) / (time.monotonic() - begin)
        quarter, last = memory[len(memory) // 4], memory[-1]
        lost = int(sent) - stored
    row("50,000 invocations/s", f"{int(sent)} in {float(took):.1f} s, {stored} in the ledger, {lost} lost",
        "all", lost == 0, sent=int(sent), stored=stored, seconds=float(took))
    row("  the agent's CPU", f"{cores:.2f} cores", "≤ 1", cores <= 1, cores=round(cores, 3))
    row("  the agent's memory", f"{quarter / 1024:.0f} MiB after a quarter, {last / 1024:.0f} MiB at the end",
        "flat (≤ 1.1×)", last <= 1.1 * quarter, quarter_kib=quarter, end_kib=last)


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
ledger_rate()
