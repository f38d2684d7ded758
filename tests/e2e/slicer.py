# SPDX-License-Identifier: GPL-2.0
"""Shared by the tests of `oncpu run`: TAP, a slicer of the test's own with its functions, callers, and
nothing left behind. A slicer that said something of a sanitizer has failed the test."""
import base64
import collections
import concurrent.futures
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile

from harness import (BUILD, DEADLINE, ONCPU, ROOT, check, missing, quote, run_parts, skip, start,  # noqa: F401
                     unified, until)

LAMBDA = os.path.join(ROOT, "tests/lambda")
CLIENTS = os.path.join(ROOT, "build/lambda")  # what tests/lambda/install.sh installs
RIC = os.path.join(CLIENTS, "node_modules/aws-lambda-ric/index.mjs")
MS = 1000000


def main(subject, *parts, node=False):
    """Runs each part; what one leaves behind is ended after it."""
    needs = (missing() or
             ("node" if node and not shutil.which("node") else
              "AWS's Node clients (make test-deps)"
              if node and not os.path.exists(os.path.join(CLIENTS, "installed")) else None))

    def abandon_all():
        for left in list(Slicer.alive):
            left.abandon()
    run_parts(subject, parts, needs, after_each=abandon_all)


def alive(pid):
    """Zombies are nobody's business: they have ended."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


# ---- a slicer ----

def mounts():
    """All cgroup hierarchies: a run directory may be in several."""
    with open("/proc/self/mounts") as f:
        return [line.split()[1] for line in f if line.split()[2] in ("cgroup2", "cgroup")]


class Answer(collections.namedtuple("Answer", "status error value headers body")):
    """error: X-Amz-Function-Error, or the type of a refusal; value: the body, if it is JSON."""

    def log(self):
        return base64.b64decode(self.headers["x-amz-log-result"]).decode()

    def id(self):
        return self.headers.get("x-amzn-requestid")


def bare(function="", **properties):
    """A function that does what its event says, in Python without any library: lambda/bare.py."""
    return {"command": f"/usr/bin/python3 {LAMBDA}/bare.py {function}".rstrip(),
            "directory": LAMBDA, **properties}


def node(handler="index.handler", **properties):
    return {"command": f"{shutil.which('node')} {RIC}", "handler": handler, "directory": LAMBDA,
            "memory": 512, **properties}


class Slicer:
    alive = []

    def __init__(self, functions, *options, directory=None, prefix=()):
        """functions: name → properties, with "_" for "-"; a list is a property given often. prefix: a
        command that ends by executing what follows it."""
        self.directory = directory or tempfile.mkdtemp(prefix="oncpu-slicer-")
        os.chmod(self.directory, 0o700)  # as an agent's is: the front cannot walk there
        config = os.path.join(self.directory, "config")
        with open(config, "w") as f:
            for name, properties in functions.items():
                f.write(f'[function "{name}"]\n')
                for key, values in {"user": "nobody", **properties}.items():
                    if not values and key == "user":
                        continue
                    for value in values if isinstance(values, list) else [values]:
                        f.write(f"{key.replace('_', '-')} = {value}\n")
        self.said = os.path.join(self.directory, "said")
        self.process, line = start(
            [*prefix, ONCPU, "run", "--quiet", "--config", config, "--listen", "127.0.0.1:0", *self.where(), *options],
            self.said, stdin=subprocess.DEVNULL, env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
        Slicer.alive.append(self)
        if not line:
            raise RuntimeError("the slicer does not start: " + self.words())
        self.port = int(line)
        self.run = f"run-{self.process.pid}"

    def where(self):
        return ["--state-dir", self.directory, "--socket", self.directory + "/socket"]

    def words(self):
        with open(self.said) as f:
            return f.read()

    # ---- callers ----

    def post(self, path, body, headers=None):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        try:
            c.request("POST", path, body, headers or {})
            r = c.getresponse()
            data = r.read()
        finally:
            c.close()
        got = {k.lower(): v for k, v in r.getheaders()}
        try:
            value = json.loads(data)
        except ValueError:
            value = None
        return Answer(r.status, got.get("x-amz-function-error") or got.get("x-amzn-errortype"),
                      value, got, data)

    def invoke(self, function, event=None, **headers):
        body = event if isinstance(event, bytes) else json.dumps(event or {})
        return self.post(f"/2015-03-31/functions/{function}/invocations", body,
                         {k.replace("_", "-"): v for k, v in headers.items()})

    def at_once(self, calls):
        """Starts (function, event) all at once; their answers, in their order."""
        with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
            return list(pool.map(lambda call: self.invoke(*call), calls))

    def begin(self, function, event=None, **headers):
        """A call in a thread of its own; .result() is its answer."""
        pool = concurrent.futures.ThreadPoolExecutor(1)
        call = pool.submit(self.invoke, function, event, **headers)
        pool.shutdown(wait=False)
        return call

    # ---- what there is of it ----

    def lines(self, *command):
        where = self.where()[:2] if command[0] == "logs" else self.where()
        out = subprocess.run([ONCPU, *command, *where], capture_output=True, text=True,
                             timeout=DEADLINE, check=False)
        if out.returncode:
            raise RuntimeError(f"{command}: {out.stderr}")
        return out.stdout.splitlines()

    def records(self, function=None):
        which = ["--function", function] if function else []
        return [json.loads(line) for line in
                self.lines("invocations", "--json", "--last", "0", *which)]

    def record(self, answer, function):
        """Of an answered invocation, as soon as it has ended and is in the ledger."""
        return until(lambda: next((r for r in self.records(function) if r["id"] == answer.id()), None),
                     "a record")

    def instances(self):
        return [json.loads(line) for line in self.lines("instances", "--json", "--last", "0")]

    def log(self, function):
        path = os.path.join(self.directory, "logs", function + ".log")
        if not os.path.exists(path):
            return []
        with open(path, errors="replace") as f:
            return f.read().splitlines()

    def report(self, function, request_id):
        """The REPORT line's fields."""
        head = f"REPORT RequestId: {request_id}\t"
        line = until(lambda: next((x for x in self.log(function) if x.startswith(head)), None),
                     "a REPORT line")
        return dict(part.split(": ", 1) for part in line.rstrip("\t").split("\t"))

    def cgroups(self):
        """Run directories and processes of this slicer that are there now."""
        found, pids = [], []
        for mount in mounts():
            top = os.path.join(mount, "oncpu", self.run)
            for path, _, _ in os.walk(top):
                found.append(path)
                try:
                    with open(os.path.join(path, "cgroup.procs")) as f:
                        pids += f.read().split()
                except OSError:
                    pass
        return found, pids

    def cage(self, function_index, instance_index):
        return os.path.join(unified(), "oncpu", self.run, f"f{function_index}-i{instance_index}")

    def frozen(self, function_index=0, instance_index=0):
        with open(self.cage(function_index, instance_index) + "/cgroup.events") as f:
            return "frozen 1" in f.read()

    def cages(self, function_index):
        """The indexes of a function's instances that have a cgroup."""
        names = (name.split("-i") for name in os.listdir(os.path.join(unified(), "oncpu", self.run)) if "-i" in name)
        return [int(index) for function, index in names if function == f"f{function_index}"]

    def used_us(self, function_index, instance_index):
        """What the kernel has charged an instance's cgroup with."""
        with open(self.cage(function_index, instance_index) + "/cpu.stat") as f:
            return int(dict(line.split() for line in f)["usage_usec"])

    # ---- its end ----

    def wait(self):
        self.process.wait(DEADLINE)
        if self in Slicer.alive:
            Slicer.alive.remove(self)
        bad = re.search(r".*(Sanitizer|runtime error).*", self.words())
        if bad:
            check("no sanitizer says anything", False, self.words())

    def stop(self, what):
        """Ends it; checks that nothing is left, and the law. (records, instances)"""
        self.process.send_signal(signal.SIGTERM)
        self.wait()
        check(f"{what}: no cgroup and no process is left", self.cgroups() == ([], []),
              (self.cgroups(), self.words()))
        records, instances = self.records(), self.instances()
        wrong = [i for i in instances if i["init_cpu_ns"] + i["invocations_cpu_ns"]
                 + i["freeze_cpu_ns"] + i["between_cpu_ns"] != i["total_cpu_ns"]]
        check(f"{what}: the accounts of {len(instances)} instances add up to their totals",
              instances and not wrong, wrong or ("no instances", len(records), self.words()))
        shutil.rmtree(self.directory)
        return records, instances

    def abandon(self):
        """After a test that broke off."""
        quote("slicer", self.words())
        self.process.terminate()
        try:
            self.wait()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.wait()
        shutil.rmtree(self.directory, ignore_errors=True)
