#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The query API of a real agent: lists, pages, single records, functions, who may ask."""
import gzip
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from agent import ONCPU, Agent, check, free_port, main, tcp

PROBLEM = "application/problem+json"
TOKEN = "0123456789abcdef0123456789abcdef"
port = free_port()
agent = None


def begin():
    global agent
    agent = Agent("--listen", f"127.0.0.1:{port}")
    agent.run("thumb", 60)
    agent.run("fetch", 25)


def lists():
    whole = agent.get("/v1/invocations")
    check("all invocations are a line each", whole.status == 200 and whole.type == "application/x-ndjson"
          and len(whole.lines()) == 85, whole)
    last = agent.get("/v1/invocations?function=thumb&last=5").lines()
    check("the last 5 of one function, oldest first", [r["id"] for r in last] ==
          [f"thumb-{i}" for i in range(56, 61)], last)
    few = agent.get("/v1/invocations?function=fetch&fields=record_id,wall_ns,cpu_ns").lines()
    check("fields= leaves those members", len(few) == 25 and
          all(list(r) == ["record_id", "wall_ns", "cpu_ns"] for r in few), few[:2])
    full = {r["record_id"]: r for r in whole.lines()}
    check("and their values are the record's", all(full[r["record_id"]]["cpu_ns"] == r["cpu_ns"] for r in few))
    check("status= takes those alone", len(agent.get("/v1/invocations?status=ok").lines()) == 85 and
          agent.get("/v1/invocations?status=error&status=timeout").lines() == [])


def pages():
    seen, cursor, sizes = [], "", []
    while cursor is not None:
        answer = agent.get(f"/v1/invocations?function=thumb&limit=7{cursor and '&cursor=' + cursor}")
        seen += [r["id"] for r in answer.lines()]
        sizes.append(len(answer.lines()))
        cursor = answer.headers.get("Oncpu-Next-Cursor")
    check("pages, newest first, are the whole list", seen == [f"thumb-{i}" for i in range(60, 0, -1)], seen)
    check("each of the size asked for, but the last", sizes == [7] * 8 + [4], sizes)


def one_record():
    record = agent.get("/v1/invocations?function=thumb&last=1").lines()[0]
    one = agent.get(f"/v1/invocations/{record['record_id']}")
    policies = one.json().pop("policies") if one.status == 200 else None
    check("one record by its id, with each policy's bill", one.type == "application/json" and
          {k: v for k, v in one.json().items() if k != "policies"} == record and
          {p["policy"] for p in policies} >= {"aws-lambda", "on-cpu"} and
          next(p for p in policies if p["policy"] == "on-cpu")["billed_ns"] >= record["cpu_ns"], one)
    unknown = agent.get(f"/v1/invocations/{record['record_id']}0")
    check("404 for one that is not there", unknown.status == 404 and unknown.type == PROBLEM and
          unknown.json()["status"] == 404, unknown)
    check("400 for what is no id", agent.get("/v1/invocations/x").status == 400)


def functions():
    lines = {f["function"]: f for f in agent.get("/v1/functions").lines()}
    records = agent.get("/v1/invocations?function=thumb").lines()
    thumb = lines.get("thumb", {})
    check("a line for each function", set(lines) == {"thumb", "fetch"}, lines)
    check("its sums are its records'", thumb.get("count") == 60 and
          all(thumb[k] == sum(r[k] for r in records) for k in ("wall_ns", "cpu_ns")), thumb)
    check("its newest end", thumb.get("last_end") == max(r["end"] for r in records), thumb)
    check("and nothing of it runs", thumb["instances_open"] == thumb["in_invocation"] == 0, thumb)
    check("nobody since now", agent.get("/v1/functions?since=0s").lines() == [])


def compressed():
    plain = agent.get("/v1/invocations").body
    packed = agent.get("/v1/invocations", Accept_Encoding="gzip")
    check("gzip when asked for", packed.headers.get("Content-Encoding") == "gzip" and
          gzip.decompress(packed.body) == plain and len(packed.body) < len(plain) / 5, packed)
    check("not when it is not", agent.get("/v1/invocations").headers.get("Content-Encoding") is None)


def refusals():
    for path, status, part in [
            ("/v1/invocations?functions=a", 400, "there is no parameter functions"),
            ("/v1/invocations?last=0", 400, "last"),
            ("/v1/invocations?limit=5000", 400, "limit"),
            ("/v1/invocations?last=5&limit=5", 400, "do not go together"),
            ("/v1/invocations?cursor=1", 400, "cursor"),
            ("/v1/invocations?fields=wall", 400, "\"wall\""),
            ("/v1/invocations?status=fine", 400, "status"),
            ("/v1/functions?last=1", 400, "last"),
            ("/v1/instances?x=1", 400, "no parameters"),
            ("/v1/nothing", 404, "/v1/nothing")]:
        answer = agent.get(path)
        check(f"{status} for {path}", answer.status == status and answer.type == PROBLEM and
              part in answer.json()["detail"], answer)
    check("405 names what it takes", agent.ask("/v1/functions", "DELETE").headers.get("Allow") == "GET")


def over_tcp():
    answer = tcp(port, "/v1/functions")
    check("TCP on loopback answers this host", answer.status == 200 and len(answer.lines()) == 2, answer)
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "192.0.2.1"):
        answer = tcp(port, "/v1/functions", headers={"Host": host})
        check(f"not when it is asked for {host}", answer.status == 403 and answer.type == PROBLEM, answer)
    for host in ("localhost", f"LOCALHOST:{port}", "[::1]:1"):
        check(f"and when it is asked for {host}",
              tcp(port, "/v1/functions", headers={"Host": host}).status == 200)


def start_refused(*options, config=None):
    out = subprocess.run([ONCPU, "agent", "--state-dir", f"{agent.work}/other", "--socket", f"{agent.work}/o.sock",
                          *options], capture_output=True, text=True, timeout=20)
    return out.returncode, out.stderr.strip()


def with_a_token():
    token = f"{agent.work}/token"
    with open(token, "w") as f:
        f.write(TOKEN + "\n")
    os.chmod(token, 0o644)
    code, said = start_refused("--listen", "0.0.0.0:0")
    check("no other hosts without a token", code and "token_file" in said and "\n" not in said, said)
    code, said = start_refused("--listen", "0.0.0.0:0", "--token-file", token)
    check("nor with one that everybody may read", code and "chmod 600" in said and "\n" not in said, said)
    code, said = start_refused("--listen", "somewhere:80")
    check("an address is numbers", code and "ADDRESS:PORT" in said and "\n" not in said, said)
    code, said = start_refused("--listen", f"127.0.0.1:{port}")
    check("a port that is taken", code and "cannot be listened on" in said and "\n" not in said, said)
    os.chmod(token, 0o600)
    open_port = free_port()
    agent.stop()
    with Agent(config=f"[agent]\nlisten = 0.0.0.0:{open_port}\ntoken_file = {token}\n") as guarded:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Bearer {TOKEN}x"},
                        {"Authorization": f"Basic {TOKEN}"}):
            answer = tcp(open_port, "/v1/functions", headers=headers)
            check(f"401 with {headers}", answer.status == 401 and answer.type == PROBLEM and
                  answer.headers.get("WWW-Authenticate") == "Bearer", answer)
        good = {"Authorization": f"Bearer {TOKEN}", "Host": "functions.example"}
        check("200 with the token, by whatever name", tcp(open_port, "/v1/functions", headers=good).status == 200)
        check("none on the unix socket", guarded.get("/v1/functions").status == 200)
        check("and the token is in no log", TOKEN not in guarded.said())


main("the API", begin, lists, pages, one_record, functions, compressed, refusals, over_tcp, with_a_token)
