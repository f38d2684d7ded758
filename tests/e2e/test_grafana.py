#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Grafana's dashboards against a real Prometheus that scraped a real agent under load: every query of every
panel and variable parses, names what the agent exports, and has an answer."""
import json
import math
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

from slicer import BUILD, DEADLINE, ONCPU, ROOT, check, main, skip, until

DASHBOARDS = os.path.join(ROOT, "dashboards/grafana")
PROMQL = os.path.join(ROOT, "tests/browser/promql.mjs")
FUNCTIONS = ["thumb", "fetch", "render"]
PROMETHEUS_OWN = {"up", "scrape_duration_seconds"}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def get(url, **parameters):
    if parameters:
        url += "?" + urllib.parse.urlencode(parameters, doseq=True)
    with urllib.request.urlopen(url, timeout=DEADLINE) as answer:
        return answer.read().decode()


class Host:
    """An agent that serves TCP, and a Prometheus that scrapes it every half second."""

    def __enter__(self):
        self.place = tempfile.mkdtemp(prefix="oncpu-grafana-")
        os.chmod(self.place, 0o755)
        self.agent_port, self.port = free_port(), free_port()
        self.processes = []
        self.log = open(os.path.join(self.place, "log"), "w+")
        ready, told = os.pipe()
        self.start([ONCPU, "agent", "--state-dir", self.place + "/state", "--socket", self.place + "/socket",
                    "--listen", f"127.0.0.1:{self.agent_port}", "--unpin", "--ready-fd", str(told)], [told])
        os.close(told)
        try:
            return self.begun(ready)
        except BaseException:
            self.__exit__()
            raise

    def begun(self, ready):
        if not os.read(ready, 1):
            raise RuntimeError("the agent does not start: " + self.words())
        os.close(ready)
        config = os.path.join(self.place, "prometheus.yml")
        with open(config, "w") as f:
            json.dump({"global": {"scrape_interval": "500ms", "scrape_timeout": "500ms"}, "scrape_configs": [
                {"job_name": "oncpu", "static_configs": [{"targets": [f"127.0.0.1:{self.agent_port}"]}]}]}, f)
        self.start(["prometheus", "--config.file", config, "--storage.tsdb.path", self.place + "/tsdb",
                    "--web.listen-address", f"127.0.0.1:{self.port}", "--log.level", "error"], [])
        until(lambda: self.value("up") == 1, "Prometheus sees the agent")
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                process.kill()
        self.log.close()
        shutil.rmtree(self.place)

    def start(self, command, fds):
        self.processes.append(subprocess.Popen(command, pass_fds=fds, stdin=subprocess.DEVNULL,
                                               stdout=self.log, stderr=self.log))

    def words(self):
        self.log.flush()
        with open(self.log.name) as f:
            return f.read()

    def exported(self):
        """The names of the samples that the agent's own declarations allow."""
        names = set()
        for line in get(f"http://127.0.0.1:{self.agent_port}/metrics").splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split()
                names |= {name + "_bucket", name + "_sum", name + "_count"} if kind == "histogram" else {name}
        return names

    def ask(self, kind, **parameters):
        """(answer, error)"""
        try:
            return json.loads(get(f"http://127.0.0.1:{self.port}/api/v1/{kind}", **parameters))["data"], None
        except urllib.error.HTTPError as e:
            return None, e.read().decode()

    def value(self, query):
        try:
            data, _ = self.ask("query", query=query)
        except OSError:
            return None
        return float(data["result"][0]["value"][1]) if data and data["result"] else None


def load(host):
    """Cold and warm starts, waiting, several threads, failures; until enough of it has been scraped."""
    def run(name, *arguments):
        return subprocess.Popen([os.path.join(BUILD, "functions", name), *arguments], stdout=subprocess.DEVNULL)

    end = time.monotonic() + DEADLINE
    while True:
        running = [run(name, "--function", name, "--count", "40") for name in FUNCTIONS]
        running.append(subprocess.Popen([ONCPU, "measure", "--function", "failing", "--state-dir",
                                         host.place + "/state", "--socket", host.place + "/socket", "--", "false"],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        for process in running:
            process.wait(DEADLINE)
        scrapes = host.value("count_over_time(up[5m])") or 0
        if scrapes >= 8 and host.value("count(count by (function) (oncpu_invocations_total))"):
            return
        if time.monotonic() > end:
            raise TimeoutError("Prometheus did not scrape enough")


# ---- the dashboards ----

def dashboards():
    names = sorted(n for n in os.listdir(DASHBOARDS) if n.endswith(".json"))
    for name in names:
        with open(os.path.join(DASHBOARDS, name)) as f:
            yield name, json.load(f)


def panels(dashboard):
    for panel in dashboard["panels"]:
        if panel["type"] != "row":
            yield panel
        yield from panel.get("panels", [])


def substituted(query, variables):
    """As Grafana would, longest names first."""
    values = {"__rate_interval": "20s", "__interval": "1s", "__range": "60s", "__range_s": "60", **variables}
    for name in sorted(values, key=len, reverse=True):
        query = query.replace("${" + name + "}", values[name]).replace("$" + name, values[name])
    return query


def grammar(queries):
    out = subprocess.run([shutil.which("node"), PROMQL], cwd=ROOT, input="".join(json.dumps(q) + "\n" for q in queries),
                         capture_output=True, text=True, timeout=DEADLINE, check=True)
    return [json.loads(line) for line in out.stdout.splitlines()]


def wrong(host, exported, query, parsed):
    """What is wrong with a query, or None."""
    if "$" in query:
        return "a variable that nobody sets"
    if parsed["error"]:
        return "does not parse " + parsed["error"]
    unknown = [m for m in parsed["metrics"] if m not in exported | PROMETHEUS_OWN]
    if unknown or not parsed["metrics"]:
        return f"the agent does not export {unknown or 'anything of it'}"
    now = time.time()
    data, error = host.ask("query_range", query=query, start=now - 20, end=now, step=1)
    if error:
        return error
    values = [float(v) for series in data["result"] for _, v in series["values"]]
    if not any(math.isfinite(v) for v in values):
        return f"an empty answer ({len(data['result'])} series)"
    return None


def structure(name, dashboard):
    """What Grafana's import wants, and a person expects."""
    found = []
    seen = set()
    for key in ("title", "uid", "schemaVersion", "panels", "templating", "time"):
        if key not in dashboard:
            found.append(f"no {key}")
    if dashboard.get("id") is not None:
        found.append("an id of one installation")
    variables = {v["name"]: v for v in dashboard["templating"]["list"]}
    if variables.get("datasource", {}).get("type") != "datasource":
        found.append("no datasource variable")
    cells = set()
    for panel in dashboard["panels"]:
        if panel["id"] in seen:
            found.append(f"panel id {panel['id']} twice")
        seen.add(panel["id"])
        g = panel["gridPos"]
        mine = {(x, y) for x in range(g["x"], g["x"] + g["w"]) for y in range(g["y"], g["y"] + g["h"])}
        if cells & mine or g["x"] + g["w"] > 24:
            found.append(f"{panel['title']} lies on another or beyond the edge")
        cells |= mine
    for panel in panels(dashboard):
        if not panel.get("description"):
            found.append(f"{panel['title']} does not say what it is")
        if not panel["fieldConfig"]["defaults"].get("unit"):
            found.append(f"{panel['title']} has no unit")
        for source in [panel.get("datasource"), *(t.get("datasource") for t in panel["targets"])]:
            if source != {"type": "prometheus", "uid": "${datasource}"}:
                found.append(f"{panel['title']} names a data source of its own: {source}")
    return found


def every_query():
    if not shutil.which("prometheus"):
        return skip("dashboards", "needs prometheus (make test-deps)")
    if not os.path.exists(os.path.join(ROOT, "build/browser/installed")):
        return skip("dashboards", "needs PromQL's grammar (make test-deps)")
    with Host() as host:
        load(host)
        exported = host.exported()
        for name, dashboard in dashboards():
            one(host, exported, name, dashboard)
        canary(host, exported)
    return None


def one(host, exported, name, dashboard):
    found = structure(name, dashboard)
    check(f"{name}: importable as it is", not found, found)
    variables, bad = {}, []
    for v in dashboard["templating"]["list"]:
        if v["type"] != "query":
            continue
        text = substituted(v["query"]["query"] if isinstance(v["query"], dict) else v["query"], variables)
        match, label = text.removeprefix("label_values(").removesuffix(")").rsplit(",", 1)
        values, error = host.ask(f"label/{label.strip()}/values", **{"match[]": match.strip()})
        if error or not values or match.split("{")[0].strip() not in exported | PROMETHEUS_OWN:
            bad.append((text, values, error))
        # the first that has seen load; "All" is a regular expression
        variables[v["name"]] = ".+" if v.get("includeAll") else next((f for f in FUNCTIONS if f in (values or [])), (values or [""])[0])
    check(f"{name}: each variable has values", not bad, bad)
    asked = [(p["title"], substituted(t["expr"], variables)) for p in panels(dashboard) for t in p["targets"]]
    for (title, query), parsed in zip(asked, grammar([q for _, q in asked])):
        problem = wrong(host, exported, query, parsed)
        check(f"{name}: {title}", problem is None, (query, problem))


def canary(host, exported):
    """The checks above find what they are there for."""
    for query, part in [("sum(rate(oncpu_invocation_total[20s]))", "does not export"), ("sum(rate(oncpu_invocations_total[20s])", "does not parse"),
                        ('oncpu_invocations_total{function="nobody"}', "an empty answer"), ("oncpu_invocations_total[20s]", "invalid"),
                        ("rate(oncpu_invocations_total[$interval])", "nobody sets")]:
        problem = wrong(host, exported, query, grammar([query])[0])
        check(f"a bad query is found: {part}", problem and part in problem, (query, problem))


main("Grafana's dashboards", every_query, node=False)
