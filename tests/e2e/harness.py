# SPDX-License-Identifier: GPL-2.0
"""Shared by all Python tests that start programs of ours: TAP, waiting, starting what says when it is ready."""
import os
import select
import subprocess
import sys
import time
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("B", "build"))
ONCPU = os.path.join(BUILD, "oncpu")
FUNCTIONS = os.path.join(ROOT, "build/functions")
SANITIZED = os.environ.get("B", "build") != "build"  # whose agent keeps memory of its own: how much it uses says nothing
DEADLINE = 60  # seconds; nothing here takes a tenth of it, on a machine of its own

# ---- TAP ----

number = failures = 0


def check(what, ok, saw=""):
    global number, failures
    number += 1
    failures += not ok
    print(f"{'ok' if ok else 'not ok'} {number} - {what}")
    if not ok:
        print(f"# saw: {str(saw)[:2000]}")
    sys.stdout.flush()
    return ok


def failed():
    return failures > 0


def skip(what, why):
    global number
    number += 1
    print(f"ok {number} - {what} # SKIP {why}", flush=True)


def say(text):
    print(f"# {text}", flush=True)


def quote(who, text, lines=20):
    """The last lines of a log, as a comment."""
    for line in text.splitlines()[-lines:]:
        say(f"  {who}: {line}")


def finish():
    print(f"1..{number}")
    sys.exit(failures != 0)


def missing():
    """Why measuring is not possible here, or None."""
    return ("root" if os.geteuid() != 0 else
            "BTF" if not os.access("/sys/kernel/btf/vmlinux", os.R_OK) else None)


def need_host():
    """Skips all with the reason where measuring is not possible."""
    if missing():
        skip("all", f"needs {missing()}")
        finish()


def run_parts(subject, parts, needs=None, after_each=lambda: None, at_end=lambda: None):
    """Runs each part, or those that the command line names; one that breaks off fails, and the others run all the same."""
    if needs:
        skip(subject, f"needs {needs}")
        parts = ()
    for part in (p for p in parts if p.__name__ in (sys.argv[1:] or [p.__name__])):
        began = time.monotonic()
        try:
            part()
            say(f"{part.__name__}: {time.monotonic() - began:.1f} s")
        except Exception:  # of whatever kind: a line of TAP, and the next
            check(f"{part.__name__} runs to its end", False, "\n# ".join(traceback.format_exc().splitlines()))
        finally:
            after_each()
    at_end()
    finish()


# ---- waiting ----

def until(condition, what="", seconds=DEADLINE):
    """The condition's value as soon as it is true. Looks often; never waits for nothing."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds} s")
        select.select([], [], [], 0.002)
    return value


def unified():
    """Where cgroup v2 is."""
    with open("/proc/self/mounts") as f:
        return next(line.split()[1] for line in f if line.split()[2] == "cgroup2")


# ---- programs ----

def start(command, log, **options):
    """A process, and what it said by --ready-fd, b"" where it ended before it was ready. `log` takes what it prints."""
    ready, told = os.pipe()
    try:
        with open(log, "a") as out:
            process = subprocess.Popen([*command, "--ready-fd", str(told)], pass_fds=[told], stdout=out, stderr=out, **options)
        os.close(told)
        told = None
        able, _, _ = select.select([ready], [], [], DEADLINE)
        return process, os.read(ready, 64) if able else b""
    finally:
        os.close(ready)
        if told is not None:
            os.close(told)


class AgentBase:
    """An agent on a place of its own: its directory, its processes, its words."""
    process = None

    def __init__(self, work):
        self.work = work
        os.chmod(work, 0o755)
        self.state, self.socket, self.log_path = f"{work}/state", f"{work}/s.sock", f"{work}/agent.log"
        self.places = ["--state-dir", self.state, "--socket", self.socket]

    def launch(self, *options):
        self.process, said = start([ONCPU, "agent", *self.places, *options], self.log_path, start_new_session=True)
        if not said:
            raise RuntimeError("the agent does not start: " + self.said()[-2000:])

    def said(self):
        with open(self.log_path) as f:
            return f.read()

    def worker(self):
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as f:
            return int(f.read().split()[0])
