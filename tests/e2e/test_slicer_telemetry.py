#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""`oncpu run`: the Telemetry API, with an extension that serves what it is sent, and with such as misbehave;
external extensions from a directory; one that crashes."""
import json
import os
import re
import socket
import tempfile
import threading

from slicer import LAMBDA, Slicer, bare, check, main, until

EXTENSION = LAMBDA + "/telemetry.py"


class Told:
    """Where an extension writes what it was sent."""

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="oncpu-told-")
        os.chmod(self.directory, 0o777)
        self.path = os.path.join(self.directory, "told")

    def lines(self):
        if not os.path.exists(self.path):
            return []
        with open(self.path) as f:
            return [json.loads(line) for line in f if line.endswith("\n")]

    def events(self, kind=None):
        return [e for line in self.lines() for e in line.get("batch", [])
                if kind is None or e["type"] == kind]

    def end(self):
        if os.path.exists(self.path):
            os.unlink(self.path)
        os.rmdir(self.directory)


def subscriber(told, how="", **more):
    return bare(extension=EXTENSION, env=[f"TOLD={told.path}", f"HOW={how}", *more.pop("env", [])], **more)


def ordinary():
    told = Told()
    s = Slicer({"watched": subscriber(told)})
    answers = [s.invoke("watched", {"do": "flood", "bytes": 0, "n": n}) for n in range(2)]
    failed = s.invoke("watched", {"do": "error"})
    ids = [a.id() for a in answers] + [failed.id()]
    check("telemetry: an extension that waits for runtimeDone does not hold up its invocations",
          [a.error for a in answers] == [None, None] and failed.error == "Unhandled", answers)
    s.record(failed, "watched")
    log = s.log("watched")
    check("telemetry: bad subscriptions are refused with 400, one without a name with 403, a late one with "
          "403", "refused with [400, 400, 400, 400, 400, 400]" in log and "subscribed with 200" in log
          and "a stranger is refused with 403" in log and "too late with 403" in log, log)
    # the last report is out after the last freeze: it comes with the next thaw, here SHUTDOWN's
    records, _ = s.stop("telemetry")
    events = told.events()
    order = [e["type"] for e in events if e["type"].startswith("platform.")]
    check("telemetry: the init's events, in order",
          [t for t in order if t.startswith("platform.init")]
          == ["platform.initStart", "platform.initRuntimeDone", "platform.initReport"]
          and "platform.extension" in order and "platform.telemetrySubscription" in order, order)
    for kind in ("start", "runtimeDone", "report"):
        check(f"telemetry: a platform.{kind} for each invocation",
              [e["record"]["requestId"] for e in told.events("platform." + kind)] == ids,
              told.events("platform." + kind))
    done = [e["record"] for e in told.events("platform.runtimeDone")]
    check("telemetry: runtimeDone says how it went, how long, and how much",
          [d["status"] for d in done] == ["success", "success", "error"]
          and all(d["metrics"]["durationMs"] > 0 for d in done)
          and [d["metrics"]["producedBytes"] for d in done]
          == [len(a.body) for a in answers + [failed]]
          and [x["name"] for x in done[0]["spans"]] == ["responseLatency", "runtimeOverhead"]
          and done[0]["tracing"]["value"].startswith("Root=1-"), done)
    reports = [e["record"] for e in told.events("platform.report")]
    by_id = {r["id"]: r for r in records}
    check("telemetry: the reports are the records'",
          all(abs(r["metrics"]["durationMs"] - by_id[r["requestId"]]["wall_ns"] / 1e6) < 1e-6
              and abs(r["metrics"]["onCpuMs"] - by_id[r["requestId"]]["cpu_ns"] / 1e6) < 1e-6
              for r in reports) and "initDurationMs" in reports[0]["metrics"], (reports, records))
    lines = [e["record"] for e in told.events("function")]
    own = [e["record"] for e in told.events("extension")]
    check("telemetry: the function's lines and the extension's are told apart, each without its newline",
          "bare initialised" in lines and "subscribed with 200" in own and "bare initialised" not in own
          and not any(x.endswith("\n") for x in lines + own), (lines, own))
    check("telemetry: every event has a time, and comes once, to the path that was named",
          all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", e["time"]) for e in events)
          and len({json.dumps(e) for e in events}) == len(events)
          and {x["path"] for x in told.lines() if "batch" in x} == {"/told"}, events)
    last = told.lines()[-1]
    check("SIGTERM: the extension is told of SHUTDOWN, with its deadline",
          last.get("shutdown") == "spindown" and 0 < last["left_ms"] <= 2000, last)
    told.end()


def misbehaving():
    for how in ("deaf", "mute", "failing"):
        told = Told()
        s = Slicer({"watched": subscriber(told, how, timeout="10s"), "good": bare()})
        a = s.invoke("watched", {"do": "flood", "bytes": 2 << 20})
        b = s.invoke("watched", {"n": 1})
        check(f"telemetry: a subscriber that is {how} holds up nobody",
              a.value and a.value["wrote"] > 2000000 and b.value["echo"] == {"n": 1}
              and s.invoke("good", {"n": 2}).value["echo"] == {"n": 2}, (a, b))
        if how == "failing":
            # nothing is sent to who is frozen: each call gives it a while
            until(lambda: s.invoke("watched", {"do": "sleep", "ms": 50}) and
                  sum(e["record"]["droppedRecords"] for e in told.events("platform.logsDropped")) > 1000,
                  "word of what was dropped")
            check("telemetry: what was dropped is counted, and said", True)
        s.stop(f"telemetry, {how}")
        told.end()


def foreign():
    """The destination is a server outside the instance: it must hear nothing."""
    heard = []
    server = socket.create_server(("127.0.0.1", 0))

    def listen():
        while True:
            try:
                peer, _ = server.accept()
            except OSError:
                return
            heard.append(peer.recv(65536))
            peer.close()

    threading.Thread(target=listen, daemon=True).start()
    told = Told()
    s = Slicer({"watched": subscriber(told, "foreign", env=[f"PORT={server.getsockname()[1]}"])})
    a = s.invoke("watched", {"n": 1})
    until(lambda: s.invoke("watched", {"do": "sleep", "ms": 50}) and heard
          and "which is not its own" in s.words(), "a warning")
    check("telemetry: a destination outside the instance is sent nothing, and that is said",
          a.value["echo"] == {"n": 1} and heard == [b""], (a, heard, s.words()))
    s.stop("telemetry, foreign")
    server.close()
    told.end()


def crash():
    told = Told()
    s = Slicer({"watched": subscriber(told, "crash"), "good": bare()})
    a = s.invoke("watched", {"do": "sleep", "ms": 2000})
    check("an extension that ends in mid-life: Extension.Crash, and its instance goes with it",
          a.value["errorType"] == "Extension.Crash"
          and a.value["errorMessage"].endswith("An extension ended: exit status 3"), a)
    check("  and an ordinary function answers after it", s.invoke("good").value["echo"] == {})
    s.stop("an extension that crashes")
    told.end()


main("the Telemetry API", ordinary, misbehaving, foreign, crash)
