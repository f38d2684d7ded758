#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""`oncpu run`: what an instance is given and where it ends: its environment and user, memory, CPU and process
limits with and without controllers, CPU time limits, freezing as configured, concurrency, back-off, idling."""
import json
import os
import shutil
import subprocess
import tempfile
import time

from slicer import BUILD, LAMBDA, MS, ONCPU, Slicer, alive, bare, check, main, mounts, unified, until


def hello(**properties):
    """The C function."""
    return {"command": BUILD + "/functions/hello", **properties}


def given():
    s = Slicer({"plain": bare("an argument", handler="some.thing", memory=256, env=["COLOUR=blue", "TZ=UTC"]),
                "rooted": bare(user="root"), "by_default": {**bare(), "user": ""}})
    facts = s.invoke("plain", {"do": "facts"}).value
    e = facts["environment"]
    wanted = {"AWS_LAMBDA_FUNCTION_NAME": "plain", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
              "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256", "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/plain",
              "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand", "_HANDLER": "some.thing", "LAMBDA_TASK_ROOT": LAMBDA,
              "LAMBDA_RUNTIME_DIR": "/var/runtime", "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1",
              "COLOUR": "blue", "TZ": "UTC", "HOME": "/tmp"}
    check("an instance has Lambda's environment, and what the configuration adds or changes",
          {k: e.get(k) for k in wanted} == wanted and e["AWS_LAMBDA_RUNTIME_API"].startswith("127.0.0.1:")
          and "$LATEST" in e["AWS_LAMBDA_LOG_STREAM_NAME"] and "SUDO_USER" not in e and "ASAN_OPTIONS" not in e, e)
    check("an instance has its arguments, its directory, its user, and no other groups",
          facts["arguments"][1:] == ["an", "argument"] and facts["directory"] == LAMBDA
          and facts["uid"] > 0 and facts["gid"] > 0 and facts["groups"] == [], facts)
    check("root only where it is asked for by name", s.invoke("rooted", {"do": "facts"}).value["uid"] == 0)
    front = next(p for p in children(s.process.pid) if "run-" not in cgroup(p) and status(p)["Name"] == "oncpu"
                 and listens(p, s.port))
    said = status(front)
    check("the half that speaks HTTP has no rights, and cannot get any",
          said["Uid"].split()[0] != "0" and int(said["CapEff"], 16) == int(said["CapPrm"], 16) == 0
          and said["NoNewPrivs"] == "1", said)
    s.stop("what is given")


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return f.read().split()


def cgroup(pid):
    with open(f"/proc/{pid}/cgroup") as f:
        return f.read()


def status(pid):
    with open(f"/proc/{pid}/status") as f:
        return dict((x.split(":", 1)[0], x.split(":", 1)[1].strip()) for x in f)


def listens(pid, port):
    mine = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    with open("/proc/net/tcp") as f:
        return any(x.split()[1].endswith(f":{port:04X}") and f"socket:[{x.split()[9]}]" in mine
                   for x in f.readlines()[1:])


def has(controller):
    """In a hierarchy of version 1, or to be had from version 2's root."""
    with open("/proc/self/mounts") as f:
        found = [x.split()[1:4] for x in f]
    return any(kind == "cgroup" and controller in options.split(",") for _, kind, options in found) or \
        controller in open(unified() + "/cgroup.controllers").read().split()


def controllers():
    s = Slicer({"small": bare(memory=128, timeout="20s"), "slow": bare(cpus="0.2", timeout="20s")})
    a = s.invoke("small", {"do": "allocate", "mb": 60})
    used = int(s.report("small", a.id())["Max Memory Used"].split()[0])
    r = s.record(a, "small")
    check("Max Memory Used is true: 60 MiB and a Python", 60 < used < 120, used)
    check("  and the record has the same", used == -(-r["max_memory_bytes"] // (1 << 20)), r)
    for controller, what in (("memory", memory), ("cpu", quota)):
        if has(controller):
            what(s)
        else:
            check(f"no {controller} controller: that is said", f"no {controller} controller" in s.words(), s.words())
    s.stop("controllers")


def memory(s):
    a = s.invoke("small", {"do": "allocate", "mb": 300})
    check("more memory than --memory: the instance is killed, its caller is told",
          a.error == "Unhandled" and a.value["errorType"] == "Runtime.ExitError"
          and a.value["errorMessage"].endswith("signal: Killed"), a)
    check("  and the next trigger gets a fresh one", s.invoke("small").value["count"] == 1)


def quota(s):
    a = s.invoke("slow", {"do": "burn", "ms": 100})
    r = s.record(a, "slow")
    check("--cpus 0.2: 100 ms of CPU take at least four periods of 100 ms",
          r["wall_ns"] >= 400 * MS and r["cpu_ns"] >= 100 * MS and r["cpu_quota"]
          == {"quota_us": 20000, "period_us": 100000}, r)


def without_controllers():
    """As on a host that has none: a mount namespace of the slicer's own, without the hierarchies of version 1."""
    v1 = [m for m in mounts() if not os.path.exists(m + "/cgroup.controllers")]
    unmount = "".join(f"umount {m} && " for m in v1)
    s = Slicer({"f": bare(memory=128, cpus="0.5")}, prefix=["unshare", "--mount", "sh", "-c", unmount + 'exec "$@"', "sh"])
    missing = [c for c in ("memory", "cpu", "pids")
               if c not in open(unified() + "/cgroup.controllers").read().split()]
    check("without controllers: one line names each, and it goes on",
          all(s.words().count(f"no {c} controller here: such limits are not enforced") == 1 for c in missing), s.words())
    a = s.invoke("f", {"do": "allocate", "mb": 60})
    used = int(s.report("f", a.id())["Max Memory Used"].split()[0])
    check("without controllers: Max Memory Used is the largest that was seen resident",
          "memory" not in missing or 60 > used > 5 or 60 <= used < 120, used)
    s.stop("without controllers")


def cpu_time():
    s = Slicer({"limited": bare(cpu_limit="50ms", timeout="10s", concurrency=2),
                "soft": bare(cpu_soft_limit="20ms"),
                "retired": bare(cpu_soft_limit="20ms", retire_after_soft_limit="yes"),
                "busy": bare(concurrency=2, timeout="10s")}, "--telemetry")
    for what, event in (("one thread", {"do": "burn", "ms": 3000}), ("two processes", {"do": "burn_together", "ms": 3000})):
        s.invoke("limited")
        a = s.invoke("limited", event)
        r = s.record(a, "limited")
        check(f"--cpu-limit 50ms, {what}: enforced within 5 ms",
              a.value["errorType"] == "Oncpu.CpuLimit" and r["status"] == "timeout"
              and 50 * MS <= r["cpu_ns"] < 55 * MS, (a, r))
    others = [s.begin("busy", {"do": "burn", "ms": 700}) for _ in range(2)]
    until(lambda: sum(x.startswith("START ") for x in s.log("busy")) == 2, "both of them")
    a = s.invoke("limited", {"do": "burn_together", "ms": 3000})
    r = s.record(a, "limited")
    check("--cpu-limit 50ms, on a busy host: enforced within 5 ms", 50 * MS <= r["cpu_ns"] < 55 * MS, r)
    check("  and the others are not disturbed", [c.result().value for c in others] == [{"burned": 700}] * 2)
    log = s.log("limited")
    check("a time-out: the log has the line that Lambda writes",
          any(x.endswith(f" {a.id()} Task used more than its 50.00 ms of CPU time") for x in log), log)
    for name, fresh in (("soft", False), ("retired", True)):
        before = s.invoke(name).value
        a = s.invoke(name, {"do": "burn", "ms": 40})
        check(f"a soft limit ({name}): the answer comes all the same", a.value == {"burned": 40}, a)
        events = [json.loads(x) for x in s.words().splitlines() if '"oncpu.cpuSoftLimit"' in x]
        check(f"a soft limit ({name}): is an event, and a line in the log",
              [e["record"]["requestId"] for e in events][-1:] == [a.id()] and events[-1]["record"]["onCpuMs"] >= 20
              and any("has used more than 20.00 ms of CPU time" in x for x in s.log(name)), events)
        s.report(name, a.id())
        until(lambda n=name: not fresh or not alive(before["pid"]), "the end of one that is retired")
        after = s.invoke(name).value
        check(f"a soft limit ({name}): the instance " + ("is retired after the answer" if fresh else "goes on"),
              (after["pid"] != before["pid"]) == fresh, (before, after))
    s.stop("CPU time")


def freezing():
    s = Slicer({"at_once": bare(), "later": bare(freeze_after="1h"), "never": bare(no_freeze="yes"),
                "soon": bare(freeze_after="20ms")})
    for n, (name, frozen) in enumerate((("at_once", True), ("later", False), ("never", False), ("soon", True))):
        a = s.invoke(name)
        s.record(a, name)
        if frozen:
            until(lambda k=n: any(os.path.isdir(s.cage(k, i)) and s.frozen(k, i) for i in range(8)), "a freeze")
        b = s.invoke(name)
        r = s.record(b, name)
        check(f"freezing ({name}): {'once' if frozen else 'not at all'} between two invocations",
              r["freeze"]["count"] == frozen and b.value["count"] == 2, r)
    s.stop("freezing")


def concurrency():
    s = Slicer({"one": bare(timeout="20s"), "idle": bare(idle="100ms"), "c": hello()})
    first = s.begin("one", {"do": "until", "ms": 1000})
    until(lambda: any(x.startswith("START ") for x in s.log("one")), "a START")
    until(lambda: s.frozen(0, 0), "its sleep")
    a = s.invoke("one", {"n": 1})
    check("one that sleeps counts against --concurrency: a second caller is told to come again",
          (a.status, a.error) == (429, "TooManyRequestsException"), a)
    first.result()
    a = [s.invoke("one", {"do": "suspend", "times": 1, "name": n}) for n in "AB"]
    check("one that is suspended counts, too: the next trigger resumes it, and there is no other",
          a[1].value["seen"] == ["A", "B"]
          and len([c for c in s.cgroups()[0] if "/f0-i" in c and c.startswith(os.path.dirname(s.cage(0, 0)))]) == 1,
          (a, s.cgroups()))
    pid = s.invoke("idle").value["pid"]
    until(lambda: not alive(pid), "the end of an idle instance")
    check("an idle instance is retired, and the next trigger gets a fresh one",
          s.invoke("idle").value["pid"] != pid)
    a = [s.invoke("c", e) for e in ({"suspend": True}, {"resumed": "by this"}, {})]
    check("oncpu_suspend() from C: the caller has the partial answer, the next trigger's event comes back",
          a[0].value == {"suspended": True} and a[1].value == {"resumed": "by this"}
          and a[2].value == {"hello": True}, a)
    records = [s.record(x, "c") for x in a]
    check("  and the records say so", [(r["status"], r["continues"]) for r in records]
          == [("suspended", None), ("ok", a[0].id()), ("ok", None)], records)
    s.stop("concurrency")


def backoff():
    s = Slicer({"broken": {"command": "/bin/sh -c 'exit 7'", "directory": LAMBDA}})
    began = time.monotonic()
    answers = [s.invoke("broken") for _ in range(4)]
    took = time.monotonic() - began
    check("an init that fails: each caller is told",
          all(a.error == "Unhandled" and a.value["errorType"] == "Runtime.ExitError"
              and a.value["errorMessage"].endswith("exit status 7") for a in answers), answers)
    check("an init that fails: tried again with a back-off of 100, 200, 400 ms", took >= 0.7, took)
    s.process.terminate()
    s.wait()
    check("an init that fails: nothing is left", s.cgroups() == ([], []), s.cgroups())


def many():
    """More instances at once than the sockets between the halves have room for messages of."""
    s = Slicer({"many": hello(concurrency=200, init_timeout="60s", timeout="60s")})
    answers = s.at_once([("many", {"sleep": 1500})] * 200)
    check("200 instances at once: all answer", [a.value for a in answers] == [{"hello": True}] * 200,
          {a.status for a in answers})
    _, instances = s.stop("200 instances")
    check("200 instances at once: there were many", len(instances) > 50, len(instances))


def with_agent():
    """Where an agent runs, that one is used, and outlives the slicer."""
    directory = tempfile.mkdtemp(prefix="oncpu-slicer-")
    os.chmod(directory, 0o755)
    ready, told = os.pipe()
    with open(directory + "/agent", "w") as said:
        agent = subprocess.Popen([ONCPU, "agent", "--unpin", "--state-dir", directory, "--socket",
                                  directory + "/socket", "--ready-fd", str(told)], pass_fds=[told], stdout=said,
                                 stderr=said)
    os.close(told)
    os.read(ready, 1)
    os.close(ready)
    s = Slicer({"f": bare()}, directory=directory)
    check("where an agent runs, `oncpu run` brings none", [status(p)["Name"] for p in children(s.process.pid)
          if "run-" not in cgroup(p)] == ["oncpu"], [status(p) for p in children(s.process.pid)])
    a = s.invoke("f")
    check("where an agent runs, the records are its own", s.record(a, "f")["status"] == "ok")
    s.process.terminate()
    s.wait()
    check("the agent outlives the slicer, and still answers",
          agent.poll() is None and a.id() in {r["id"] for r in s.records()})
    agent.terminate()
    agent.wait()
    shutil.rmtree(directory)


def extensions():
    """From /opt/extensions, as on Lambda: of a mount namespace's own."""
    opt = tempfile.mkdtemp(prefix="oncpu-opt-")
    os.chmod(opt, 0o755)
    os.mkdir(opt + "/extensions")
    os.chmod(opt + "/extensions", 0o755)
    with open(LAMBDA + "/telemetry.py") as f, open(opt + "/extensions/one.py", "w") as g:
        g.write(f.read())
    os.chmod(opt + "/extensions/one.py", 0o755)
    with open(opt + "/extensions/README", "w") as f:
        f.write("not executable: no extension\n")
    told = opt + "/told"
    with open(told, "w"):
        os.chmod(told, 0o666)
    s = Slicer({"f": bare(env="TOLD=" + told), "none": bare(extensions="none")},
               prefix=["unshare", "--mount", "sh", "-c", f'mkdir -p /opt && mount --bind {opt} /opt && exec "$@"', "sh"])
    env_told = s.invoke("f")
    check("/opt/extensions: what is executable there is started, and the rest is not",
          env_told.value and "subscribed with 200" in s.log("f"), (env_told, s.log("f")))
    check("extensions = none: without them", s.invoke("none").value and "subscribed with 200" not in s.log("none"))
    s.stop("/opt/extensions")
    for path, _, names in os.walk(opt, topdown=False):
        for n in names:
            os.unlink(os.path.join(path, n))
        os.rmdir(path)


main("limits of oncpu run", given, controllers, without_controllers, cpu_time, freezing, concurrency, backoff, many,
     with_agent, extensions)
