#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The built-in page: first paint with data, in Debian's Chromium, on loopback.

page.py [JSON-LINES-FILE]   appends a line a row; leaves no process, pin or file behind
"""
import json, os, shutil, signal, socket, statistics, subprocess, sys, tempfile

ONCPU, FUNCTIONS, LOADS = "build/oncpu", "build/functions", 9
lines = open(sys.argv[1], "a") if len(sys.argv) > 1 else None


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def measure(work, port):
    ready, told = os.pipe()
    agent = subprocess.Popen([ONCPU, "agent", "--state-dir", f"{work}/state", "--socket", f"{work}/s.sock", "--unpin",
                              "--listen", f"127.0.0.1:{port}", "--ready-fd", str(told)], pass_fds=[told],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(told)
    try:
        if not os.read(ready, 1):
            sys.exit("page.py: the agent does not start")
        running = [subprocess.Popen([f"{FUNCTIONS}/{name}", "--function", name, "--count", "100"])
                   for name in ("thumb", "fetch", "render")]
        if any(p.wait(20) for p in running):
            sys.exit("page.py: a function failed")
        out = subprocess.run(["node", "tests/bench/page.mjs", f"http://127.0.0.1:{port}", str(LOADS)],
                             capture_output=True, text=True, timeout=60)
        if out.returncode:
            sys.exit(f"page.py: {out.stderr}")
        return json.loads(out.stdout)
    finally:
        agent.send_signal(signal.SIGTERM)
        agent.wait(20)
        os.close(ready)


def main():
    print("\nThe page")
    missing = [n for n in ("node", "chromium") if not shutil.which(n)]
    if missing or not os.path.exists("build/browser/installed"):
        print(f"not measured: {', '.join(missing) or 'the remote control of a browser'} is missing (make test-deps)")
        return
    work = tempfile.mkdtemp(prefix="oncpu-bench.", dir="/tmp")
    os.chmod(work, 0o755)
    try:
        got = measure(work, free_port())
    finally:
        shutil.rmtree(work, ignore_errors=True)
    for view, words, target in (("functions", "all functions", 500), ("function", "one function, its charts", None)):
        ms = statistics.median(got[view])
        verdict = f"   target ≤ {target} ms: {'met' if ms <= target else 'MISSED'}" if target else ""
        print(f"{'first paint with data':<34} {ms:.0f} ms (of {len(got[view])}: {min(got[view]):.0f} … "
              f"{max(got[view]):.0f}), {words}{verdict}", flush=True)
        if lines:
            more = {"target": f"≤ {target} ms", "met": ms <= target} if target else {}
            print(json.dumps({"bench": "page", "row": f"first paint, {view}", "ms": round(ms, 1),
                              "worst_ms": round(max(got[view]), 1), **more}), file=lines, flush=True)


main()
