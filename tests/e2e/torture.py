#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Nothing lost under fire: eight instances run 2,000 invocations a second with known ids, while the agent
is killed at random instants (whole, or either half), restarted, its reader stalled, its ledger's disk
filled, its socket flooded, the power cut. In the end each invocation is in the ledger exactly once, and the
on-CPU sums are what the functions' own clocks and the kernel's cpu.stat say.

torture.py KILLS [SEED]     KILLS ≥ 1; a second or less each. TAP.
"""
import collections
import glob
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

INSTANCES, RATE = 8, 260
B = os.path.abspath("build")
count = failed = 0


def check(what, ok, why=""):
    global count, failed
    count += 1
    print(f"{'ok' if ok else 'not ok'} {count} - {what}", flush=True)
    if not ok:
        failed += 1
        if why:
            print(f"# {why}", flush=True)
    return ok


def say(text):
    print(f"# {text}", flush=True)


class Agent:
    def __init__(self, work, config):
        self.work, self.config = work, config
        self.places = ["--state-dir", f"{work}/state", "--socket", f"{work}/s.sock"]
        self.log = open(f"{work}/agent.log", "a")
        self.process = None

    def up(self):
        ready, told = os.pipe()
        self.process = subprocess.Popen(
            [f"{B}/oncpu", "agent", *self.places, "--config", self.config, "--ready-fd", str(told)],
            pass_fds=[told], stdout=self.log, stderr=self.log, start_new_session=True)
        os.close(told)
        answer = os.read(ready, 1)
        os.close(ready)
        if not answer:
            raise RuntimeError("the agent does not start: " + open(f"{self.work}/agent.log").read()[-500:])

    def worker(self):
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as f:
            return int(f.read().split()[0])

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
        while True:  # the worker sees it and ends: readable once it is gone
            with open(f"/proc/self/fdinfo/{worker}") as f:
                if any(l.startswith("Pid:") and int(l.split()[1]) < 0 for l in f):
                    break
            __import__("select").select([worker], [], [], 10)
        os.close(worker)

    def stop(self):
        self.process.terminate()
        self.process.wait(30)

    def read(self, *arguments):
        out = subprocess.run([f"{B}/oncpu", *arguments, *self.places], capture_output=True, text=True)
        if out.returncode:
            raise RuntimeError(out.stderr)
        return [json.loads(line) for line in out.stdout.splitlines()]

    def health(self):
        s = socket.socket(socket.AF_UNIX)
        s.connect(f"{self.work}/s.sock")
        s.sendall(b"GET /v1/health HTTP/1.0\r\nHost: x\r\n\r\n")
        answer = b""
        while chunk := s.recv(65536):
            answer += chunk
        return json.loads(answer.split(b"\r\n\r\n", 1)[1])


class Function:
    def __init__(self, root, number):
        self.name = f"torture-{number}"
        self.cgroup = f"{root}/oncpu-e2e-{self.name}"
        os.mkdir(self.cgroup)
        ready, go = os.pipe()
        self.process = subprocess.Popen(
            ["sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', self.cgroup,
             f"{B}/functions/steady", self.name, str(RATE)],
            stdin=ready, stdout=subprocess.PIPE, text=True)
        os.close(ready)
        self.input = go

    def end(self):
        os.close(self.input)
        self.done, self.inside, self.outside = map(int, self.process.communicate(timeout=60)[0].split())
        with open(f"{self.cgroup}/cpu.stat") as f:
            self.stat_ns = int(f.readline().split()[1]) * 1000


def flood(path, rounds, rng):
    """Garbage, half requests, large requests, and connections that are left hanging."""
    held = []
    for _ in range(rounds):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(1)
        try:
            s.connect(path)
            s.send(rng.choice([b"\0" * 70000, b"GET /v1/invocations?last=0 HTTP/1.1\r\nHost: x\r\n\r\n",
                               b"GET /" + b"a" * 60000, b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n", b""]))
            held.append(s)
        except OSError:
            s.close()
    for s in held:
        s.close()


# ---- a power cut: what was acknowledged is in every image of the disk ----

def last_commit(wal):
    """Offsets of the frames of a WAL's last commit: (where they begin, where they end)."""
    page = struct.unpack(">I", wal[8:12])[0]
    salt, frame, at, begin, ends = wal[16:24], page + 24, 32, 32, []
    while at + frame <= len(wal) and wal[at + 8:at + 16] == salt:
        at += frame
        if struct.unpack(">I", wal[at - frame + 4:at - frame + 8])[0]:
            ends.append((begin, at))
            begin = at
    return ends[-1] if len(ends) > 1 else None


def holds(directory, function, id):
    out = subprocess.run([f"{B}/oncpu", "invocations", "--json", "--function", function, "--id", id,
                          "--state-dir", directory, "--socket", f"{directory}/none"],
                         capture_output=True, text=True)
    return out.returncode == 0 and len(out.stdout.splitlines()) == 1, out.stderr


def power_cut(agent, work, function, rng):
    """What the agent has told a reader is on disk; then two commits more, then the power goes: the last
    commit may be there in part, the bytes after it may be anything."""
    told = agent.read("invocations", "--json", "--function", function, "--last", "1")
    if not told:
        return None
    commits = agent.health()["ledger"]["commits"]
    while agent.health()["ledger"]["commits"] < commits + 2:
        pass
    worker = agent.worker()
    os.kill(worker, signal.SIGSTOP)
    image = f"{work}/image"
    shutil.rmtree(image, ignore_errors=True)
    shutil.copytree(f"{work}/state", image, ignore=shutil.ignore_patterns("ballast", "*-shm"))
    os.kill(worker, signal.SIGCONT)
    wal = sorted(glob.glob(f"{image}/ledger-*.db-wal"))
    torn = None
    if wal and os.path.getsize(wal[-1]) > 32:
        data = open(wal[-1], "rb").read()
        torn = last_commit(data)
        if torn:
            cut = rng.randrange(torn[0], torn[1])
            with open(wal[-1], "wb") as f:
                f.write(data[:cut] + rng.randbytes(rng.randrange(0, 9000)))
    ok, why = holds(image, function, told[0]["id"])
    return ok, bool(torn), f"{function} {told[0]['id']} torn {torn}: {why}"


# ---- the run ----

def fill_disk(work, rng):
    with open(f"{work}/state/ballast", "wb") as f:
        try:
            while True:
                f.write(bytes(65536))
                f.flush()
        except OSError:
            pass
    time.sleep(rng.uniform(0, 0.2))


def punish(agent, work, what, rng):
    kills = [agent.kill_all, agent.kill_worker, agent.kill_attacher]
    if what == "stop":
        agent.stop()
    elif what == "stall":
        worker = agent.worker()
        os.kill(worker, signal.SIGSTOP)
        time.sleep(rng.uniform(0, 0.3))
        if rng.random() < 0.5:
            os.kill(worker, signal.SIGCONT)
        agent.kill_all()
    elif what == "full":
        fill_disk(work, rng)
        rng.choice(kills)()
        if rng.random() < 0.5:  # it may start on a full disk, too
            agent.up()
            time.sleep(rng.uniform(0, 0.1))
            agent.kill_all()
        try:
            os.unlink(f"{work}/state/ballast")
        except FileNotFoundError:
            pass
    elif what == "flood":
        threads = [threading.Thread(target=flood, args=(f"{work}/s.sock", 40, rng)) for _ in range(2)]
        for t in threads:
            t.start()
        time.sleep(rng.uniform(0, 0.1))
        rng.choice(kills)()
        for t in threads:
            t.join()
    else:
        rng.choice(kills)()


def torture(work, root, kills, rng):
    config = f"{work}/config"
    with open(config, "w") as f:
        for n in range(INSTANCES):
            f.write(f'[function "torture-{n}"]\ncgroup = /oncpu-e2e-torture-{n}\n')
    os.makedirs(f"{work}/state", exist_ok=True)
    agent = Agent(work, config)
    agent.up()
    functions, cuts, did = [], [], collections.Counter()
    try:
        functions = [Function(root, n) for n in range(INSTANCES)]
        begun = time.monotonic()
        for n in range(kills):
            time.sleep(rng.uniform(0, 0.15))  # a random instant is the point
            if n % 4 == 0:
                cuts.append(power_cut(agent, work, rng.choice(functions).name, rng))
            what = rng.choice(["kill"] * 4 + ["stop", "stall", "full", "flood"])
            did[what] += 1
            punish(agent, work, what, rng)
            agent.up()
        seconds = time.monotonic() - begun
        for f in functions:
            f.end()
        say(f"{kills} times in {seconds:.0f} s: " + ", ".join(f"{v} {k}" for k, v in sorted(did.items())))
        judge(agent, functions, cuts, seconds)
    finally:
        for f in functions:
            f.process.kill()
            f.process.wait()
        if agent.process.poll() is None:
            agent.stop()
        for f in functions:
            os.rmdir(f.cgroup)
        subprocess.run([f"{B}/oncpu", "unpin", *agent.places], capture_output=True)


def judge(agent, functions, cuts, seconds):
    total = sum(f.done for f in functions)
    rate = total / seconds
    say(f"{total} invocations, {rate:.0f} a second")
    ids, spent, flags = collections.Counter(), collections.Counter(), collections.Counter()
    for f in functions:
        for r in agent.read("invocations", "--json", "--function", f.name, "--last", "0"):
            ids[r["id"]] += 1
            spent[f.name] += r["cpu_ns"]
            flags.update(r["flags"])
    want = {f"{f.name}-{i}" for f in functions for i in range(1, f.done + 1)}
    lost, twice, strange = want - set(ids), [i for i in ids if ids[i] > 1], set(ids) - want
    check(f"each invocation is in the ledger exactly once", not (lost or twice or strange),
          f"{len(lost)} lost {sorted(lost)[:3]} {len(twice)} twice {twice[:3]} {len(strange)} strange {list(strange)[:3]}")
    say("flags: " + (", ".join(f"{n} {k}" for k, n in sorted(flags.items())) or "none"))
    check("none was merged with another", not {"events_lost", "marks_lost"} & set(flags), str(flags))
    wrong = [(f.name, f.inside, spent[f.name], f.outside) for f in functions
             if not f.inside <= spent[f.name] <= f.outside]
    check("their on-CPU time lies between the functions' own clocks, inside and outside the marks", not wrong,
          str(wrong))
    closed = {i["function"]: i for i in agent.read("instances", "--json") if i["function"].startswith("torture-")}
    law = []
    for f in functions:
        i = closed.get(f.name)
        accounts = i and sum(i[k] for k in ("init_cpu_ns", "invocations_cpu_ns", "freeze_cpu_ns", "between_cpu_ns"))
        if not i or accounts != i["total_cpu_ns"] or not -3000 <= accounts - f.stat_ns <= 3000:
            law.append((f.name, i and i["total_cpu_ns"], accounts, f.stat_ns))
    check("the accounts of each instance add up to its total, and to cpu.stat", not law, str(law))
    cuts = [c for c in cuts if c]
    bad = [c[2] for c in cuts if not c[0]]
    say(f"{len(cuts)} images of the disk, {sum(c[1] for c in cuts)} with a torn last commit")
    check("every image of the disk holds what had been acknowledged", cuts and not bad, str(bad[:3]))


def main():
    kills, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 30)
    if os.getuid():
        print("ok 1 - torture # SKIP needs root")
        return
    if not os.path.exists("/sys/kernel/btf/vmlinux"):
        print("ok 1 - torture # SKIP no BTF")
        return
    say(f"seed {seed}")
    root = next(l.split()[1] for l in open("/proc/self/mounts") if l.split()[2] == "cgroup2")
    work = tempfile.mkdtemp(prefix="oncpu-torture.", dir="/tmp")
    os.chmod(work, 0o755)
    os.mkdir(f"{work}/state")
    size = 64 + kills * 2
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}m,mode=755", "torture", f"{work}/state"]).returncode:
        print("ok 1 - torture # SKIP no tmpfs to fill")
        shutil.rmtree(work)
        return
    try:
        torture(work, root, kills, random.Random(seed))
    finally:
        if failed:
            with open(f"{work}/agent.log") as f:
                for line in f.read().splitlines()[-30:]:
                    print("# agent:", line)
        subprocess.run(["umount", "-l", f"{work}/state"])
        shutil.rmtree(work, ignore_errors=True)
    print(f"1..{count}")
    sys.exit(bool(failed))


main()
