#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""What hostile clients send to the API: bounded, refused, and everybody else is served meanwhile."""
import contextlib
import os
import random
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from agent import DEADLINE, SANITIZED, Agent, check, free_port, main, until

GOOD = b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
port = free_port()
agent = None


def dial(over="unix"):
    if over == "tcp":
        return socket.create_connection(("127.0.0.1", port), DEADLINE)
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(DEADLINE)
    s.connect(agent.socket)
    return s


def send(data, over="unix"):
    """All that is answered until the end; b"" when it is hung up on."""
    answer = b""
    with dial(over) as s:
        with contextlib.suppress(OSError):
            s.sendall(data)
            while block := s.recv(65536):
                answer += block
    return answer


def status(answer):
    return int(answer.split()[1]) if answer.startswith(b"HTTP/1.") else 0


def served():
    return agent.get("/v1/health").status == 200


def odd_requests():
    global agent
    agent = Agent("--listen", f"127.0.0.1:{port}")
    agent.run("thumb", 20)
    head = b"Host: localhost\r\nConnection: close\r\n"
    many = b"".join(b"X-%d: %s\r\n" % (i, b"y" * 40) for i in range(2000))
    for what, request, wanted in [
            ("a URL of 100 KB", b"GET /v1/invocations?id=" + b"x" * 100000 + b" HTTP/1.1\r\n" + head + b"\r\n", {0, 400, 414, 431}),
            ("2,000 headers", b"GET /v1/health HTTP/1.1\r\n" + head + many + b"\r\n", {0, 400, 431}),
            ("a header of 100 KB", b"GET /v1/health HTTP/1.1\r\n" + head + b"X: " + b"z" * 100000 + b"\r\n\r\n", {0, 400, 431}),
            ("100 parameters", b"GET /v1/invocations?" + b"&".join(b"a%d=1" % i for i in range(100)) + b" HTTP/1.1\r\n" + head + b"\r\n", {400}),
            ("the same parameter 500 times", b"GET /v1/invocations?" + b"&".join([b"status=ok"] * 500) + b" HTTP/1.1\r\n" + head + b"\r\n", {0, 200, 431}),
            ("a body of 10 MB", b"POST /v1/boundaries HTTP/1.1\r\n" + head + b"Content-Length: 10000000\r\n\r\n" + b"{" * 10000000, {0, 413, 403}),
            ("a body that claims 2^64", b"POST /v1/boundaries HTTP/1.1\r\n" + head + b"Content-Length: 18446744073709551616\r\n\r\n", {0, 400, 413}),
            ("a GET with a body", b"GET /v1/health HTTP/1.1\r\n" + head + b"Content-Length: 5\r\n\r\nhello", {413, 200}),
            ("deeply nested JSON", b"POST /v1/boundaries HTTP/1.1\r\n" + head + b"Content-Length: 4000\r\n\r\n" + b"[" * 4000, {400}),
            ("a NUL in the path", b"GET /v1/inv%00ocations HTTP/1.1\r\n" + head + b"\r\n", {400, 404}),
            ("a path of dots", b"GET /web/../../../etc/passwd HTTP/1.1\r\n" + head + b"\r\n", {404}),
            ("a path of encoded dots", b"GET /web/%2e%2e%2fetc%2fpasswd HTTP/1.1\r\n" + head + b"\r\n", {404}),
            ("no HTTP at all", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 50 + b"\r\n\r\n", {0, 400}),
            ("no Host", b"GET /v1/health HTTP/1.1\r\nConnection: close\r\n\r\n", {400}),
            ("a method of its own", b"FROB /v1/health HTTP/1.1\r\n" + head + b"\r\n", {405}),
            ("two requests to smuggle a third", b"GET /v1/health HTTP/1.1\r\n" + head + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /v1/policies HTTP/1.1\r\n" + head + b"\r\n", {400}),
    ]:
        answer = send(request)
        check(f"{what}: refused in one of the ways it may be", status(answer) in wanted and
              b"oncpu.policies" not in answer, answer[:300])
    check("and others are served", served())


def noise():
    """Bytes at random, from a seed that is told; whole requests with holes in them."""
    seed = int.from_bytes(os.urandom(4), "big")
    r = random.Random(seed)
    for i in range(150):
        data = bytearray(GOOD if i % 3 else r.randbytes(r.randrange(1, 3000)))
        for _ in range(r.randrange(6)):
            data[r.randrange(len(data))] = r.randrange(256)
        with dial("tcp" if i % 2 else "unix") as s, contextlib.suppress(OSError):
            s.sendall(data)
    check(f"150 requests of noise (seed {seed}), and the agent serves", served())


def pipelined():
    answer = send((GOOD.replace(b"Connection: close\r\n", b"") * 49 + GOOD), "tcp")
    check("50 requests at once over one connection: 50 answers", answer.count(b"HTTP/1.1 200 OK") == 50, answer[:200])


def slow_loris():
    """As many connections as there may be, none of which ends its request; and one that does."""
    def held(over, most):
        sockets = []
        with contextlib.suppress(OSError):
            for _ in range(most):
                s = dial(over)
                s.sendall(b"GET /v1/health HTTP/1.1\r\nHost: loc")
                sockets.append(s)
        return sockets
    before = agent.rss_kib()
    loris = held("tcp", 200)
    check("200 that never end a request keep nobody from the unix socket", served())
    check("nor from TCP", status(send(GOOD, "tcp")) == 200)
    grown = agent.rss_kib() - before
    check("and cost what is bounded (200 × 32 KiB)", grown < 200 * 32 + 4096 or SANITIZED, f"{grown} KiB")
    more = held("tcp", 100)
    check("beyond the limit only TCP is full", served())
    for s in loris + more:
        s.close()
    check("and free again when they are gone", until(lambda: status(send(GOOD, "tcp")) == 200, "room"))


def full():
    """Long answers that nobody reads: more are turned away with 503, and let in again later."""
    agent.run("many", 20000)
    until(lambda: [f["count"] for f in agent.get("/v1/functions").lines() if f["function"] == "many"] == [20000],
          "all is stored")
    readers = []
    for _ in range(16):
        s = dial()
        s.sendall(b"GET /v1/invocations?function=many HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert s.recv(12) == b"HTTP/1.1 200"
        readers.append(s)
    answer = agent.get("/v1/invocations?last=1")
    check("503 while 16 long answers are open", answer.status == 503 and answer.headers.get("Retry-After") == "1" and
          answer.type == "application/problem+json", answer)
    check("what is short is answered all the same", served())
    before = agent.get("/v1/health").json()["correlator"]["invocations"]
    agent.run("meanwhile", 50)
    until(lambda: agent.get("/v1/health").json()["correlator"]["invocations"] >= before + 50, "they are accounted")
    check("and the accounting goes on", True)
    for s in readers:
        s.close()
    until(lambda: agent.get("/v1/invocations?last=1").status == 200, "room again")
    check("200 again when they are gone", True)


def million_in_constant_memory():
    """Whatever the list's length, it is streamed: the client sees all of it, the agent holds none."""
    whole = agent.get("/v1/invocations?function=many&fields=id").body
    before = agent.rss_kib()
    for _ in range(5):
        assert agent.get("/v1/invocations?function=many").body.count(b"\n") == 20000
    grown = agent.rss_kib() - before
    check("100,000 records streamed (130 MB) leave the agent's memory as it was", (grown < 4096 or SANITIZED) and
          whole.count(b"\n") == 20000, f"{grown} KiB")


main("hostile clients", odd_requests, noise, pipelined, slow_loris, full, million_in_constant_memory)
