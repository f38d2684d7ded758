#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""What `oncpu run` costs: what a caller waits for, calls a second, freezing, a thousand idle instances.

slicer.py [JSON-LINES-FILE]   appends a line a row; leaves no process, cgroup or file behind. About a minute.
"""
import json, os, re, resource, shutil, signal, socket, subprocess, sys, tempfile, time

ONCPU, HELLO, CALLS, FREEZER = "build/oncpu", "build/functions/hello", "build/bench/slicer_calls", "build/bench/freezer"
RIC = "build/lambda/node_modules/aws-lambda-ric/index.mjs"
ROOT = os.getcwd()
ROUNDS, GAP_US, SECONDS, IDLE, IDLE_SECONDS = 6, 3000, 2, 1000, 5
SERVER = """const s = require("http").createServer((q, r) => { q.resume(); q.on("end", () => r.end('{"hello":true}')); });
s.keepAliveTimeout = 0; s.listen(0, "127.0.0.1", () => console.log(s.address().port));"""
lines = open(sys.argv[1], "a") if len(sys.argv) > 1 else None


def row(name, text, **figures):
    print(f"{name:<40} {text}", flush=True)
    if lines:
        print(json.dumps({"bench": "slicer", "row": name, **figures}), file=lines, flush=True)


class Slicer:
    """`oncpu run` with an agent of its own; `with` ends both and all that they made."""

    def __init__(self, **functions):
        self.functions = functions

    def __enter__(self):
        self.work = tempfile.mkdtemp(prefix="oncpu-bench.")
        os.chmod(self.work, 0o755)
        with open(f"{self.work}/config", "w") as f:
            for name, properties in self.functions.items():
                f.write(f'[function "{name}"]\nuser = nobody\n')
                f.writelines(f"{k.replace('_', '-')} = {v}\n" for k, v in properties.items())
        ready, told = os.pipe()
        self.log = open(f"{self.work}/log", "w+")
        self.process = subprocess.Popen(
            [ONCPU, "run", "--quiet", "--config", f"{self.work}/config", "--listen", "127.0.0.1:0", "--state-dir",
             self.work, "--socket", f"{self.work}/s", "--ready-fd", str(told)], pass_fds=[told], stdout=self.log,
            stderr=self.log)
        os.close(told)
        with os.fdopen(ready) as f:
            said = f.readline()
        if not said:
            self.log.seek(0)
            sys.exit(f"slicer.py: the slicer does not start: {self.log.read()}")
        self.port = int(said)
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self.log.close()
        shutil.rmtree(self.work, ignore_errors=True)

    def halves(self):
        """The keeper and the front: not the agent that it brought, nor the functions."""
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as f:
            children = f.read().split()

        def is_front(pid):
            with open(f"/proc/{pid}/net/tcp") as f, open(f"/proc/{pid}/cgroup") as g:
                mine = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
                inodes = [x.split()[9] for x in f.readlines()[1:] if x.split()[1].endswith(f":{self.port:04X}")
                          and x.split()[3] == "0A"]
                return "/oncpu/run-" not in g.read() and any(f"socket:[{i}]" in mine for i in inodes)
        return [self.process.pid, *map(int, filter(is_front, children))]

    def frozen(self):
        with open("/proc/self/mounts") as f:
            top = next(x.split()[1] for x in f if x.split()[2] == "cgroup2")
        run = f"{top}/oncpu/run-{self.process.pid}"
        found = 0
        for cage in os.listdir(run):
            if os.path.isdir(f"{run}/{cage}"):
                with open(f"{run}/{cage}/cgroup.events") as f:
                    found += "frozen 1" in f.read()
        return found


def call(port, function, body=b"{}"):
    s = socket.create_connection(("127.0.0.1", port))
    s.sendall(f"POST /2015-03-31/functions/{function}/invocations HTTP/1.1\r\nHost: bench\r\n"
              f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return s


def answered(s):
    status = s.recv(4096)[9:12]
    s.close()
    return status == b"200"


def calls(*arguments):
    out = subprocess.run([CALLS, *map(str, arguments)], capture_output=True, text=True)
    if out.returncode:
        sys.exit(f"slicer.py: {out.stderr}")
    return [(name, *map(float, rest)) for name, *rest in (line.split() for line in out.stdout.splitlines())]


def c(**more):
    return {"command": f"{ROOT}/{HELLO}", "timeout": "60s", **more}


def node(**more):
    return {"command": f"{shutil.which('node')} {ROOT}/{RIC}", "handler": "index.handler", "memory": 512,
            "directory": f"{ROOT}/tests/lambda", **more}


has_node = os.path.exists(RIC) and shutil.which("node")


def latency():
    alone = subprocess.Popen([HELLO, "0"], stdout=subprocess.PIPE, text=True)
    ports, others = {"c-alone": int(alone.stdout.readline())}, [alone]
    functions = {"c-awake": c(no_freeze="yes"), "c-frozen": c()}
    if has_node:
        server = subprocess.Popen(["node", "-e", SERVER], stdout=subprocess.PIPE, text=True)
        others.append(server)
        ports["node-alone"] = int(server.stdout.readline())
        functions |= {"node-awake": node(no_freeze="yes"), "node-frozen": node()}
    with Slicer(**functions) as s:
        for name in functions:  # cold starts are another matter
            if not answered(call(s.port, name)):
                sys.exit(f"slicer.py: {name} does not answer")
        order = [n for kind in ("c", "node") for n in (f"{kind}-alone", f"{kind}-awake", f"{kind}-frozen")
                 if n in ports or n in functions]
        got = calls("latency", ROUNDS, GAP_US, *(f"{n}={ports.get(n, s.port)}/{n}" for n in order))
    for p in others:
        p.kill()
        p.wait()
    base = {name.split("-")[0]: median for name, median, _ in got if name.endswith("alone")}
    for name, median, p99 in got:
        kind, how = name.split("-")
        what = {"alone": "no slicer", "awake": "never frozen", "frozen": "frozen between"}[how]
        language = {"c": "C", "node": "Node"}[kind]
        row(f"a call, {language}, {what}", f"{median:7.0f} µs, p99 {p99:7.0f} µs   {median / base[kind]:5.2f}×",
            median_us=median, p99_us=p99, ratio=round(median / base[kind], 3))


def rate():
    for language, make in (("C", c), ("Node", node if has_node else None)):
        for instances in (1, 8) if make else ():
            with Slicer(f=make(concurrency=instances)) as s:
                warm = [call(s.port, "f", b'{"do":"sleep","ms":300}') for _ in range(instances)]
                all(map(answered, warm))
                (_, per_second, refused), = calls("rate", SECONDS, instances, f"f={s.port}/f")
            row(f"calls/s, {language}, {instances} instance{'s' * (instances > 1)}",
                f"{per_second:7.0f}   ({refused:.0f} refused)", per_second=per_second, refused=refused)


def freezing():
    for threads in (1, 11):  # a C function, and as many as Node has
        out = subprocess.run([FREEZER, "1000", str(threads)], capture_output=True, text=True)
        if out.returncode:
            sys.exit(f"slicer.py: {out.stderr}")
        for what, median, p99 in (line.split() for line in out.stdout.splitlines()):
            row(f"{what}, {threads} thread{'s' * (threads > 1)}", f"{float(median):7.0f} µs, p99 {float(p99):7.0f} µs",
                median_us=float(median), p99_us=float(p99))


def memory_kib(pids):
    def of(pid):
        with open(f"/proc/{pid}/smaps_rollup") as f:
            return int(re.search(r"^Pss:\s+(\d+)", f.read(), re.M)[1])
    return sum(map(of, pids))


def cpu_ns(pids):
    return sum(time.clock_gettime_ns((~pid << 3) | 2) for pid in pids)  # the processes' own clocks


def idle():
    with Slicer(f=c(concurrency=IDLE, idle="1h", init_timeout="60s")) as s:
        halves = s.halves()
        before = memory_kib(halves)
        waiting = [call(s.port, "f", b'{"sleep":8000}') for _ in range(IDLE)]
        good = sum(map(answered, waiting))
        end = time.monotonic() + 30
        while s.frozen() < good and time.monotonic() < end:
            time.sleep(0.1)
        frozen = s.frozen()
        began, cpu = time.monotonic(), cpu_ns(halves)
        time.sleep(IDLE_SECONDS)
        cpu, took = cpu_ns(halves) - cpu, time.monotonic() - began
        after = memory_kib(halves)
        began = time.monotonic()
        ok = answered(call(s.port, "f"))
        one_ms = (time.monotonic() - began) * 1000
    row(f"{frozen:,} idle frozen instances: memory", f"{after / 1024:.0f} MiB of both halves, "
        f"{(after - before) / max(frozen, 1):.1f} KiB each", instances=frozen, kib=after,
        kib_each=round((after - before) / max(frozen, 1), 2))
    row(f"{frozen:,} idle frozen instances: CPU", f"{cpu / took / 1e7:.3f} % of one CPU; a call among them "
        f"{one_ms:.1f} ms", percent=round(cpu / took / 1e7, 4), call_ms=round(one_ms, 2))
    if good < IDLE or not ok:
        sys.exit(f"slicer.py: {good} of {IDLE} instances answered")


print("The slicer (oncpu run)", flush=True)
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
latency()
rate()
freezing()
idle()
