#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""A function without any library: polls the Runtime API over raw HTTP and does what the event's "do"
says, the forbidden included. bare.py deaf never reads what it asked for."""
import base64
import http.client
import itertools
import json
import os
import signal
import socket
import sys
import threading
import time

ADDRESS = os.environ["AWS_LAMBDA_RUNTIME_API"]
HOST, PORT = ADDRESS.split(":")
API = "/2018-06-01/runtime/invocation/"
connection = http.client.HTTPConnection(ADDRESS)
count = 0


def call(method, path, body=None, headers=None):
    connection.request(method, path, body, {"Content-Type": "application/json", **(headers or {})})
    reply = connection.getresponse()
    return reply, reply.read()


def respond(request_id, value):
    reply, _ = call("POST", API + request_id + "/response", json.dumps(value))
    return reply.status


def raw(*pieces, read=True):
    """What the peer says to these bytes; None if it only hangs up."""
    with socket.create_connection((HOST, int(PORT)), timeout=5) as s:
        try:
            for piece in pieces:
                s.sendall(piece)
            return s.recv(65536).decode(errors="replace") if read else None
        except (ConnectionError, socket.timeout) as error:
            return type(error).__name__


def burn(ms):
    end = time.process_time() + ms / 1000
    while time.process_time() < end:
        pass


# ---- the ordinary ----

def do_echo(event, request_id):
    return {"echo": event, "count": count, "pid": os.getpid(), "api": ADDRESS, "uid": os.getuid()}


def do_burn(event, request_id):
    burn(event["ms"])
    return {"burned": event["ms"]}


def do_sleep(event, request_id):
    time.sleep(event["ms"] / 1000)
    return {"slept": event["ms"], "id": request_id}


def do_exit(event, request_id):
    os._exit(event["status"])


def do_error(event, request_id):
    call("POST", API + request_id + "/error", json.dumps({"errorType": "Wrong", "errorMessage": "no"}))


def do_long_header(event, request_id):
    reply, _ = call("POST", API + request_id + "/error", json.dumps({"errorType": "Long"}),
                    {"Lambda-Runtime-Function-XRay-Error-Cause": "c" * event["bytes"]})
    print("accepted with", reply.status, flush=True)


def do_tell(event, request_id):
    """Answers, then tells the extension that the answer is out."""
    respond(request_id, {"told": True})
    with open(os.environ["TELL"], "w") as f:
        f.write("answered")


def do_facts(event, request_id):
    return {"environment": dict(os.environ), "directory": os.getcwd(), "uid": os.getuid(), "gid": os.getgid(),
            "groups": os.getgroups(), "arguments": sys.argv}


def do_allocate(event, request_id):
    block = bytearray(event["mb"] << 20)
    for at in range(0, len(block), 4096):
        block[at] = 1
    return {"allocated": len(block) >> 20}


def do_burn_together(event, request_id):
    """Two processes at once."""
    child = os.fork()
    burn(event["ms"])
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    return {"burned": event["ms"]}


def do_twice(event, request_id):
    print("answered with", [respond(request_id, {"answer": n}) for n in (1, 2)], flush=True)


def streamed(request_id, pieces, trailers=b""):
    """Answers piece by piece, each as soon as it comes."""
    with socket.create_connection((HOST, int(PORT))) as s:
        s.sendall(f"POST {API}{request_id}/response HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
                  "Lambda-Runtime-Function-Response-Mode: streaming\r\nContent-Type: text/plain\r\n"
                  "Trailer: Lambda-Runtime-Function-Error-Type\r\nTrailer: Lambda-Runtime-Function-Error-Body"
                  "\r\n\r\n".encode())
        for piece in pieces:
            s.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        s.sendall(b"0\r\n" + trailers + b"\r\n")
        return s.recv(65536)[9:12].decode()


def do_stream(event, request_id):
    """The second half only when somebody has had the first one: he writes to $TELL."""
    def pieces():
        yield b"first;"
        with open(os.environ["TELL"]) as f:
            yield f.read().encode()
    error = base64.b64encode(b'{"errorType":"Half","errorMessage":"broken"}')
    streamed(request_id, pieces(), b"Lambda-Runtime-Function-Error-Type: Half\r\nLambda-Runtime-Function-Error-Body"
             b": " + error + b"\r\n" if event.get("break") else b"")


def do_stream_bytes(event, request_id):
    """Of this size in all; for ever without one."""
    block = b"z" * 65536
    sizes = itertools.repeat(65536) if "bytes" not in event else \
        [min(65536, event["bytes"] - at) for at in range(0, event["bytes"], 65536)]
    print("streamed:", streamed(request_id, (block[:n] for n in sizes)), flush=True)


# ---- suspend and resume ----

def do_suspend(event, request_id):
    """A → B → C: as many suspensions as the event says; the last answer goes under the first id."""
    seen, ids, deadlines = [event["name"]], [request_id], []
    for _ in range(event["times"]):
        reply, body = call("POST", API + request_id + "/suspend", json.dumps({"seen": seen}))
        seen.append(json.loads(body).get("name"))
        ids.append(reply.getheader("Lambda-Runtime-Aws-Request-Id"))
        deadlines.append(int(reply.getheader("Lambda-Runtime-Deadline-Ms")) / 1000 - time.time())
    return {"seen": seen, "ids": ids, "left": deadlines}


def do_until(event, request_id):
    began = time.monotonic()
    reply, _ = call("POST", f"{API}{request_id}/suspend?until={event['ms']}", "{}")
    return {"status": reply.status, "waited_ms": (time.monotonic() - began) * 1000}


def do_early(event, request_id):
    """Answers in mid-handler and goes on after longer than the grace."""
    respond(request_id, {"early": True})
    print("before the pause", flush=True)
    time.sleep(event["ms"] / 1000)
    print("after the pause", flush=True)


def do_refused(event, request_id):
    """Suspends where nothing is open: after the answer, by any name."""
    respond(request_id, {"answered": True})
    statuses = [call("POST", API + name + "/suspend", "{}")[0].status
                for name in (request_id, "-", "00000000-0000-4000-8000-000000000000")]
    print("refused with", statuses, flush=True)


def do_refused_while_open(event, request_id):
    reply, body = call("POST", API + request_id + "/suspend", "{}")
    return {"status": reply.status, "type": json.loads(body)["errorType"]}


# ---- the hostile ----

def do_daemons(event, request_id):
    """Forks twice, in a session of its own, deaf to every signal it may be deaf to."""
    ready, told = os.pipe()
    for _ in range(3):
        if not os.fork():
            os.setsid()
            if os.fork():
                os._exit(0)
            for number in range(1, signal.NSIG):
                try:
                    signal.signal(number, signal.SIG_IGN)
                except (OSError, ValueError):
                    pass
            os.write(told, str(os.getpid()).encode() + b"\n")
            while True:
                burn(1)
                time.sleep(0.001)
    pids = b""
    while pids.count(b"\n") < 3:
        pids += os.read(ready, 100)
    return {"pids": [int(p) for p in pids.split()]}


def do_deaf_to_term(event, request_id):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while True:
        burn(10)


def do_close(event, request_id):
    """Closes its sockets with a next open, in the middle of a request, and in mid-answer."""
    global connection
    for line in (b"GET " + API.encode() + b"next HTTP/1.1\r\nHost: x\r\n\r\n",
                 b"POST " + API.encode() + request_id.encode() + b"/response HTTP/1.1\r\nHost: x\r\n"
                 b"Content-Length: 1000\r\n\r\nhalf", b"POST "):
        raw(line, read=False)
    os.closerange(3, 1024)
    connection = http.client.HTTPConnection(ADDRESS)
    return {"closed": True}


def do_hang_up(event, request_id):
    """Answers, asks for next and hangs up: no event can reach it."""
    respond(request_id, {"hung": "up"})
    raw(b"GET " + API.encode() + b"next HTTP/1.1\r\nHost: x\r\n\r\n", read=False)
    time.sleep(3600)


def do_garbage(event, request_id):
    return {"said": [raw(*pieces) for pieces in (
        [os.urandom(65536)],
        [b"GET " + b"A" * 100000 + b" HTTP/1.1\r\n\r\n"],
        [b"POST " + API.encode() + request_id.encode() + b"/response HTTP/1.1\r\nHost: x\r\n"
         b"Content-Length: -1\r\n\r\n"],
        [b"POST " + API.encode() + request_id.encode() + b"/response HTTP/1.1\r\nHost: x\r\n"
         b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
        [b"DELETE / HTTP/1.1\r\nHost: x\r\n\r\n"],
        [b"POST " + API.encode() + b"../../x/response HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"],
        [b"POST /2020-01-01/extension/register HTTP/1.1\r\nHost: x\r\nLambda-Extension-Name: "
         + b"n" * 5000 + b"\r\nContent-Length: 2\r\n\r\n[]"],
    )]}


def do_answer_other(event, request_id):
    """Answers for somebody else, as success and as error, and asks to suspend him."""
    return {"statuses": [call("POST", API + event["other"] + verb, json.dumps("stolen"))[0].status
                         for verb in ("/response", "/error", "/suspend", "/done")]}


def do_flood(event, request_id):
    line = "x" * 99 + "\n"
    for _ in range(event["bytes"] // 100 // 100):
        sys.stdout.write(line * 100)
    sys.stdout.flush()
    return {"wrote": event["bytes"] // 10000 * 10000}


def do_flood_for_ever(event, request_id):
    while True:
        os.write(1, b"y" * 65536)


def do_visit(event, request_id):
    """Speaks to another instance's Runtime API."""
    other = http.client.HTTPConnection(event["api"], timeout=5)
    try:
        other.request("GET", "/2018-06-01/ping")
        return {"answer": other.getresponse().status}
    except (OSError, http.client.HTTPException) as error:
        return {"refused": type(error).__name__}


def do_signal_others(event, request_id):
    refused = []
    for pid in event["pids"]:
        try:
            os.kill(pid, 0)  # asks only: a broken product would do it
        except (PermissionError, ProcessLookupError) as error:
            refused.append(type(error).__name__)
    return {"refused": refused}


def do_fork_bomb(event, request_id):
    children = 0
    try:
        while children < 2000:
            if not os.fork():
                signal.pause()
                os._exit(0)
            children += 1
    except OSError as error:
        return {"children": children, "error": error.errno}
    return {"children": children}


def do_next_again(event, request_id):
    """Asks for next over and over without an answer, on many connections."""
    for _ in range(20):
        s = socket.create_connection((HOST, int(PORT)))
        s.sendall(b"GET " + API.encode() + b"next HTTP/1.1\r\nHost: x\r\n\r\n")
        kept.append(s)
    return {"asked": 20}


kept = []


def do_thread(event, request_id):
    """A thread that goes on burning after the answer, whenever it gets CPU."""
    threading.Thread(target=burn, args=(10**6,), daemon=True).start()
    return {"thread": True}


def do_empty(event, request_id):
    return None


if sys.argv[1:] == ["deaf"]:
    ear = socket.create_connection((HOST, int(PORT)))
    ear.sendall(b"GET " + API.encode() + b"next HTTP/1.1\r\nHost: x\r\n\r\n")
    while True:
        time.sleep(3600)
print("bare initialised", flush=True)
while True:
    trigger, body = call("GET", API + "next")
    name = trigger.getheader("Lambda-Runtime-Aws-Request-Id")
    what = json.loads(body)
    count += 1
    silent = ("twice", "stream", "stream_bytes", "tell", "early", "refused", "error", "long_header", "hang_up")
    answer = globals()["do_" + what.get("do", "echo")](what, name)
    if what.get("do") not in silent:
        respond(name, answer)
