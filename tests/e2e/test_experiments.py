#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The three experiments of the article that started this project, under `oncpu run`: what the
article saw, and what a platform should give. The same with suspend instead of the hack."""
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
ONCPU = os.path.join(ROOT, os.environ.get("B", "build"), "oncpu")
number = 0
failures = 0


def check(what, ok, saw=None):
    global number, failures
    number += 1
    failures += not ok
    print(f"{'ok' if ok else 'not ok'} {number} - {what}")
    if not ok:
        print(f"# saw: {saw}")


def say(article, here):
    print(f"#   the article saw: {article}\n#   oncpu gives:     {here}", flush=True)


class Slicer:
    """`oncpu run` with one function of tests/lambda/experiments.py."""

    def __init__(self, handler, *properties):
        self.dir = tempfile.mkdtemp(prefix="oncpu-experiment-")
        os.chmod(self.dir, 0o755)
        ready, told = os.pipe()
        self.process = subprocess.Popen(
            [ONCPU, "run", "--quiet", "--function", handler, "--handler", f"experiments.{handler}",
             "--directory", os.path.join(ROOT, "tests/lambda"), "--user", "nobody",
             "--listen", "127.0.0.1:0", "--ready-fd", str(told), *self.where(), *properties, "--",
             "/usr/bin/python3", "bootstrap.py", os.path.join(ROOT, "build/liboncpu-runtime.so")],
            pass_fds=[told])
        os.close(told)
        with os.fdopen(ready) as f:
            self.port = int(f.readline())
        self.handler = handler

    def where(self):
        return ["--state-dir", self.dir, "--socket", self.dir + "/socket"]

    def invoke(self, event):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        c.request("POST", f"/2015-03-31/functions/{self.handler}/invocations", json.dumps(event))
        answer = c.getresponse()
        body = answer.read()
        return json.loads(body), answer.getheader("X-Amz-Function-Error")

    def lines(self, *command):
        out = subprocess.run([ONCPU, *command, *self.where()], capture_output=True, text=True,
                             timeout=20, check=True).stdout
        return out.splitlines()

    def records(self):
        """In their order; every invocation has ended: its END was made before the next trigger."""
        return [json.loads(line) for line in self.lines("invocations", "--json", "--last", "0")]

    def log(self):
        path = os.path.join(self.dir, "logs", self.handler + ".log")
        with open(path) as f:
            return [line.rstrip("\n") for line in f]

    def own_lines(self):
        return [x for x in self.log() if not x.startswith(("START ", "END ", "REPORT "))]

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        records, instances = self.records(), [
            json.loads(line) for line in self.lines("instances", "--json", "--last", "0")]
        shutil.rmtree(self.dir)
        return records, instances


def billed(record, policy):
    return record["billed"][policy]["billed_ms"]


def law(instances):
    return all(i["init_cpu_ns"] + i["invocations_cpu_ns"] + i["freeze_cpu_ns"]
               + i["between_cpu_ns"] == i["total_cpu_ns"] for i in instances)


def ordinary(slicer, what):
    """The two invocations after it, which the original system failed."""
    answers = [slicer.invoke({"plain": n}) for n in (1, 2)]
    check(f"{what}: the two invocations after it succeed",
          answers == [({"plain": 1}, None), ({"plain": 2}, None)], answers)


def slow_init():
    s = Slicer("slow_init")
    answers = [s.invoke({"n": 3}) for _ in range(3)]
    records, instances = s.stop()
    old = [billed(r, "aws-lambda-2018") for r in records]
    check("slow initialisation: three answers", answers == [({"sum": 5}, None)] * 3, answers)
    check("slow initialisation: the first bill contains it, the later ones do not",
          old[0] >= 200 and old[0] % 100 == 0 and old[1:] == [100, 100]
          and records[0]["init"]["wall_ns"] >= 150e6 and not records[1]["init"], old)
    check("slow initialisation: the law holds", law(instances), instances)
    say("the first invocation billed for its initialisation too, in steps of 100 ms",
        f"billed {old} ms then; today {[billed(r, 'aws-lambda') for r in records]} ms; "
        f"on-CPU {[round(r['cpu_ns'] / 1e6, 3) for r in records]} ms")


def pauses(handler, events, answers_wanted, lines_wanted, status, what):
    s = Slicer(handler)
    answers, seen = [], []
    for event in events:
        before = len(s.own_lines())
        answers.append(s.invoke(event))
        seen.append(s.own_lines()[before:] if before else s.own_lines())
    check(f"{what}: each trigger goes on exactly where it stood", seen == lines_wanted, seen)
    check(f"{what}: the callers' answers", answers == answers_wanted, answers)
    ordinary(s, what)
    records, instances = s.stop()
    chain = [(r["status"], r["continues"]) for r in records]
    wanted = [(status, None)] + [(status, records[n]["id"]) for n in range(2)] + [
        ("ok", records[2]["id"]), ("ok", None), ("ok", None)]
    check(f"{what}: each trigger is an invocation of its own, and says which it goes on from",
          chain == wanted, chain)
    check(f"{what}: one process all along, and the law holds",
          len(instances) == 1 and law(instances), instances)
    return records


def report_done():
    lines = [["Beginning"], ["After the first pause"], ["After the second pause"], ["Ending"]]
    records = pauses("paused", [{}] * 4, [(None, None)] * 3 + [({"ended": True}, None)], lines,
                     "suspended", "report_done in mid-handler")
    say("\"Beginning\", then nothing; each trigger went on at that line; the next two failed",
        f"the same lines, {sum(len(x) for x in lines)} in 4 triggers, billed "
        f"{[billed(r, 'aws-lambda') for r in records]} ms; the next two succeed")


def suspend():
    steps = [{"step": n} for n in range(4)]
    lines = [["Beginning"], ["Resumed by 1"], ["Resumed by 2"], ["Resumed by 3", "Ending"]]
    answers = [({"so far": [0]}, None), ({"so far": [0, 1]}, None), ({"so far": [0, 1, 2]}, None),
               ({"seen": [0, 1, 2, 3]}, None)]
    pauses("suspended", steps, answers, lines, "suspended", "suspend in mid-handler")


def avoid_timeout(handler, what):
    s = Slicer(handler, "--timeout", "500ms")
    event = {"records": 40, "limit": 0.5}
    answers = []
    while not answers or not (isinstance(answers[-1][0], dict)
                              and answers[-1][0].get("done") == list(range(40))):
        answers.append(s.invoke(event))
        if answers[-1][1] or len(answers) > 12:
            break
    check(f"{what}: all records are done once, over several triggers",
          answers[-1] == ({"done": list(range(40))}, None) and 2 < len(answers) < 7, answers)
    ordinary(s, what)
    records, instances = s.stop()
    statuses = [r["status"] for r in records]
    check(f"{what}: each trigger has a fresh limit and a bill of its own",
          len(records) == len(answers) + 2 and "timeout" not in statuses
          and all(r["wall_ns"] < 500e6 and billed(r, "aws-lambda") > 0 for r in records), statuses)
    check(f"{what}: the law holds", law(instances), instances)
    say("the loop outlived its time limit, a trigger at a time",
        f"40 records in {len(answers)} triggers, billed "
        f"{[billed(r, 'aws-lambda') for r in records[:-2]]} ms")


def suspend_until():
    s = Slicer("until")
    answer, error = s.invoke({"ms": 400})
    records, instances = s.stop()
    r = records[0]
    check("suspend until: the same caller waits, and gets the answer",
          not error and answer["waited_ms"] >= 400, (answer, error))
    check("suspend until: one record, with its two segments, billed for what was awake",
          len(records) == 1 and len(r["segments"]) == 2 and r["wall_ns"] >= 400e6
          and billed(r, "aws-lambda") < billed(r, "aws-lambda-2018") + 100
          and sum(x["wall_ns"] for x in r["segments"]) < 100e6
          and sum(x["cpu_ns"] for x in r["segments"]) == r["cpu_ns"], r)
    check("suspend until: the law holds", law(instances), instances)


def main():
    if os.geteuid() != 0:
        print("ok 1 - the article's experiments # SKIP needs root")
    elif not os.access("/sys/kernel/btf/vmlinux", os.R_OK):
        print("ok 1 - the article's experiments # SKIP no BTF")
    else:
        slow_init()
        report_done()
        suspend()
        avoid_timeout("avoids_timeout", "avoiding a time-out with report_done")
        avoid_timeout("avoids_timeout_suspended", "avoiding a time-out with suspend")
        suspend_until()
    print(f"1..{max(number, 1)}")
    sys.exit(failures != 0)


main()
