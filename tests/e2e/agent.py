# SPDX-License-Identifier: GPL-2.0
"""Shared by the tests of the agent's API: TAP, an agent of the test's own, clients, and nothing left behind.
An agent that said something of a sanitizer has failed the test."""
import http.client
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("B", "build"))
ONCPU = os.path.join(BUILD, "oncpu")
FUNCTIONS = os.path.join(ROOT, "build/functions")
SANITIZED = os.environ.get("B", "build") != "build"  # whose agent keeps memory of its own: how much it uses says nothing
DEADLINE = 20  # seconds; nothing here takes a tenth of it

number = failures = 0


def check(what, ok, saw=None):
    global number, failures
    number += 1
    failures += not ok
    print(f"{'ok' if ok else 'not ok'} {number} - {what}")
    if not ok:
        print(f"# saw: {str(saw)[:2000]}")
    sys.stdout.flush()


def skip(what, why):
    global number
    number += 1
    print(f"ok {number} - {what} # SKIP {why}", flush=True)


def main(subject, *parts):
    """Runs each part; one that breaks off fails, and the others run all the same."""
    missing = ("root" if os.geteuid() != 0 else
               "BTF" if not os.access("/sys/kernel/btf/vmlinux", os.R_OK) else None)
    if missing:
        skip(subject, f"needs {missing}")
        parts = ()
    for part in parts:
        began = time.monotonic()
        try:
            part()
            print(f"# {part.__name__}: {time.monotonic() - began:.1f} s")
        except Exception:  # of whatever kind: a line of TAP, and the next
            check(f"{part.__name__} runs to its end", False, "\n# ".join(traceback.format_exc().splitlines()))
    for agent in list(Agent.alive):
        agent.close()
    print(f"1..{number}")
    sys.exit(failures != 0)


def until(condition, what, seconds=DEADLINE):
    """The condition's value as soon as it is true."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.005)
    return value


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=DEADLINE):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Answer:
    def __init__(self, response):
        self.status, self.headers = response.status, response.headers
        self.type = response.headers.get("Content-Type")
        self.body = response.read()

    def json(self):
        return json.loads(self.body)

    def lines(self):
        return [json.loads(line) for line in self.body.splitlines()]

    def __repr__(self):
        return f"{self.status} {dict(self.headers)} {self.body[:600]}"


class Agent:
    alive = []

    def __init__(self, *options, config=None, place=None):
        self.work = place or tempfile.mkdtemp(prefix="oncpu-api.", dir="/tmp")
        self.kept = place is not None
        os.chmod(self.work, 0o755)
        self.socket, self.state = f"{self.work}/s.sock", f"{self.work}/state"
        self.log_path = f"{self.work}/agent.log"
        self.port = None
        options = list(options)
        if config is not None:
            with open(f"{self.work}/oncpu.conf", "w") as f:
                f.write(config)
            options += ["--config", f"{self.work}/oncpu.conf"]
        ready, told = os.pipe()
        with open(self.log_path, "a") as log:
            self.process = subprocess.Popen(
                [ONCPU, "agent", "--state-dir", self.state, "--socket", self.socket, "--unpin",
                 "--ready-fd", str(told), *options],
                pass_fds=[told], stdout=log, stderr=log, start_new_session=True)
        os.close(told)
        Agent.alive.append(self)
        able, _, _ = select.select([ready], [], [], DEADLINE)
        said = os.read(ready, 1) if able else b""
        os.close(ready)
        if not said:
            raise RuntimeError(f"the agent does not start: {self.log()}")

    def log(self):
        with open(self.log_path) as f:
            return f.read()

    def worker(self):
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as f:
            return int(f.read().split()[0])

    def rss_kib(self):
        with open(f"/proc/{self.worker()}/status") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
                check("the agent stops when asked", False, self.log()[-1500:])
        if self in Agent.alive:
            Agent.alive.remove(self)

    def close(self):
        self.stop()
        log = self.log()
        if "Sanitizer" in log or "runtime error" in log:
            check("no sanitizer has spoken", False, log)
        if failures:
            print("\n".join("#   agent: " + line for line in log.splitlines()[-20:]))
        shutil.rmtree(self.work, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def connection(self):
        return UnixConnection(self.socket)

    def ask(self, path, method="GET", body=None, headers=None):
        c = self.connection()
        try:
            c.request(method, path, body, headers or {})
            return Answer(c.getresponse())
        finally:
            c.close()

    def get(self, path, **headers):
        return self.ask(path, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def run(self, name, count):
        """Invocations NAME-1 … NAME-COUNT of a process that marks itself."""
        subprocess.run([f"{FUNCTIONS}/marks", name, str(count)], check=True)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def tcp(port, path, method="GET", body=None, headers=None, address="127.0.0.1"):
    c = http.client.HTTPConnection(address, port, timeout=DEADLINE)
    try:
        c.request(method, path, body, headers or {})
        return Answer(c.getresponse())
    finally:
        c.close()
