#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The API is what its OpenAPI description says: every route, every real answer, and no member that it does not name."""
import json
import os
import re
import sqlite3
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from agent import ONCPU, Agent, check, main, skip, until

try:
    import jsonschema
except ImportError:
    jsonschema = None
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
agent = document = strict = None
seen = set()  # (path, method, status)


def closed(schema):
    """The same, with every object's members limited to those that it names."""
    if isinstance(schema, dict):
        schema = {k: closed(v) for k, v in schema.items()}
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
    elif isinstance(schema, list):
        schema = [closed(v) for v in schema]
    return schema


def validator(schema):
    return jsonschema.Draft202012Validator({**schema, "components": strict["components"]})


def judge(answer, path, method="get"):
    """What is wrong with an answer: a list."""
    seen.add((path, method, str(answer.status)))
    responses = document["paths"][path][method]["responses"]
    if str(answer.status) not in responses:
        return [f"{answer.status} is not described"]
    content = responses[str(answer.status)]["content"]
    kind = answer.type.split(";")[0]
    if kind not in content:
        return [f"{kind} is not described"]
    schema = closed(content[kind]["schema"])
    if kind == "application/x-ndjson":
        values = answer.lines()
    elif kind in ("application/json", "application/problem+json"):
        values = [answer.json()]
    else:
        values = [answer.body.decode()]
    v = validator(schema)
    return [f"{list(e.absolute_path)}: {e.message[:300]}" for value in values for e in v.iter_errors(value)]


def expect(what, answer, path, method="get", status=200, least=0):
    wrong = judge(answer, path, method)
    check(f"{what}: {status}, as described", answer.status == status and not wrong and
          (not least or len(answer.lines()) >= least), wrong or answer)


def described():
    global agent, document, strict
    if not jsonschema:
        skip("the answers", "no python3-jsonschema (make test-deps)")
        return
    agent = Agent(config="[agent]\n\n[function \"open\"]\ncgroup = /oncpu-e2e-openapi\n")
    answer = agent.get("/v1/openapi.json")
    document = answer.json()
    strict = {"components": {"schemas": closed(document["components"]["schemas"])}}
    with open(f"{ROOT}/agent/api/openapi.json") as f:
        check("the agent serves the description", answer.status == 200 and document == json.load(f))
    check("OpenAPI 3.1, every reference leads somewhere", document["openapi"].startswith("3.1") and
          all(r.rsplit("/", 1)[1] in document["components"]["schemas"] for r in
              re.findall(r'"\$ref": "([^"]+)"', json.dumps(document))))
    for name, schema in document["components"]["schemas"].items():
        try:
            jsonschema.Draft202012Validator.check_schema(schema)
        except jsonschema.SchemaError as e:
            check(f"{name} is a schema", False, e)
    source = open(f"{ROOT}/agent/api/routes.c").read()
    routes = set(re.findall(r'\{ "(GET|POST)", "(/(?:v1|metrics)[^"]*)"', source))
    wanted = {(m.upper(), re.sub(r"\{.*\}", "*", p)) for p, o in document["paths"].items() for m in o}
    check("it has every route, and no other", routes == wanted, routes ^ wanted)


def answers():
    if not document:
        return
    root = next(line.split()[1] for line in open("/proc/self/mounts") if line.split()[2] == "cgroup2")
    cgroup = f"{root}/oncpu-e2e-openapi"
    os.makedirs(cgroup, exist_ok=True)
    runs = subprocess.Popen(["/bin/sh", "-c", f"echo $$ >{cgroup}/cgroup.procs; exec sleep 1000"])
    try:
        agent.run("thumb", 30)
        agent.run('odd"\\\t\x7fname', 2)
        agent.run("long-" + "x" * 70, 1)
        subprocess.run([ONCPU, "measure", "--function", "measured", "--state-dir", agent.state, "--socket", agent.socket,
                        "--", "/bin/sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"], check=True,
                       stdout=subprocess.DEVNULL)
        until(lambda: agent.get("/v1/instances").lines(), "an open instance")
        every_route()
    finally:
        runs.kill()
        runs.wait()
        until(lambda: not open(f"{cgroup}/cgroup.procs").read(), "the cgroup is empty")
        os.rmdir(cgroup)


def every_route():
    expect("invocations", agent.get("/v1/invocations"), "/v1/invocations", least=34)
    page = agent.get("/v1/invocations?limit=5")
    expect("a page of them", page, "/v1/invocations", least=5)
    check("with the header that is described", "Oncpu-Next-Cursor" in page.headers and "Oncpu-Next-Cursor" in
          document["paths"]["/v1/invocations"]["get"]["responses"]["200"]["headers"])
    id = page.lines()[0]["record_id"]
    for name, record in ((r["function"], r["record_id"]) for r in agent.get("/v1/invocations").lines()[-4:]):
        expect(f"one of {name[:12]!r}", agent.get(f"/v1/invocations/{record}"), "/v1/invocations/{record_id}")
    expect("one that is not there", agent.get(f"/v1/invocations/{id}0"), "/v1/invocations/{record_id}", status=404)
    expect("what is no id", agent.get("/v1/invocations/x"), "/v1/invocations/{record_id}", status=400)
    expect("functions", agent.get("/v1/functions"), "/v1/functions", least=4)
    expect("closed instances", agent.get("/v1/closed-instances"), "/v1/closed-instances", least=4)
    expect("open instances", agent.get("/v1/instances"), "/v1/instances", least=1)
    expect("sums, every policy", agent.get("/v1/compare?policy=all"), "/v1/compare", least=4)
    for path in ("/v1/policies", "/v1/flags", "/v1/health", "/v1/openapi.json", "/metrics"):
        expect(path, agent.get(path), path)
    for path in document["paths"]:
        if "get" in document["paths"][path] and "{" not in path:
            expect(f"{path} with a strange parameter", agent.get(path + "?strange=1"), path, status=400)
    boundaries()
    parameters()
    ok = {(p, m) for p, m, s in seen if s == "200"}
    check("every route was seen to answer", ok == {(p, m) for p, o in document["paths"].items() for m in o} -
          {("/v1/events", "get")}, ok)


def boundaries():
    for body, status in (({"cgroup": "/oncpu-e2e-openapi", "boundary": "start", "id": "a"}, 200),
                         ({"cgroup": "/oncpu-e2e-openapi", "boundary": "end", "id": "a", "status": "ok"}, 200),
                         ({"cgroup": "/oncpu-e2e-nowhere", "boundary": "end"}, 404),
                         ({"boundary": "end"}, 400), ({"pid": 2, "cgroup": "/a", "boundary": "end"}, 400),
                         ({"pid": 1, "boundary": "end"}, 400), ({"pid": 2, "boundary": "exit"}, 400),
                         ({"pid": 2, "boundary": "end", "more": 1}, 400)):
        answer = agent.ask("/v1/boundaries", "POST", json.dumps(body))
        expect(f"boundary {body}", answer, "/v1/boundaries", "post", status)
        described_too = validator(strict["components"]["schemas"]["BoundaryReport"]).is_valid(body)
        check("  and the schema of the request says the same", described_too == (status != 400), body)


def parameters():
    """Each parameter that is described is taken, and those in the agent's own list are all described."""
    values = {"function": "thumb", "id": "thumb-1", "status": "ok", "since": "1h", "until": "0s", "last": "1",
              "limit": "1", "fields": "record_id", "policy": "all", "cursor": "1.0.1.1"}
    for path, operations in document["paths"].items():
        if "{" in path or path == "/v1/events" or "get" not in operations:
            continue
        named = [p["name"] for p in operations["get"].get("parameters", []) if p["in"] == "query"]
        refused = [n for n in named if agent.get(f"{path}?{n}={values[n]}").status != 200]
        known = re.search(r"known: (.*)", agent.get(path + "?strange=1").json()["detail"])
        known = sorted(known[1].split()) if known else []
        check(f"the parameters of {path}", not refused and sorted(named) == known, (refused, named, known))


def records_described(agent, what, least):
    """Every route that gives records; the records and the closed instances."""
    answer, closed_ones = agent.get("/v1/invocations"), agent.get("/v1/closed-instances")
    expect(f"invocations, {what}", answer, "/v1/invocations", least=least)
    expect(f"closed instances, {what}", closed_ones, "/v1/closed-instances", least=1)
    for record in answer.lines()[:3]:
        expect(f"one, {what}", agent.get(f"/v1/invocations/{record['record_id']}"), "/v1/invocations/{record_id}")
    return answer.lines(), closed_ones.lines()


def sealed_and_edited():
    """Records with a seal; and with every member there, and with all unknown that can be: a ledger is edited for it."""
    if not document:
        return
    config = "[agent]\nintegrity = chain\n"
    with Agent(config=config, place=tempfile.mkdtemp(prefix="oncpu-api.", dir="/tmp")) as first:
        first.run("sealed", 3)
        until(lambda: first.get("/v1/closed-instances").lines(), "a closed instance")
        records, instances = records_described(first, "sealed", 3)
        check("  and they are", all("integrity" in r for r in records + instances), records[:1])
        one = first.get("/v1/invocations?fields=integrity").lines()[0]
        check("  that member alone can be asked for", one == {"integrity": records[0]["integrity"]}, one)
        flags = [flag["name"] for flag in first.get("/v1/flags").json()["flags"]]
        first.stop()
        edit(first.state, flags.index("audit_mismatch"))
        second = Agent(config=config, place=first.work)
        full, empty, _ = records_described(second, "edited", 3)[0]
        second.stop()
    members = document["components"]["schemas"]["Invocation"]["properties"]
    optional = [n for n, s in members.items() if "null" in s.get("type", []) or {"type": "null"} in s.get("oneOf", [])]
    always = set(document["components"]["schemas"]["Invocation"]["required"])
    check("every member was seen with a value, but those of no source yet",
          {n for n in members if full.get(n) is None} == {"tenant", "trace_id", "policies"} and full["extensions"] and
          full["segments"], full)
    check("and unknown or missing, where it may be", set(empty) == always | {"integrity"} and
          all(empty[n] is None for n in optional), empty)


def edit(state, mismatch):
    """The first record has all that one can have, the second nothing of it. The seals do not fit any more. mismatch:
    the number of the flag that what was found out later is shown by."""
    unknown = ["memory_mb", "max_memory_bytes", "run_queue_ns", "voluntary", "involuntary", "threads", "quota_us",
               "period_us", "steal_ns", "irq_ns", "cpu_net_ns", "init_wall_ns", "init_cpu_ns"] + [
        f"where_{n}_ns" for n in ("running", "run_queue", "throttled", "blocked_io", "idle", "frozen")]
    extension = struct.pack("<q64sII", 5, b"\x01", 1, 0)
    ledger = sqlite3.connect(max(f"{state}/{f}" for f in os.listdir(state) if f.endswith(".db")))
    first, second = (k for k, in ledger.execute("SELECT record_key FROM invocations ORDER BY 1 LIMIT 2"))
    ledger.execute("INSERT OR IGNORE INTO texts(text) VALUES('v1'),('')")
    for key, value, version in ((first, 1, "v1"), (second, -1, "")):
        ledger.execute(f"UPDATE invocations SET {','.join(f'{n}={value}' for n in unknown)},"
                       "version=(SELECT text_key FROM texts WHERE text=?) WHERE record_key=?", (version, key))
    ledger.execute("UPDATE invocations SET status=77,cold_start=1,marks_lost=1,events_lost=2,flags=?,id=?,continues=?,"
                   "extensions=?,segments=? WHERE record_key=?",
                   (~(1 << mismatch), b"\x01", b"\xff", extension, struct.pack("<qqqq", 1, 2, 3, 4), first))
    sequence = first & ((1 << 40) - 1)
    ledger.execute("INSERT INTO doubts SELECT boot_id,(SELECT text FROM texts WHERE text_key=instance),?,?,0,5,'a test',1 "
                   "FROM invocations JOIN boots ON boot_key=record_key>>40 WHERE record_key=?",
                   (sequence - 1, sequence, first))
    ledger.execute("UPDATE instances SET marks_lost=1,events_lost=2,flags=-1,audits=1")
    ledger.commit()
    ledger.close()


main("the OpenAPI description", described, answers, sealed_and_edited)
