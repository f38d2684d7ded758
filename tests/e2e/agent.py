# SPDX-License-Identifier: GPL-2.0
"""Shared by the tests of the agent's API: TAP, an agent of the test's own, clients, and nothing left behind.
An agent that said something of a sanitizer has failed the test."""
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile

import harness
from harness import (BUILD, DEADLINE, FUNCTIONS, ONCPU, ROOT, SANITIZED, AgentBase, check, missing, quote,  # noqa: F401
                     run_parts, skip, until)


def main(subject, *parts):
    """Runs each part; agents live on from one to the next."""
    def close_all():
        for agent in list(Agent.alive):
            agent.close()
    run_parts(subject, parts, missing(), at_end=close_all)


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


class Agent(AgentBase):
    alive = []

    def __init__(self, *options, config=None, place=None):
        super().__init__(place or tempfile.mkdtemp(prefix="oncpu-api.", dir="/tmp"))
        options = list(options)
        if config is not None:
            with open(f"{self.work}/oncpu.conf", "w") as f:
                f.write(config)
            options += ["--config", f"{self.work}/oncpu.conf"]
        Agent.alive.append(self)
        self.launch("--unpin", *options)

    def rss_kib(self):
        with open(f"/proc/{self.worker()}/status") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
                check("the agent stops when asked", False, self.said()[-1500:])
        if self in Agent.alive:
            Agent.alive.remove(self)

    def close(self):
        self.stop()
        log = self.said()
        if "Sanitizer" in log or "runtime error" in log:
            check("no sanitizer has spoken", False, log)
        if harness.failed():
            quote("agent", log)
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
