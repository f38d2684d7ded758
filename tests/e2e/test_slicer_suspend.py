#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""`oncpu run`: suspend and resume, early answers, extensions, names used again, logs, the law."""
import collections
import concurrent.futures
import http.client
import json
import os
import random
import struct
import tempfile
import zlib

from slicer import DEADLINE, LAMBDA, MS, Slicer, alive, bare, check, main, unified, until


def clean(s, function, what):
    """Two ordinary invocations."""
    answers = [s.invoke(function, {"n": n}) for n in (1, 2)]
    check(f"{what}: the two invocations after it succeed",
          [a.value and a.value.get("echo") for a in answers] == [{"n": 1}, {"n": 2}], answers)


def suspend():
    s = Slicer({"chain": bare(), "stay": bare(suspend="300ms", timeout="1s"),
                "pause": bare(grace="50ms"), "shared": bare(env="AWS_LAMBDA_MAX_CONCURRENCY=2")})
    answers = [s.invoke("chain", {"do": "suspend", "times": 2, "name": n}) for n in "ABC"]
    last = answers[2].value
    check("A, B, C: each caller has an answer of his own",
          [a.value["seen"] for a in answers] == [["A"], ["A", "B"], ["A", "B", "C"]]
          and not any(a.error for a in answers), answers)
    check("A, B, C: each has an id and a deadline of its own, told with the event",
          last["ids"] == [a.id() for a in answers] and all(2 < x <= 3.01 for x in last["left"]), last)
    clean(s, "chain", "A, B, C")
    records = [s.record(a, "chain") for a in answers]
    check("A, B, C: the records say suspended, and which they go on from",
          [(r["status"], r["continues"]) for r in records]
          == [("suspended", None), ("suspended", answers[0].id()), ("ok", answers[1].id())], records)

    a = s.invoke("chain", {"do": "until", "ms": 200})
    r = s.record(a, "chain")
    check("suspend until: the same caller waits, 200 ms",
          a.value["status"] == 200 and a.value["waited_ms"] >= 200, a)
    check("suspend until: next to no CPU, in two segments that add up",
          r["cpu_ns"] < 10 * MS and len(r["segments"]) == 2
          and sum(x["cpu_ns"] for x in r["segments"]) == r["cpu_ns"], r)
    a = s.invoke("chain", {"do": "until", "ms": 0})
    check("suspend until no time at all: refused with 400", a.value["status"] == 400, a)

    before = s.invoke("stay").value["pid"]
    s.invoke("stay", {"do": "suspend", "times": 1, "name": "A"})
    until(lambda: not alive(before), "the end of one that stays too long")
    check("the longest stay: the process is ended, and that is said",
          "the longest stay" in s.words(), s.words())
    a = s.invoke("stay", {"n": 1})
    check("the longest stay: the next trigger gets a fresh instance",
          a.value["echo"] == {"n": 1} and a.value["pid"] != before, a)

    early(s)
    a = s.invoke("pause", {"do": "refused"})
    s.invoke("pause")
    check("suspend with nothing open: refused with 409",
          "refused with [409, 409, 409]" in s.log("pause"), s.log("pause"))
    a = s.invoke("shared", {"do": "refused_while_open"})
    check("suspend where several share an instance: refused with 409",
          a.value == {"status": 409, "type": "SuspendRefused"}, a)
    s.stop("suspend")


def early(s):
    a = s.invoke("pause", {"do": "early", "ms": 200})
    check("an early answer: the caller has it", a.value == {"early": True}, a)
    first = s.record(a, "pause")
    until(lambda: any(os.path.isdir(s.cage(2, n)) and s.frozen(2, n) for n in range(8)), "a freeze")
    log = s.log("pause")
    check("an early answer without next in the grace: paused on the spot",
          "before the pause" in log and "after the pause" not in log and first["status"] == "suspended",
          (first, log))
    a = s.invoke("pause", {})
    second = s.record(a, "pause")
    log = s.log("pause")
    check("an early answer: the next trigger resumes it at that very line",
          a.body == b"null" and log.index("after the pause")
          > log.index(f"START RequestId: {a.id()} Version: $LATEST")
          and (first["status"], second["continues"]) == ("suspended", first["id"]), (a, second, log))
    clean(s, "pause", "an early answer")


def extension():
    tell = os.path.join(tempfile.mkdtemp(prefix="oncpu-tell-"), "fifo")
    os.chmod(os.path.dirname(tell), 0o755)
    os.mkfifo(tell)
    os.chmod(tell, 0o666)
    s = Slicer({"flushed": bare(extension=LAMBDA + "/extension.py", env="TELL=" + tell, idle="700ms",
                                grace="2s")})
    answers = [s.invoke("flushed", {"do": "tell"}, X_Oncpu_Cpu="1") for _ in range(3)]
    check("an extension: the invocations succeed", [a.value for a in answers] == [{"told": True}] * 3,
          answers)
    records = [s.record(a, "flushed") for a in answers]
    check("an extension: what it does after the answer is in the record, not in the answer's header",
          all(r["cpu_ns"] >= 30 * MS > int(a.headers["x-oncpu-cpu-ns"])
              for r, a in zip(records, answers)), [r["cpu_ns"] for r in records])
    log = s.log("flushed")
    shares = [r["extensions"] for r in records]
    check("an extension: its own CPU is named in the record, a part of the whole",
          all(len(x) == 1 and x[0]["name"] == "extension.py" and 25 * MS < x[0]["cpu_ns"]
              < r["cpu_ns"] for x, r in zip(shares, records)), shares)
    check("an extension: the invocation ends after it asked for next",
          all(log.index(f"extension flushed after {a.id()}") < log.index(f"END RequestId: {a.id()}")
              for a in answers), log)
    until(lambda: "extension told of spindown" in s.log("flushed"), "a SHUTDOWN")
    check("an extension: is told of SHUTDOWN when its instance has been idle for too long", True)
    until(lambda: not os.path.isdir(s.cage(0, 0)), "the end of an idle instance")
    a = s.invoke("flushed", {"do": "tell"})
    check("an extension: the next instance works, too", a.value == {"told": True}, a)
    s.stop("an extension")
    os.unlink(tell)
    os.rmdir(os.path.dirname(tell))


def again():
    """The name of a cgroup used again; logs over a restart."""
    s = Slicer({"again": bare()})
    first = s.invoke("again", {"do": "burn", "ms": 200})
    name = s.cage(0, 0)
    check("a cgroup's name: as expected", os.path.isdir(name), s.cgroups())
    crash = s.invoke("again", {"do": "exit", "status": 1})
    check("a crash: Runtime.ExitError", crash.value["errorType"] == "Runtime.ExitError", crash)
    second = s.invoke("again", {"n": 1})
    check("a cgroup's name is used again", os.path.isdir(name) and second.value["count"] == 1, second)
    records = [s.record(x, "again") for x in (first, crash, second)]
    directory = s.directory
    ids = [x.id() for x in (first, crash, second)]
    s.process.terminate()
    s.wait()
    by_uid = sorted(s.instances(), key=lambda i: i["uid"])
    check("a cgroup's name used again: the second one starts from zero",
          len(by_uid) == 2 and by_uid[0]["total_cpu_ns"] > 200 * MS > by_uid[1]["total_cpu_ns"]
          and records[0]["instance"] != records[2]["instance"], by_uid)
    s = Slicer({"again": bare()}, "--strict", directory=directory)
    a = s.invoke("again", {"do": "long_header", "bytes": 60000})
    s.invoke("again")
    check("a header line of 60,000 bytes is accepted",
          a.error == "Unhandled" and a.value == {"errorType": "Long"}
          and "accepted with 202" in s.log("again"), a)
    a = s.invoke("again", {"do": "long_header", "bytes": 1000000})
    check("a header line of a megabyte is refused with 431, and its invocation ends as an error",
          a.error == "Unhandled" and a.value["errorType"].startswith("Runtime."), (a, s.log("again")[-5:]))
    check("  and the next one succeeds", s.invoke("again", {"n": 1}).value["echo"] == {"n": 1})
    a = s.invoke("again", {"do": "answer_other", "other": crash.id()})
    check("--strict: an answer to another id is refused with 400",
          a.value == {"statuses": [400, 400, 409, 409]}, a)
    s.invoke("again", {"do": "twice"})
    s.invoke("again")
    check("--strict: a second answer is refused with 403", "answered with [202, 403]" in s.log("again"),
          s.log("again"))
    a = s.invoke("again")
    s.report("again", a.id())
    lines = s.lines("logs", "again")
    check("the log: an invocation of before a restart, and one of after it",
          all(any(x.startswith(f"REPORT RequestId: {i}\t") for x in lines) for i in ids + [a.id()]),
          lines)
    check("the log: --last 1 is the last REPORT",
          s.lines("logs", "again", "--last", "1")[0].startswith(f"REPORT RequestId: {a.id()}"), lines)
    s.stop("a restart")


def streaming():
    """InvokeWithResponseStream, byte by byte: the first piece is with its caller before there is a second."""
    tell = os.path.join(tempfile.mkdtemp(prefix="oncpu-tell-"), "fifo")
    os.chmod(os.path.dirname(tell), 0o755)
    os.mkfifo(tell)
    os.chmod(tell, 0o666)
    s = Slicer({"stream": bare(env="TELL=" + tell, timeout="10s"), "endless": bare(timeout="1s")})
    for broken in (False, True):
        c = http.client.HTTPConnection("127.0.0.1", s.port, timeout=DEADLINE)
        c.request("POST", "/2021-11-15/functions/stream/response-streaming-invocations",
                  json.dumps({"do": "stream", **({"break": True} if broken else {})}))
        r = c.getresponse()
        first = message(r)
        with open(tell, "w") as f:
            f.write("second")
        rest = [message(r), message(r)]
        check("a streamed answer: its first piece comes before the second is written, and InvokeComplete at the end"
              if not broken else "a streamed answer that breaks off: the error of its trailers",
              (r.getheader("Content-Type"), first, rest[0]) == ("application/vnd.amazon.eventstream",
              ("PayloadChunk", b"first;"), ("PayloadChunk", b"second")) and rest[1][0] == "InvokeComplete"
              and json.loads(rest[1][1]) == ({"ErrorCode": "Half", "ErrorDetails":
                                              '{"errorType":"Half","errorMessage":"broken"}'} if broken else {})
              and r.read() == b"", (first, rest))
        c.close()
    for size, fits in ((20 << 20, True), ((20 << 20) + 1, False)):
        a = s.invoke("stream", {"do": "stream_bytes", "bytes": size})
        check(f"a streamed answer of {size} bytes: " + ("is whole" if fits else "is too large"),
              (a.error is None and len(a.body) == size) if fits
              else a.value["errorType"] == "Function.ResponseSizeTooLarge", (a.error, a.body[:200]))
    a = s.invoke("endless", {"do": "stream_bytes"})
    check("a streamed answer without end: ended, and bounded",
          a.value["errorType"] in ("Sandbox.Timedout", "Function.ResponseSizeTooLarge"), (a.error, a.body[:200]))
    check("  and an ordinary function answers after it", s.invoke("stream", {"n": 1}).value["echo"] == {"n": 1})
    s.stop("streaming")
    os.unlink(tell)
    os.rmdir(os.path.dirname(tell))


def message(r):
    """One message of an event stream: the event's type, the payload. Each CRC is checked."""
    prelude = r.read(12)
    whole, headers, crc = struct.unpack(">III", prelude)
    body = r.read(whole - 12)
    assert crc == zlib.crc32(prelude[:8]) and zlib.crc32(prelude + body[:-4]) == struct.unpack(">I", body[-4:])[0]
    at, found = 0, {}
    while at < headers:
        n = body[at]
        name, kind, size = body[at + 1:at + 1 + n], body[at + 1 + n], int.from_bytes(body[at + 2 + n:at + 4 + n], "big")
        assert kind == 7
        found[name.decode()] = body[at + 4 + n:at + 4 + n + size].decode()
        at += 4 + n + size
    assert found[":message-type"] == "event"
    return found[":event-type"], body[headers:-4]


def law():
    """10,000 of every kind, on several functions at once, frozen between: the law against the kernel's own books.
    Those are the parent's of all runs: what ends is still counted there."""
    books = os.path.join(unified(), "oncpu", "cpu.stat")

    def charged_ns():
        with open(books) as f:
            return int(f.readline().split()[1]) * 1000

    s = Slicer({"a": bare(concurrency=4, grace="20ms"), "b": bare(concurrency=2, timeout="150ms"),
                "c": bare(freeze_after="5ms"), "d": bare(no_freeze="yes")})
    before = charged_ns()  # nothing of it has run yet
    r = random.Random(7)
    kinds = ([{}] * 40 + [{"do": "burn", "ms": 2}] * 10 + [{"do": "sleep", "ms": 3}] * 10
             + [{"do": "error"}] * 3
             + [{"do": "early", "ms": 30}] * 2 + [{"do": "until", "ms": 10}] * 2
             + [{"do": "suspend", "times": 1, "name": "x"}] * 3)
    rare = [{"do": "exit", "status": 1}, {"do": "daemons"}, {"do": "thread"},
            {"do": "sleep", "ms": 1000}]

    def caller(n):
        # the last two take one at a time: each has one instance, and no caller is turned away
        function, count = [("a", 1900), ("a", 1900), ("a", 1900), ("b", 850), ("b", 850), ("c", 1300),
                           ("d", 1300)][n]
        answers = []
        for k in range(count):
            event = r.choice(kinds)
            if function == "b" and k % 50 == 49:
                event = rare[k // 50 % 4]
            answers.append(s.invoke(function, event))
        return answers

    with concurrent.futures.ThreadPoolExecutor(7) as pool:
        answers = sum(pool.map(caller, range(7)), [])
    check("10,000 invocations of every kind: each is answered, none is turned away",
          [a.status for a in answers] == [200] * 10000, {a.status for a in answers})
    records, instances = s.stop("10,000 invocations")
    total, charged = sum(i["total_cpu_ns"] for i in instances), charged_ns() - before
    statuses = collections.Counter(r["status"] for r in records)
    print(f"# {dict(statuses)}; {len(instances)} instances: {total} ns in their accounts, {charged} ns in the kernel's books, "
          f"{(total - charged) / charged * 100:+.5f} %")
    check("10,000 invocations: the accounts are the kernel's own books, to 0.001 %",
          abs(total - charged) <= 1e-5 * charged and charged > 1e9, (total, charged))
    ids = {x["id"] for x in records}
    check("10,000 invocations: each has one record",
          len(records) == 10000 and ids == {a.id() for a in answers},
          (len(records), len(ids), len({a.id() for a in answers} - ids)))


main("suspend, resume, extensions, streams and the law", suspend, extension, again, streaming, law)
