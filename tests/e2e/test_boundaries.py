#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""POST /v1/boundaries: a gateway reports for functions that mark nothing; others may not."""
import json
import os
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from agent import ONCPU, Agent, check, free_port, main, tcp, until

SOMEBODY, GROUP = 64123, "daemon"
CGROUPS = next(line.split()[1] for line in open("/proc/self/mounts") if line.split()[2] == "cgroup2")
CONFIG = f"""[agent]
socket_group = {GROUP}

[function "gate"]
cgroup = /oncpu-e2e-gate-*
memory_mb = 256
"""
agent = None
spin = None


class Spinner:
    """A process in a cgroup of its own that uses CPU without a pause and marks nothing."""

    def __init__(self, name, below=""):
        self.path = f"/oncpu-e2e-gate-{name}"
        self.cgroup = CGROUPS + self.path
        os.makedirs(self.cgroup + below, exist_ok=True)
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", f'echo $$ >"{self.cgroup}{below}/cgroup.procs"; exec /bin/sh -c "while :; do :; done"'])
        self.below = below
        until(lambda: self.cpu_us() > 20000, "it runs")

    def cpu_us(self):
        with open(f"{self.cgroup}/cpu.stat") as f:
            return int(f.readline().split()[1])

    def run_on(self, us=20000):
        target = self.cpu_us() + us
        until(lambda: self.cpu_us() >= target, "it has run on")

    def close(self):
        self.process.kill()
        self.process.wait()
        for d in ([self.cgroup + self.below] if self.below else []) + [self.cgroup]:
            until(lambda: not open(f"{d}/cgroup.procs").read(), "the cgroup is empty")
            os.rmdir(d)


def post(headers=None, **body):
    return agent.ask("/v1/boundaries", "POST", json.dumps(body), headers)


def reported():
    global agent, spin
    agent = Agent(config=CONFIG)
    spin = Spinner("1", below="/worker")
    place = {"cgroup": spin.path}
    answers = []
    for id, status in (("one", "ok"), ("two", "error"), ("three", "timeout")):
        answers.append(post(**place, boundary="start", id=id))
        spin.run_on()
        answers.append(post(**place, boundary="response", id=id))
        spin.run_on()
        answers.append(post(**place, boundary="end", id=id, status=status))
    check("start, response and end are taken", all(a.status == 200 and a.json()["function"] == "gate"
                                                   for a in answers), [a for a in answers if a.status != 200])
    records = agent.get("/v1/invocations?function=gate").lines()
    check("each is an invocation, nothing irregular about it", [(r["id"], r["status"]) for r in records] ==
          [("one", "ok"), ("two", "error"), ("three", "timeout")] and
          not any(set(r["flags"]) - {"stale_slot", "torn_read", "adopted"} for r in records), records)
    totals = [a.json()["total_cpu_ns"] for a in answers]
    check("its CPU is what was charged between the reports, to the nanosecond",
          [r["cpu_ns"] for r in records] == [totals[i + 2] - totals[i] for i in (0, 3, 6)] and
          [r["after_response"]["cpu_ns"] for r in records] == [totals[i + 2] - totals[i + 1] for i in (0, 3, 6)],
          (totals, records))
    check("and its times are the reports'", [r["start"] for r in records] == [answers[i].json()["time"] for i in (0, 3, 6)] and
          [r["end"] for r in records] == [answers[i].json()["time"] for i in (2, 5, 8)], records)
    check("what came between is its own account", records[1]["between"]["cpu_ns"] == totals[3] - totals[2])
    check("init ended with the first", records[0]["cold_start"] and records[0]["init"]["cpu_ns"] == totals[0] and
          records[0]["memory_mb"] == 256, records[0])


def by_pid():
    taken = [post(pid=spin.process.pid, boundary=b, id="four") for b in ("start", "end")]
    check("by a process of it, below its cgroup", all(a.status == 200 for a in taken) and
          agent.get("/v1/invocations?function=gate&last=1").lines()[0]["id"] == "four", taken)
    below = post(cgroup=spin.path + "/worker", boundary="start", id="five")
    check("by a cgroup below it", below.status == 200, below)
    post(pid=spin.process.pid, boundary="end", id="five")


def refused():
    for what, status, part in [
            ({"cgroup": "/oncpu-e2e-nowhere", "boundary": "start"}, 404, "no instance lives in cgroup"),
            ({"pid": os.getpid(), "boundary": "start"}, 404, f"process {os.getpid()} is in no instance"),
            ({"cgroup": spin.path}, 400, "boundary is missing"),
            ({"cgroup": "/../etc", "boundary": "start"}, 400, "cgroup is no absolute path"),
            ({"cgroup": spin.path, "boundary": "exit"}, 400, "none of start"),
            ({"cgroup": spin.path, "boundary": "start", "uid": 5}, 400, "\"uid\"")]:
        answer = post(**what)
        check(f"{status} for {what}", answer.status == status and part in answer.json()["detail"] and
              answer.type == "application/problem+json", answer)
    check("413 for a long body", post(cgroup="/" + "x" * 8000, boundary="start").status == 413)
    check("405 for a GET", agent.get("/v1/boundaries").headers.get("Allow") == "POST")


def held():
    """What oncpu measure holds, nobody else divides."""
    with tempfile.NamedTemporaryFile("r", dir=agent.work) as told:
        measured = subprocess.Popen([ONCPU, "measure", "--function", "held", "--state-dir", agent.state, "--socket",
                                     agent.socket, "--", "/bin/sh", "-c", f"echo $$ >{told.name}; exec sleep 1000"],
                                    stdout=subprocess.DEVNULL)
        pid = int(until(lambda: open(told.name).read().strip(), "it runs"))
        answer = post(pid=pid, boundary="end")
        check("409 for an instance that oncpu measure holds", answer.status == 409 and "held" in
              answer.json()["detail"], answer)
        os.kill(pid, signal.SIGKILL)
        measured.wait()


ASK = """
import http.client, socket, sys
c = http.client.HTTPConnection("localhost")
c.sock = socket.socket(socket.AF_UNIX)
try:
    c.sock.connect(sys.argv[1])
except OSError as e:
    print(type(e).__name__); sys.exit()
c.request(sys.argv[2], sys.argv[3], sys.argv[4] if len(sys.argv) > 4 else None)
print(c.getresponse().status)
"""


def as_user(uid, group, extra, *what):
    return subprocess.run(["/usr/bin/python3", "-c", ASK, agent.socket, *what], user=uid, group=group,
                          extra_groups=extra, capture_output=True, text=True).stdout.strip()


def agents_user():
    with open(f"/proc/{agent.worker()}/status") as f:
        return int(next(line for line in f if line.startswith("Uid:")).split()[1])


def others():
    own = agents_user()
    body = json.dumps({"cgroup": spin.path, "boundary": "start", "id": "forged"})
    before = agent.get("/v1/health").json()["kernel"]["events"]
    check("a process may not report, be it the agent's own user",
          as_user(own, own, [], "POST", "/v1/boundaries", body) == "403")
    check("but read, being that user", as_user(own, own, [], "GET", "/v1/functions") == "200")
    check("another user does not get in at all",
          as_user(SOMEBODY, SOMEBODY, [], "POST", "/v1/boundaries", body) == "PermissionError")
    check("and no boundary was made", agent.get("/v1/health").json()["kernel"]["events"] == before)
    check("the configured group may read", as_user(SOMEBODY, SOMEBODY, [GROUP], "GET", "/v1/functions") == "200")
    check("and report, by a supplementary group", as_user(SOMEBODY, SOMEBODY, [GROUP], "POST", "/v1/boundaries", body) == "200")
    check("or by its own", as_user(SOMEBODY, GROUP, [], "POST", "/v1/boundaries", body) == "200")


def over_tcp():
    agent.stop()
    port, guarded, token = free_port(), free_port(), f"{agent.work}/token"
    with open(token, "w") as f:
        f.write("0123456789abcdef\n")
    os.chmod(token, 0o600)
    body = json.dumps({"cgroup": spin.path, "boundary": "start", "id": "tcp"})
    with Agent("--listen", f"127.0.0.1:{port}", config=CONFIG):
        answer = tcp(port, "/v1/boundaries", "POST", body)
        check("not over TCP without a token", answer.status == 403, answer)
    with Agent("--listen", f"127.0.0.1:{guarded}", "--token-file", token, config=CONFIG):
        good = {"Authorization": "Bearer 0123456789abcdef"}
        check("nor with a wrong one", tcp(guarded, "/v1/boundaries", "POST", body).status == 401)
        answer = until(lambda: (a := tcp(guarded, "/v1/boundaries", "POST", body, good)).status != 404 and a, "an instance")
        check("but with the token", answer.status == 200, answer)
    spin.close()


main("POST /v1/boundaries", reported, by_pid, refused, held, others, over_tcp)
