#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The agent and the slicer under the thread sanitizer (built with make SAN=thread all): many clients read at
once, stall and leave, while functions run, the agent is stopped in the midst of it and starts again."""
import concurrent.futures
import glob
import http.client
import os
import shutil
import socket
import subprocess
import sys
import tempfile

os.environ["B"] = "build-thread"
reports = tempfile.mkdtemp(prefix="oncpu-threads.", dir="/tmp")
os.chmod(reports, 0o1777)  # the processes that parse and serve are nobody's
os.environ["TSAN_OPTIONS"] = f"log_path={reports}/report halt_on_error=0 exitcode=0"

import agent as agents  # noqa: E402: what it builds on is said above
from agent import BUILD, ONCPU, Agent, check, main, skip, until  # noqa: E402

PATHS = ["/v1/invocations", "/v1/invocations?limit=500", "/v1/functions", "/v1/compare?policy=all",
         "/v1/instances", "/v1/closed-instances", "/v1/health", "/metrics", "/",
         "/v1/invocations?function=run-1&fields=id,cpu_ns", "/v1/invocations?id=run-2-7"]


def said_nothing(what):
    found = sorted(glob.glob(f"{reports}/report*"))
    text = "".join(open(f, errors="replace").read() for f in found)
    check(f"{what}: the thread sanitizer says nothing", not found, text[:6000])
    for f in found:
        os.unlink(f)


def read_all(a, n):
    """One client: each path, in an order of its own, packed or not."""
    answers = []
    for k in range(len(PATHS)):
        path = PATHS[(k + n) % len(PATHS)]
        try:
            answers.append(a.get(path, Accept_Encoding="gzip" if n % 2 else "identity").status)
        except (OSError, http.client.HTTPException):
            answers.append(None)  # the agent was stopped
    return answers


def leave_early(a, n):
    """Asks for much, reads little, and goes; or waits for events and never reads them."""
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(a.socket)
        path = "/v1/events" if n % 3 == 0 else "/v1/invocations"
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        if n % 3 != 2:
            s.recv(1000)


def load(a, pool):
    """Functions that mark themselves, readers, and those that go."""
    work = [pool.submit(a.run, f"run-{n}", 300) for n in range(4)]
    work += [pool.submit(read_all, a, n) for n in range(12)]
    work += [pool.submit(leave_early, a, n) for n in range(12)]
    return work


def readers():
    first = Agent("--listen", f"127.0.0.1:{agents.free_port()}", config="[agent]\nwhere = on\naudit = 100ms\n")
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        first.run("run-1", 2000)
        answers = [f.result() for f in load(first, pool)]
        got = [x for one in answers if one for x in one]
        check(f"{12 * len(PATHS)} answers to 12 readers at once", got == [200] * 12 * len(PATHS), got)
        after = load(first, pool)
        until(lambda: sum(f.done() for f in after) > 4, "some of them are done")
        first.stop()  # in the midst of the others
        for f in after:
            f.exception()
        with Agent(place=first.work, config="[agent]\nwhere = on\n") as again:
            check("started again, it has what there was", len(again.get("/v1/invocations?function=run-1").lines()) >= 2300)
    said_nothing("readers at once, and a stop in the midst of it")


def slicer():
    environment = {**os.environ}
    out = subprocess.run([f"{agents.ROOT}/tests/e2e/test_slicer_telemetry.py", "ordinary"], env=environment,
                         capture_output=True, text=True, check=False)
    check("the slicer: instances, extensions and telemetry", out.returncode == 0 and "ok 1 " in out.stdout,
          out.stdout + out.stderr)
    said_nothing("the slicer")


def measured():
    work = tempfile.mkdtemp(prefix="oncpu-threads.", dir="/tmp")
    os.chmod(work, 0o755)
    out = subprocess.run([ONCPU, "measure", "--state-dir", f"{work}/state", "--socket", f"{work}/s", "--function", "f",
                          "--", "sh", "-c", "true & wait"], capture_output=True, text=True, check=False)
    check("oncpu measure with an agent of its own", out.returncode == 0, out.stderr)
    shutil.rmtree(work)
    said_nothing("oncpu measure")


if not os.path.exists(ONCPU):
    skip("the thread sanitizer", f"{BUILD} is not built (make SAN=thread all)")
    print("1..1")
    sys.exit(0)
try:
    main("the thread sanitizer", readers, slicer, measured)
finally:
    shutil.rmtree(reports, ignore_errors=True)
