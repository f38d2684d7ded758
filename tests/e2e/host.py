# SPDX-License-Identifier: GPL-2.0
"""Shared by the Python tests of the agent: TAP, an agent of the test's own, functions in cgroups of their
own, and nothing left behind."""
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from harness import BUILD as B  # noqa: F401
from harness import AgentBase, check, failed, finish, need_host, quote, say, unified, until  # noqa: F401

cgroup_root = unified


class Agent(AgentBase):
    """An agent on a state of its own, that is started and ended again. `config` is the text of its configuration."""

    def __init__(self, config="", work=None):
        self.own = work is None
        super().__init__(work or tempfile.mkdtemp(prefix="oncpu-e2e.", dir="/tmp"))
        with open(f"{self.work}/config", "w") as f:
            f.write(config)

    def __enter__(self):
        self.up()
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.stop()
        self.end()

    def up(self, *options):
        self.launch("--config", f"{self.work}/config", *options)

    def end(self):
        """Removes all that it made."""
        if failed():
            quote("agent", self.said(), 30)
        subprocess.run([f"{B}/oncpu", "unpin", *self.places[:2]], check=True, capture_output=True)
        if self.own:
            shutil.rmtree(self.work, ignore_errors=True)

    def kill_all(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def kill_worker(self):
        os.kill(self.worker(), signal.SIGKILL)
        self.process.wait(30)

    def kill_attacher(self):
        worker = os.pidfd_open(self.worker())
        self.process.kill()
        self.process.wait()
        if not select.select([worker], [], [], 20)[0]:
            raise RuntimeError("the worker outlives its attacher")
        os.close(worker)

    def stop(self):
        self.process.terminate()
        self.process.wait(30)

    def read(self, *arguments):
        out = subprocess.run([f"{B}/oncpu", *arguments, *self.places], capture_output=True, text=True)
        if out.returncode:
            raise RuntimeError(out.stderr)
        return [json.loads(line) for line in out.stdout.splitlines()]

    def records(self, function):
        return self.read("invocations", "--json", "--function", function, "--last", "0")

    def closed(self, function):
        """Of instances whose processes have ended: the last switch comes a moment after they are waited for."""
        end = time.monotonic() + 10
        while True:
            closed = [i for i in self.read("instances", "--json") if i["function"] == function]
            if closed or time.monotonic() > end:
                return closed
            time.sleep(0.02)

    def health(self):
        s = socket.socket(socket.AF_UNIX)
        s.connect(f"{self.work}/s.sock")
        s.sendall(b"GET /v1/health HTTP/1.0\r\nHost: localhost\r\n\r\n")
        answer = b""
        while chunk := s.recv(65536):
            answer += chunk
        return json.loads(answer.split(b"\r\n\r\n", 1)[1])


class Function:
    """A program in a cgroup of its own, named after it. With `held` it runs until end()."""

    def __init__(self, name, command, held=False, root=None, **options):
        self.name = name
        self.cgroup = f"{root or cgroup_root()}/oncpu-e2e-{name}"
        os.makedirs(self.cgroup, exist_ok=True)
        self.input = None
        if held:
            options["stdin"], self.input = os.pipe()
        self.process = subprocess.Popen(["sh", "-c", 'kill -STOP $$ && exec "$@"', "sh", *command],
                                        stdout=subprocess.PIPE, text=True, **options)
        # what runs while it is moved is charged to whom it leaves or enters by chance: it stands still
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)
        with open(f"{self.cgroup}/cgroup.procs", "w") as f:
            f.write(str(self.process.pid))
        self.process.send_signal(signal.SIGCONT)
        if held:
            os.close(options["stdin"])

    def end(self):
        if self.input is not None:
            os.close(self.input)
            self.input = None
        self.out = self.process.communicate(timeout=120)[0]
        return self.process.returncode

    def stat_ns(self):
        with open(f"{self.cgroup}/cpu.stat") as f:
            return int(f.readline().split()[1]) * 1000

    def remove(self):
        if self.input is not None:
            os.close(self.input)
        self.process.kill()
        self.process.wait()
        os.rmdir(self.cgroup)


def pattern(name):
    return f'[function "{name}"]\ncgroup = /oncpu-e2e-{name}\n'


def accounts(closing):
    return sum(closing[k] for k in ("init_cpu_ns", "invocations_cpu_ns", "freeze_cpu_ns", "between_cpu_ns"))


def law(closing, stat_ns):
    """Accounts add up to the total, and to cpu.stat, which counts whole microseconds twice over."""
    return accounts(closing) == closing["total_cpu_ns"] and -3000 <= closing["total_cpu_ns"] - stat_ns <= 3000
