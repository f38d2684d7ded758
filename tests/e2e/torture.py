#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Nothing lost under fire: eight instances run 2,000 invocations a second with known ids, while the agent
is killed at random instants (whole, or either half), restarted, its reader stalled, its ledger's disk
filled, its socket flooded, the power cut. In the end each invocation is in the ledger exactly once, and the
on-CPU sums are what the functions' own clocks and the kernel's cpu.stat say.

torture.py KILLS [SEED]     KILLS ≥ 1; a second or less each. TAP.
"""
import collections
import errno
import glob
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

from host import B, Agent, Function, check, finish, law, need_host, pattern, say

INSTANCES, RATE = 8, 260


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
    try:
        with open(f"{work}/state/ballast", "wb", buffering=0) as f:
            while True:
                f.write(bytes(65536))
    except OSError as full:
        if full.errno != errno.ENOSPC:
            raise
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


def torture(work, kills, rng):
    names = [f"torture-{n}" for n in range(INSTANCES)]
    # what a full ring does is looked at elsewhere: here it has room, however slow the machine is
    agent = Agent("[agent]\nring_bytes = 64MiB\n" + "".join(map(pattern, names)), work)
    functions, cuts, did = [], [], collections.Counter()
    agent.up()
    try:
        functions = [Function(n, [f"{B}/functions/steady", n, str(RATE)], held=True) for n in names]
        begun = time.monotonic()
        for n in range(kills):
            while agent.health()["ring"]["used_bytes"] > 16 << 20:
                pass  # it was killed faster than it could read: it must get on before the next
            time.sleep(rng.uniform(0, 0.15))  # a random instant is the point
            if n % 4 == 0:
                cuts.append(power_cut(agent, work, rng.choice(names), rng))
            what = rng.choice(["kill"] * 4 + ["stop", "stall", "full", "flood"])
            did[what] += 1
            if os.environ.get("SIZES"):
                say(f"{n} {what} {[(os.path.basename(x), os.path.getsize(x) >> 20) for x in glob.glob(f'{work}/state/*')]}")
            punish(agent, work, what, rng)
            agent.up()
        seconds = time.monotonic() - begun
        for f in functions:
            f.end()
        say(f"{kills} times in {seconds:.0f} s: " + ", ".join(f"{v} {k}" for k, v in sorted(did.items())))
        judge(agent, functions, [c for c in cuts if c], seconds)
    finally:
        for f in functions:
            f.remove()
        if agent.process.poll() is None:
            agent.stop()
        agent.end()


def judge(agent, functions, cuts, seconds):
    ids, spent, flags, wrong, unlawful, total = collections.Counter(), 0, collections.Counter(), [], [], 0
    want = set()
    for f in functions:
        done, inside, outside = map(int, f.out.split())
        total += done
        want |= {f"{f.name}-{i}" for i in range(1, done + 1)}
        spent = 0
        for r in agent.records(f.name):
            ids[r["id"]] += 1
            spent += r["cpu_ns"]
            flags.update(r["flags"])
        if not inside <= spent <= outside:
            wrong.append((f.name, inside, spent, outside))
        closing = agent.closed(f.name)
        if len(closing) != 1 or not law(closing[0], f.stat_ns()):
            unlawful.append((f.name, closing, f.stat_ns()))
    say(f"{total} invocations, {total / seconds:.0f} a second")
    lost, twice, strange = want - set(ids), [i for i in ids if ids[i] > 1], set(ids) - want
    check("each invocation is in the ledger exactly once", not (lost or twice or strange),
          f"{len(lost)} lost {sorted(lost)[:3]} {len(twice)} twice {twice[:3]} {len(strange)} strange "
          f"{list(strange)[:3]}")
    say("flags: " + (", ".join(f"{n} {k}" for k, n in sorted(flags.items())) or "none"))
    check("none was merged with another", not {"events_lost", "marks_lost"} & set(flags), str(flags))
    check("none used less than nothing", not flags["negative_split"], str(flags))
    check("their on-CPU time lies between the functions' own clocks, inside and outside the marks", not wrong,
          str(wrong))
    check("the accounts of each instance add up to its total, and to cpu.stat", not unlawful, str(unlawful))
    bad = [c[2] for c in cuts if not c[0]]
    say(f"{len(cuts)} images of the disk, {sum(c[1] for c in cuts)} with a torn last commit")
    check("every image of the disk holds what had been acknowledged", cuts and not bad, str(bad[:3]))


def main():
    kills, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 30)
    need_host()
    say(f"seed {seed}")
    work = tempfile.mkdtemp(prefix="oncpu-torture.", dir="/tmp")
    os.mkdir(f"{work}/state")
    size = 64 + kills * 2
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}m,mode=755", "torture",
                       f"{work}/state"]).returncode:
        print("ok 1 - torture # SKIP no tmpfs to fill")
        shutil.rmtree(work)
        return
    try:
        torture(work, kills, random.Random(seed))
    finally:
        subprocess.run(["umount", "-l", f"{work}/state"])
        shutil.rmtree(work, ignore_errors=True)
    finish()


main()
