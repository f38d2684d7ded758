# SPDX-License-Identifier: GPL-2.0
"""What the benches in Python share: a row of a table, and an agent of one's own."""
import http.client, json, os, re, shutil, signal, socket, subprocess, sys, tempfile, time

ONCPU = "build/oncpu"


class Rows:
    """Prints each row, and appends it as a line of JSON to the file that the bench was given."""

    def __init__(self, bench, width=34):
        self.bench, self.width = bench, width
        self.lines = open(sys.argv[1], "a") if len(sys.argv) > 1 else None

    def __call__(self, name, text, target=None, met=None, **figures):
        verdict = "" if target is None else f"   target {target}: {'met' if met else 'MISSED'}"
        print(f"{name:<{self.width}} {text}{verdict}", flush=True)
        if self.lines:
            more = {} if target is None else {"target": target, "met": met}
            print(json.dumps({"bench": self.bench, "row": name, **figures, **more}), file=self.lines, flush=True)


class Connection(http.client.HTTPConnection):
    """To the agent's unix socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)

    def get(self, what):
        """The body of an answer; nothing where the agent has too much to do at once (503)."""
        self.request("GET", what)
        answer = self.getresponse()
        body = answer.read()
        if answer.status not in (200, 503):
            sys.exit(f"{sys.argv[0]}: {what}: {answer.status} {body[:300]}")
        return body if answer.status == 200 else b""


class Agent:
    """An agent on a state of its own, ready; `with` ends it and all that it made."""

    def __init__(self, config=""):
        self.config = config

    def prepare(self, state_dir):
        """What is to be there before it starts; for those that inherit."""

    def __enter__(self):
        self.work = tempfile.mkdtemp(prefix="oncpu-bench.", dir=os.environ.get("TMPDIR", "/tmp"))
        os.chmod(self.work, 0o755)
        with open(f"{self.work}/config", "w") as f:
            f.write(self.config)
        self.places = ["--state-dir", f"{self.work}/state", "--socket", f"{self.work}/s.sock"]
        self.prepare(f"{self.work}/state")
        self.log = open(f"{self.work}/log", "w+")
        ready, told = os.pipe()
        self.begin = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        self.process = subprocess.Popen(
            [ONCPU, "agent", *self.places, "--config", f"{self.work}/config", "--unpin", "--ready-fd", str(told)],
            pass_fds=[told], stdout=self.log, stderr=self.log)
        os.close(told)
        answer = os.read(ready, 1)
        os.close(ready)
        self.ready_ms = (time.clock_gettime_ns(time.CLOCK_MONOTONIC) - self.begin) / 1e6
        if not answer:
            self.log.seek(0)
            sys.exit(f"{sys.argv[0]}: the agent does not start: {self.log.read()}")
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        shutil.rmtree(self.work, ignore_errors=True)

    def connect(self):
        return Connection(f"{self.work}/s.sock")

    def read(self, *arguments):
        out = subprocess.run([ONCPU, *arguments, "--json", *self.places], capture_output=True, text=True)
        return [json.loads(line) for line in out.stdout.splitlines()]

    def stored(self, function):
        """Its invocations in the ledger, once there are no more to come."""
        stored = seen = -1
        while stored != seen or stored < 0:  # the commands ask the agent to store what has happened
            seen = stored
            stored = sum(s["count"] for s in self.read("compare", "--function", function))
        return stored

    def pids(self):
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as f:
            return [self.process.pid, *map(int, f.read().split())]

    def cpu_s(self):
        return sum(time.clock_gettime_ns((~pid << 3) | 2) for pid in self.pids()) / 1e9  # the processes' own clocks

    def metric(self, connection, name):
        return float(re.search(rf"^{name} (\S+)$", connection.get("/metrics").decode(), re.M)[1])

    def memory_kib(self, what="VmRSS"):
        """Of both halves."""
        def of(pid):
            with open(f"/proc/{pid}/status") as f:
                return int(re.search(rf"{what}:\s+(\d+)", f.read())[1])
        return sum(map(of, self.pids()))
