#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""/metrics of a real agent: judged by promtool, scraped by a real Prometheus, and equal to the ledger."""
import collections
import gzip
import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from agent import DEADLINE, FUNCTIONS, ONCPU, Agent, check, free_port, main, until

port = free_port()
agent = None


def parse(text):
    """{name: {labels: value}}; a sample that stands twice is an error."""
    samples = collections.defaultdict(dict)
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, labels, value = re.fullmatch(r"([a-z_:0-9]+)(?:\{(.*)\})? (\S+)", line).groups()
            labels = labels or ""
            if labels in samples[name]:
                raise ValueError(f"twice: {line}")
            samples[name][labels] = float(value)
    return samples


def scrape(of=None):
    answer = (of or agent).get("/metrics")
    if answer.status != 200:
        raise RuntimeError(answer)
    return answer.body.decode()


def settle(name, count):
    """The agent has stored what the processes did."""
    until(lambda: [f["count"] for f in agent.get("/v1/functions").lines() if f["function"] == name] == [count],
          f"{count} records of {name}")


def text():
    global agent
    agent = Agent("--listen", f"127.0.0.1:{port}", config="[agent]\n\n[function \"later\"]\nmemory_mb = 128\n")
    agent.run("thumb", 200)
    agent.run("fetch", 50)
    subprocess.run([f"{FUNCTIONS}/marks", 'odd"\\\nname', "3"], check=True)
    settle("fetch", 50)
    page = scrape()
    judge = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True)
    check("promtool finds nothing to say", judge.returncode == 0 and not judge.stdout + judge.stderr,
          judge.stdout + judge.stderr)
    m = parse(page)
    records = agent.get("/v1/invocations?function=thumb").lines()
    label = 'function="thumb"'
    check("invocations are the ledger's", m["oncpu_invocations_total"][label + ',status="ok"'] == 200 and
          m["faas_invocations_total"][label] == 200 and m["faas_errors_total"][label] == 0)
    for name, member in (("oncpu_invocation_wall_seconds", "wall_ns"), ("oncpu_invocation_cpu_seconds", "cpu_ns"),
                         ("faas_invoke_duration_seconds", "wall_ns"), ("faas_cpu_usage_seconds", "cpu_ns")):
        total = sum(r[member] for r in records)
        buckets = {float(b): m[name + "_bucket"][f'{label},le="{b}"'] for b in
                   re.findall(rf'{name}_bucket{{{label},le="([^"]+)"}}', page)}
        check(f"{name} is its records', bucket by bucket",
              round(m[name + "_sum"][label] * 1e9) == total and m[name + "_count"][label] == 200 and
              all(n == sum(r[member] <= b * 1e9 for r in records) for b, n in buckets.items()) and
              len(buckets) >= 15, (total, m[name + "_sum"][label], buckets))
    closed = agent.get("/v1/closed-instances?function=thumb").lines()[0]
    charged = sum(round(v * 1e9) for k, v in m["oncpu_cpu_seconds_total"].items() if k.startswith(label + ","))
    check("the accounts add up to all that the kernel charged", charged == closed["total_cpu_ns"],
          (charged, closed["total_cpu_ns"]))
    billed = sum(r["billed"]["aws-lambda"]["billed_ms"] for r in records) * 1000000
    check("billed time is the records'", round(
        m["oncpu_billed_seconds_total"][label + ',policy="aws-lambda"'] * 1e9) == billed, billed)
    check("cold starts", m["faas_coldstarts_total"][label] == sum(r["cold_start"] for r in records))
    check("a configured function is there before its first invocation",
          m["faas_invocations_total"].get('function="later"') == 0)
    check("odd names are escaped", m["faas_invocations_total"].get('function="odd\\"\\\\?name"') == 3,
          list(m["faas_invocations_total"]))
    check("nothing was lost, nothing lags", m["oncpu_events_lost_total"][""] == 0 and
          m["oncpu_kernel_events_lost_total"][""] == 0 and m["oncpu_degraded"][""] == 0)
    check("the agent's own cost", m["oncpu_agent_cpu_seconds_total"]['process="worker"'] > 0 and
          m["oncpu_agent_resident_memory_bytes"]['process="attacher"'] > 1 << 20)


def declared_once():
    out = subprocess.run([ONCPU, "doctor", "--metrics", "--json"], capture_output=True, text=True, check=True)
    declared = {d["name"]: d for d in map(json.loads, out.stdout.splitlines())}
    page = scrape()
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", page, re.M))
    prose = dict(re.findall(r"^# HELP (\S+) (.*)$", page, re.M))
    check("doctor --metrics lists what /metrics has: names, types and prose", len(declared) > 60 and
          {n: d["type"] for n, d in declared.items()} == types and
          {n: d["prose"] for n, d in declared.items()} == prose, set(declared) ^ set(types))
    labels = collections.defaultdict(set)
    for name, names in re.findall(r"^([a-z_0-9]+?)(?:_bucket|_sum|_count)?\{(.*)\} ", page, re.M):
        labels[name] |= set(re.findall(r'([a-z]+)="', names)) - {"le"}
    wrong = {n: l for n, l in labels.items() if n in declared and ",".join(sorted(l)) !=
             ",".join(sorted(declared[n]["labels"].split(",")))}
    check("and its labels", not wrong and labels, wrong)
    check("no tenant, no invocation is a label", not {"tenant", "id", "invocation", "instance"} &
          set().union(*labels.values()))
    man = subprocess.run([ONCPU, "help", "--man", "oncpu-metrics.5"], capture_output=True, text=True)
    check("the manual has each", man.returncode == 0 and
          all(n.replace("-", "\\-") in man.stdout.replace("\\_", "_") for n in declared), man.stderr)


def bounded():
    """A process that makes up functions makes nothing grow."""
    for i in range(0, 260, 20):
        running = [subprocess.Popen([f"{FUNCTIONS}/marks", f"made-up-{i + j}", "1"]) for j in range(20)]
        for p in running:
            p.wait()
    until(lambda: len(agent.get("/v1/functions").lines()) >= 262, "all are stored")
    page = scrape()
    m = parse(page)
    check("200 functions have series, the others share one", m["oncpu_functions"][""] == 200 and
          len(m["faas_invocations_total"]) == 201 and m["oncpu_functions_folded_total"][""] > 0 and
          sum(m["faas_invocations_total"].values()) == 250 + 3 + 260, m["oncpu_functions"])
    check("and promtool is content", subprocess.run(["promtool", "check", "metrics"], input=page, text=True,
                                                    capture_output=True).returncode == 0)
    packed = agent.get("/metrics", Accept_Encoding="gzip")
    check("gzipped when asked for", packed.headers["Content-Encoding"] == "gzip" and
          len(gzip.decompress(packed.body)) > 10 * len(packed.body), len(packed.body))


class Prometheus:
    """Debian's, by hand: a directory and a port of its own."""

    def __init__(self, targets):
        self.work = tempfile.TemporaryDirectory(prefix="oncpu-prometheus.")
        self.port = free_port()
        with open(f"{self.work.name}/prometheus.yml", "w") as f:
            f.write("global: {scrape_interval: 200ms, scrape_timeout: 200ms}\n"
                    "scrape_configs:\n- job_name: oncpu\n  static_configs:\n"
                    f"  - targets: {json.dumps(targets)}\n")
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={self.work.name}/prometheus.yml",
             f"--storage.tsdb.path={self.work.name}/data", f"--web.listen-address=127.0.0.1:{self.port}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def query(self, what):
        """The samples of one instant: {labels: value}; None while nobody answers."""
        url = f"http://127.0.0.1:{self.port}/api/v1/query?" + urllib.parse.urlencode({"query": what})
        try:
            with urllib.request.urlopen(url, timeout=DEADLINE) as answer:
                result = json.load(answer)["data"]["result"]
        except OSError:
            return None
        return {tuple(sorted(r["metric"].items())): float(r["value"][1]) for r in result}

    def one(self, what):
        got = self.query(what)
        return next(iter(got.values())) if got and len(got) == 1 else None

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.work.cleanup()


def scraped():
    prometheus = Prometheus([f"127.0.0.1:{port}"])
    try:
        until(lambda: prometheus.one("up") == 1, "Prometheus has scraped the agent")
        check("a real Prometheus scrapes it", True)
        wanted = parse(scrape())["oncpu_invocation_wall_seconds_sum"]['function="thumb"']
        check("and has the same numbers",
              until(lambda: prometheus.one('oncpu_invocation_wall_seconds_sum{function="thumb"}'), "the sum") == wanted)
        names = prometheus.query('count by (__name__) ({job="oncpu"})')
        names = {dict(k)["__name__"] for k in names}
        check("of every metric", names >= {re.sub("$", "", n) for n in parse(scrape())}, "")
        agent.run("thumb", 100)
        check("what comes next, too", until(
            lambda: prometheus.one('faas_invocations_total{function="thumb"}') == 300, "300 invocations"))
        restarted(prometheus)
    finally:
        prometheus.close()


def restarted(prometheus):
    """The agent's counters begin again; Prometheus's increase() does not mind, and nothing is counted twice."""
    global agent
    agent.stop()
    second = Agent("--listen", f"127.0.0.1:{port}", place=agent.work)
    second.run("thumb", 7)
    until(lambda: prometheus.one('faas_invocations_total{function="thumb"}') == 7, "the new agent's 7")
    check("after a restart only what is new counts", parse(scrape(second))["faas_invocations_total"][
        'function="thumb"'] == 7)
    check("and the resets are seen as such", prometheus.one('resets(faas_invocations_total{function="thumb"}[5m])') == 1)
    ledger = [f["count"] for f in second.get("/v1/functions").lines() if f["function"] == "thumb"]
    check("the ledger has them all", ledger == [307], ledger)
    agent = second


main("/metrics", text, declared_once, bounded, scraped)
