#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# run.sh: timeout 400
"""`oncpu run` under AWS's own clients: aws-lambda-ric as the runtime, @aws-sdk/client-lambda as the
caller, both as npm has them."""
import base64
import contextlib
import json
import os
import shutil
import subprocess
import tempfile

from slicer import CLIENTS, DEADLINE, LAMBDA, MS, Slicer, check, main, node, until


def ordinary():
    s = Slicer({"hello": node(), "broken": node("broken.handler"), "stream": node("index.stream"),
                "limited": node(cpu_limit="50ms"), "late": node(timeout="1s")})
    a = s.invoke("hello", {"name": "Ada"})
    check("aws-lambda-ric: an answer", (a.status, a.error, a.value["name"], a.value["count"],
                                        a.value["id"]) == (200, None, "Ada", 1, a.id()), a)
    check("aws-lambda-ric: the context is Lambda's",
          a.value["arn"].endswith(":function:hello") and int(a.value["memory"]) == 512
          and 0 < a.value["left"] <= 3000, a.value)
    record = s.record(a, "hello")
    check("aws-lambda-ric: the record of a cold start",
          record["status"] == "ok" and record["cold_start"] and record["init"]["cpu_ns"] > 10 * MS
          and 0 < record["cpu_ns"] < record["init"]["cpu_ns"], record)
    a = s.invoke("hello", {"do": "throw"})
    check("aws-lambda-ric: a thrown error is the caller's",
          (a.status, a.error, a.value["errorType"], a.value["errorMessage"])
          == (200, "Unhandled", "RangeError", "thrown by the handler"), a)
    check("aws-lambda-ric: its record says error", s.record(a, "hello")["status"] == "error")
    a = s.invoke("broken", {})
    check("aws-lambda-ric: an import that fails is an init error",
          a.error == "Unhandled" and a.value["errorType"] == "TypeError"
          and "the import fails" in a.value["errorMessage"], a)
    payload = b'{"do":"length","payload":"' + b"y" * ((6 << 20) - 28) + b'"}'
    a = s.invoke("hello", payload)
    check("aws-lambda-ric: 6 MiB in", len(payload) == 6 << 20
          and a.value == {"length": (6 << 20) - 28}, (len(payload), a.status, a.body[:200]))
    a = s.invoke("hello", {"do": "large", "bytes": (6 << 20) - 2})
    check("aws-lambda-ric: 6 MiB out", len(a.body) == 6 << 20 and not a.error, (a.error, a.body[:200]))
    a = s.invoke("hello", {"do": "large", "bytes": 7 << 20})
    check("aws-lambda-ric: an answer that is too large is an error",
          a.error and a.value["errorType"] == "Function.ResponseSizeTooLarge", (a.error, a.body[:200]))
    a = s.invoke("stream", {"pieces": 100})
    check("aws-lambda-ric: a streamed answer is whole",
          not a.error and a.body.decode() == "".join(f"piece {i}\n" for i in range(100)), a.body[:300])
    a = s.invoke("stream", {"pieces": 3, "break": True})
    check("aws-lambda-ric: a stream that breaks off is an error, after what there was of it",
          a.error == "Unhandled" and a.body.startswith(b"piece 0\npiece 1\npiece 2\n"), a)
    suspended(s)
    refusals(s)
    limits(s)
    answers = [s.invoke("hello", {"name": n}) for n in range(500)]
    check("aws-lambda-ric: 500 invocations, one after the other",
          [x.value["name"] for x in answers] == list(range(500)) and not any(x.error for x in answers))
    asked(s)
    sdk(s)
    s.stop("aws-lambda-ric")


def suspended(s):
    """From an unmodified handler, with one HTTP call."""
    answers = [s.invoke("hello", {"do": "suspend", "times": 2, "name": n}) for n in "ABC"]
    check("aws-lambda-ric: suspend and resume, A, B, C: each caller has an answer of his own",
          [a.value["seen"] for a in answers] == [["A"], ["A", "B"], ["A", "B", "C"]]
          and answers[2].value["ids"] == [a.id() for a in answers], answers)
    records = [s.record(a, "hello") for a in answers]
    check("aws-lambda-ric: A, B, C: the records",
          [(r["status"], r["continues"]) for r in records]
          == [("suspended", None), ("suspended", answers[0].id()), ("ok", answers[1].id())], records)
    clean(s, "A, B, C")
    a = s.invoke("hello", {"do": "until", "ms": 300})
    r = s.record(a, "hello")
    awake = sum(x["wall_ns"] for x in r["segments"])
    check("aws-lambda-ric: suspend until: the same caller, one record in two segments, billed for what was awake",
          a.value == {"status": 200} and len(r["segments"]) == 2
          and awake < r["wall_ns"] - 150 * MS  # the 300 are counted from its call, not from the freeze
          and r["billed"]["aws-lambda"]["billed_ms"] == -(-awake // MS), (a, r))
    clean(s, "suspend until")
    answers = [s.invoke("hello", {"do": "done"}), s.invoke("hello", {"do": "echo"})]
    log = s.log("hello")
    first, second = (s.record(a, "hello") for a in answers)
    check("aws-lambda-ric: report_done in mid-handler: stopped there, and gone on by the next trigger",
          [a.value for a in answers] == [None, {"ended": True}]
          and next(k for k, x in enumerate(log) if x.endswith("Beginning"))
          < log.index(f"START RequestId: {answers[1].id()} Version: $LATEST")
          < next(k for k, x in enumerate(log) if x.endswith("Ending")), (answers, log[-20:]))
    check("aws-lambda-ric: report_done in mid-handler: flagged",
          (first["status"], second["continues"]) == ("suspended", first["id"]) and "continues" in second["flags"],
          (first, second))
    clean(s, "report_done in mid-handler")


def clean(s, what):
    answers = [s.invoke("hello", {"name": n}) for n in (1, 2)]
    check(f"aws-lambda-ric: {what}: the two invocations after it succeed",
          [a.value.get("name") for a in answers] == [1, 2], answers)


@contextlib.contextmanager
def gate():
    """The name of a file that functions wait for."""
    directory = tempfile.mkdtemp(prefix="oncpu-gate-")
    os.chmod(directory, 0o755)
    yield os.path.join(directory, "open")
    shutil.rmtree(directory)


def extension():
    """One that flushes after the answer, beside AWS's own runtime client."""
    told = os.path.join(tempfile.mkdtemp(prefix="oncpu-told-"), "told")
    os.chmod(os.path.dirname(told), 0o777)
    s = Slicer({"watched": node(extension=LAMBDA + "/telemetry.py", env=[f"TOLD={told}", "FLUSH_MS=30"])})
    answers = [s.invoke("watched", {"name": n}, X_Oncpu_Cpu="1") for n in range(3)]
    records = [s.record(a, "watched") for a in answers]
    check("aws-lambda-ric with an extension that flushes after the answer: its CPU is in the record, and named",
          all(a.value["name"] == n and r["cpu_ns"] >= 30 * MS > int(a.headers["x-oncpu-cpu-ns"])
              and r["after_response"]["cpu_ns"] >= 30 * MS and r["extensions"][0]["name"] == "telemetry.py"
              and 30 * MS <= r["extensions"][0]["cpu_ns"] < r["cpu_ns"]
              for n, (a, r) in enumerate(zip(answers, records))), [(a, r) for a, r in zip(answers, records)])
    s.stop("aws-lambda-ric with an extension")
    os.unlink(told)
    os.rmdir(os.path.dirname(told))


def refusals(s):
    a = s.invoke("nobody-knows", {})
    check("an unknown function: 404", (a.status, a.error) == (404, "ResourceNotFoundException"), a)
    a = s.invoke("hello", b'"' + b"z" * (6 << 20) + b'"')
    check("a payload of more than 6 MiB: 413", (a.status, a.error) == (413, "RequestTooLargeException"),
          a)
    a = s.invoke("hello", b"{not json")
    check("a payload that is no JSON: 400", (a.status, a.error)
          == (400, "InvalidRequestContentException"), a)


def limits(s):
    a = s.invoke("late", {"do": "sleep", "ms": 60000})
    r = s.record(a, "late")
    check("a time-out by wall: the caller is told as by AWS, the record says timeout",
          a.error == "Unhandled" and a.value["errorType"] == "Sandbox.Timedout"
          and a.value["errorMessage"].endswith("Task timed out after 1.00 seconds")
          and r["status"] == "timeout" and 1000 * MS <= r["wall_ns"] < 60000 * MS, (a, r))
    check("a time-out by wall: the next trigger gets a fresh instance",
          s.invoke("late", {}).value["count"] == 1)
    s.invoke("limited", {})
    a = s.invoke("limited", {"do": "burn", "ms": 2000})
    r = s.record(a, "limited")
    check("a time-out by CPU: not before 50 ms, and long before the 2 s that it wanted",
          a.error == "Unhandled" and a.value["errorType"] == "Oncpu.CpuLimit"
          and r["status"] == "timeout" and 50 * MS <= r["cpu_ns"] < 500 * MS, (a, r))
    check("a time-out by CPU: the next trigger gets a fresh instance",
          s.invoke("limited", {}).value["count"] == 1)
    a = s.invoke("hello", {"do": "exit", "status": 7})
    r = s.record(a, "hello")
    check("a crash: the caller is told, the record says so",
          a.error == "Unhandled" and a.value["errorType"] == "Runtime.ExitError"
          and a.value["errorMessage"].endswith("Runtime exited with error: exit status 7")
          and r["status"] == "crashed", (a, r))
    check("a crash: the next trigger gets a fresh instance",
          s.invoke("hello", {}).value["count"] == 1)


def asked(s):
    """What a caller may ask for by headers, and the platform's lines."""
    a = s.invoke("hello", {"do": "log"}, X_Amz_Log_Type="Tail")
    lines = a.log().splitlines()
    check("X-Amz-Log-Result: START, the handler's line, END, REPORT",
          lines[0] == f"START RequestId: {a.id()} Version: $LATEST"
          and lines[1].endswith("a line of the handler") and lines[-2] == f"END RequestId: {a.id()}"
          and lines[-1].startswith(f"REPORT RequestId: {a.id()}\tDuration: "), lines)
    report, record = s.report("hello", a.id()), s.record(a, "hello")
    said = [float(report[k].split()[0]) for k in ("Duration", "On-CPU")]
    real = [record[k] / 1e6 for k in ("wall_ns", "cpu_ns")]
    check("the REPORT line says what the record says",
          all(abs(x - y) <= 0.00501 for x, y in zip(said, real))
          and int(report["Billed Duration"].split()[0]) == record["billed"]["aws-lambda"]["billed_ms"],
          (report, record))
    a = s.invoke("hello", {"do": "burn", "ms": 30}, X_Oncpu_Cpu="1")
    used, record = int(a.headers["x-oncpu-cpu-ns"]), s.record(a, "hello")
    # where the keeper waits for a CPU, the runtime has asked for the next event before it reads the clock
    check("X-Oncpu-Cpu: the answer says what CPU it took; the record, also what came after it",
          30 * MS <= used <= record["cpu_ns"] < 2 * used, (used, record["cpu_ns"]))
    a = s.invoke("hello", {"name": "event"}, X_Amz_Invocation_Type="Event")
    check("an Event: 202 at once, and it runs",
          (a.status, a.body) == (202, b"") and s.record(a, "hello")["status"] == "ok", a)


def sdk(s):
    """`single` is of another slicer's kind: one instance, so that the second caller is turned away."""
    other = Slicer({"hello": node(concurrency=2), "single": node(), "stream": node("index.stream")}, "--telemetry")
    with gate() as path:
        out = subprocess.run([shutil.which("node"), LAMBDA + "/caller.mjs", CLIENTS,
                              f"http://127.0.0.1:{other.port}", path], capture_output=True, text=True,
                             timeout=2 * DEADLINE, check=False)
    got = {}
    for line in out.stdout.splitlines():
        case = json.loads(line)
        got[case.pop("case")] = case
    if len(got) < 15:
        check("@aws-sdk/client-lambda: every case is run", False, (out.stdout, out.stderr))
        return
    check("@aws-sdk/client-lambda: success", got["success"]["status"] == 200
          and got["success"]["value"]["name"] == "Ada" and "error" not in got["success"]
          and got["success"]["version"] == "$LATEST", got["success"])
    check("@aws-sdk/client-lambda: FunctionError", got["error"]["error"] == "Unhandled"
          and got["error"]["value"]["errorType"] == "RangeError", got["error"])
    check("@aws-sdk/client-lambda: LogResult", "a line of the handler" in got["tail"]["log"]
          and "REPORT RequestId" in got["tail"]["log"], got["tail"])
    check("@aws-sdk/client-lambda: Event and DryRun", (got["event"]["status"], got["dry"]["status"])
          == (202, 204), got)
    check("@aws-sdk/client-lambda: by ARN", got["arn"]["value"]["name"] == "by ARN", got["arn"])
    check("@aws-sdk/client-lambda: ResourceNotFoundException",
          (got["unknown"]["thrown"], got["unknown"]["status"]) == ("ResourceNotFoundException", 404),
          got["unknown"])
    streams(got)
    check("@aws-sdk/client-lambda: RequestTooLargeException",
          (got["large"]["thrown"], got["large"]["status"]) == ("RequestTooLargeException", 413),
          got["large"])
    check("@aws-sdk/client-lambda: TooManyRequestsException for one of two, the other is served",
          (got["busy"].get("thrown"), got["busy"]["status"]) == ("TooManyRequestsException", 429)
          and got["served"]["status"] == 200, (got["busy"], got["served"]))
    reports = [json.loads(x) for x in other.words().splitlines() if '"platform.report"' in x]
    check("--telemetry: a platform.report for each",
          len(reports) >= 5 and all(r["record"]["metrics"]["durationMs"] > 0 for r in reports), reports)
    other.stop("@aws-sdk/client-lambda")


def streams(got):
    a = got["streamed"]
    check("InvokeWithResponseStream: the pieces in their order, then InvokeComplete with the log",
          (a.get("status"), a.get("version")) == (200, "$LATEST") and a["chunks"] > 1
          and a["text"] == "".join(f"piece {i}\n" for i in range(50)) and "ErrorCode" not in a["complete"]
          and "REPORT RequestId" in base64.b64decode(a["complete"]["LogResult"]).decode(), a)
    a = got["broken"]
    check("InvokeWithResponseStream: one that breaks off: what there was, then the error from the trailers",
          a["text"].startswith("piece 0\npiece 1\n") and "broken off" in a["complete"]["ErrorDetails"]
          and a["complete"]["ErrorCode"] == json.loads(a["complete"]["ErrorDetails"])["errorType"], a)
    check("InvokeWithResponseStream: of a function that does not stream: its answer in one piece",
          json.loads(got["whole"]["text"])["name"] == "Ada" and got["whole"]["chunks"] == 1, got["whole"])
    check("InvokeWithResponseStream: a thrown error",
          got["thrown"]["text"] == "" and got["thrown"]["complete"]["ErrorCode"] == "RangeError", got["thrown"])
    check("InvokeWithResponseStream: ResourceNotFoundException",
          (got["nowhere"].get("thrown"), got["nowhere"]["status"]) == ("ResourceNotFoundException", 404),
          got["nowhere"])


def crowds():
    s = Slicer({"wide": node(concurrency=50, init_timeout="60s", timeout="60s"),
                "narrow": node(concurrency=2, init_timeout="60s", timeout="60s")})
    answers = []
    for _ in range(4):
        answers += s.at_once([("wide", {"do": "sleep", "ms": 20})] * 50)
    check("concurrency 50: 4 times 50 at once, all are served",
          [a.status for a in answers] == [200] * 200 and not any(a.error for a in answers),
          [a for a in answers if a.status != 200 or a.error][:3])
    with gate() as path:
        calls = [s.begin("narrow", {"do": "gate", "gate": path}) for _ in range(50)]
        until(lambda: sum(c.done() for c in calls) >= 48, "48 callers are answered")
        open(path, "w").close()
        answers = [c.result() for c in calls]
    check("concurrency 2: of 50 at once 2 are served, the others are told to come again (429)",
          sorted(a.status for a in answers) == [200] * 2 + [429] * 48
          and {a.error for a in answers if a.status == 429} == {"TooManyRequestsException"},
          [a.status for a in answers])
    _, instances = s.stop("crowds")
    wide, narrow = (sum(i["function"] == name for i in instances) for name in ("wide", "narrow"))
    check("a crowd is given instances, as many as allowed", 25 <= wide <= 50 and narrow == 2,
          (wide, narrow))


main("oncpu run under AWS's clients", ordinary, extension, crowds, node=True)
