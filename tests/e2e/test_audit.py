#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The two sets of books, through the agent. Silent over a mixed run; and broken on purpose: the switch hook
detached, a process moved in unseen, a thread that dies unseen, events that found no room. Each shows in the
audit, the health, doctor and on records, with its likely cause. And where wall time went adds up, in the
records of them all."""
import http.client, json, os, shutil, socket, subprocess, sys, tempfile, time

TOP = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
BUILD = os.path.join(TOP, os.environ.get("B", "build"))
count = bad = 0


def check(what, fine, *more):
    global count, bad
    count += 1
    print(f"{'ok' if fine else 'not ok'} {count} - {what}")
    if not fine:
        bad = 1
        for m in more:
            print("#", m)
    sys.stdout.flush()
    return fine


if os.geteuid() or not os.path.exists("/sys/kernel/btf/vmlinux"):
    print("ok 1 - all # SKIP needs root and BTF")
    sys.exit(0)

root = next(l.split()[1] for l in open("/proc/self/mounts") if l.split()[2] == "cgroup2")
work = tempfile.mkdtemp(prefix="oncpu-e2e.", dir="/tmp")
os.chmod(work, 0o755)
pins = f"/sys/fs/bpf/oncpu-e2e-audit-{os.getpid()}"
CONFIG = f"""[agent]
state_dir = {work}/state
socket = {work}/s.sock
pin_dir = {pins}
ring_bytes = 64KiB
audit = 50ms
where = on

[function "puppet"]
cgroup = /oncpu-e2e-audit-*
"""
place = ["--state-dir", f"{work}/state", "--socket", f"{work}/s.sock"]
agent, puppets, cgroups = None, [], []


def agent_up():
    global agent
    r, w = os.pipe()
    log = open(f"{work}/agent.log", "a")
    agent = subprocess.Popen([f"{BUILD}/oncpu", "agent", "--config", f"{work}/oncpu.conf", "--ready-fd", str(w)],
                             pass_fds=[w], stderr=log, stdout=log, start_new_session=True)
    os.close(w)
    ready = os.read(r, 1)
    os.close(r)
    if not ready:
        raise RuntimeError("the agent does not start: " + open(f"{work}/agent.log").read()[-600:])


def agent_down():
    agent.terminate()
    agent.wait()


def oncpu(*arguments):
    return subprocess.run([f"{BUILD}/oncpu", *arguments, *place], capture_output=True, text=True)


def lines(*arguments):
    return [json.loads(l) for l in oncpu(*arguments).stdout.splitlines()]


class Unix(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(f"{work}/s.sock")


def get(path):
    c = Unix("localhost", timeout=20)
    c.request("GET", path)
    text = c.getresponse().read().decode()
    c.close()
    return text


def health():
    return json.loads(get("/v1/health"))


def instances():
    return [json.loads(l) for l in get("/v1/instances").splitlines() if l]


class Puppet:
    def __init__(self, name):
        self.cgroup = f"{root}/oncpu-e2e-audit-{name}"
        os.mkdir(self.cgroup)
        cgroups.append(self.cgroup)
        self.id = os.stat(self.cgroup).st_ino
        self.p = subprocess.Popen([f"{BUILD}/functions/puppet"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  text=True, bufsize=1, preexec_fn=lambda: self.enter("0"))
        puppets.append(self)

    def enter(self, pid):
        with open(f"{self.cgroup}/cgroup.procs", "w") as f:
            f.write(pid)

    def freeze(self, on):
        with open(f"{self.cgroup}/cgroup.freeze", "w") as f:
            f.write("1" if on else "0")
        while on and "frozen 1" not in open(f"{self.cgroup}/cgroup.events").read():
            pass

    def tell(self, *commands):
        for c in commands:
            self.p.stdin.write(c + "\n")
        for c in commands:
            if self.p.stdout.readline() != "ok\n":
                raise RuntimeError(f"the puppet failed at {c}")

    def end(self):
        self.p.stdin.close()
        self.p.wait()

    def audit(self):
        """Of the open instance; the law's own figure beside it."""
        for i in instances():
            if i["cgroup_id"] == self.id:
                return i["audit"]
        return None

    def until(self, fine, *meanwhile):
        """Waits until the audit says so, doing something in between."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            if meanwhile:
                self.tell(*meanwhile)
            a = self.audit()
            if a and fine(a):
                return a
        return None

    def audited_again(self):
        before = (self.audit() or {"count": 0})["count"]
        return self.until(lambda a: a["count"] >= before + 2)


def flagged(function_id):
    return [r for r in lines("invocations", "--json", "--id", function_id) if "audit_mismatch" in r["flags"]]


def run():
    with open(f"{work}/oncpu.conf", "w") as f:
        f.write(CONFIG)
    agent_up()

    # ---- a mixed run: forks, threads, sleeps, freezes, instances that come and go; all is silent
    clean = [Puppet(f"clean-{i}") for i in range(3)]
    for round in range(4):
        for c in clean:
            c.p.stdin.write("churn 100\n")
        open(f"{clean[0].cgroup}/cgroup.freeze", "w").write("1")
        open(f"{clean[0].cgroup}/cgroup.freeze", "w").write("0")
        for c in clean:
            c.p.stdout.readline()
    seen = [c.audited_again() for c in clean]
    check("each instance was compared", all(s and s["count"] > 0 for s in seen), seen)
    check("over a mixed run nothing is said", all(s and s["mismatches"] == 0 for s in seen), seen)
    check("their difference is what cpu.stat cuts off", all(s and abs(s["difference_ns"]) <= 5000 for s in seen), seen)
    clean[0].end()
    over = lines("instances", "--json")
    check("a closing record has the audit, the last one after its end",
          len(over) == 1 and over[0]["audit"]["count"] > seen[0]["count"] and over[0]["audit"]["mismatches"] == 0 and
          abs(over[0]["audit"]["difference_ns"]) <= 5000, over)
    h = health()["audit"]
    check("the agent's health has it",
          h["readings"] > 10 and h["at_rest"] > 0 and h["mismatches"] == 0 and h["last_mismatch"] is None and
          abs(h["difference_ns"]) <= 5000 * len(clean), h)
    doctor = oncpu("doctor").stdout
    check("doctor says that the books agree", " 0 mismatches" in doctor and "ok    accounts = cpu.stat" in doctor,
          *[l for l in doctor.splitlines() if "cpu.stat" in l])
    table = oncpu("invocations", "--audit")
    check("invocations --audit: a table, and exit code 0",
          table.returncode == 0 and "3 of 3 instances compared with cpu.stat: 0 mismatches" in table.stdout,
          table.stdout, table.stderr)
    records = lines("invocations", "--json", "--last", "0")
    wrong = [r for r in records if r["where"] is None or sum(r["where"].values()) != r["wall_ns"]]
    check("where = on: the parts of 1,200 records add up to their wall time",
          len(records) == 1200 and not wrong, len(records), *wrong[:2])
    check("no record is flagged", not [r for r in records if "audit_mismatch" in r["flags"]])

    # ---- frozen by somebody else in mid-invocation
    p = clean[1]
    p.tell("start frozen")
    p.freeze(True)
    begin = time.monotonic_ns()
    time.sleep(0.05)
    frozen = time.monotonic_ns() - begin
    p.freeze(False)
    p.tell("burn 3", "sleep 20", "done")
    where = (lines("invocations", "--json", "--id", "frozen") or [{"where": None}])[0]["where"]
    check("a freeze, a burn, a sleep: each in its place",
          where and where["frozen_ns"] >= frozen and where["running_ns"] >= 2900000 and where["idle_ns"] >= 19900000,
          where, frozen)

    # ---- the switch hook is detached for a while
    p = Puppet("switch")
    p.tell("start warm", "burn 5", "done")
    p.audited_again()
    os.unlink(f"{pins}/link_switch")
    p.tell("start unseen")
    a = p.until(lambda a: a["mismatches"] > 0, "burn 20", "thread 5", "sleep 1")
    check("the switch hook detached: the audit notices that CPU is missing", a and a["difference_ns"] < 0, a)
    p.tell("done")
    check("the record that was open is flagged", len(flagged("unseen")) == 1, lines("invocations", "--json", "--id", "unseen"))
    check("the one before is not", len(flagged("warm")) == 0)
    h = health()["audit"]
    check("the likely cause is told: the hook", "not attached any more: switch" in (h["last_mismatch"] or ""), h)
    log = open(f"{work}/agent.log").read()
    check("and logged", "parted by" in log and "not attached any more: switch" in log, log[-500:])
    check("doctor warns", "WARN  accounts = cpu.stat" in oncpu("doctor").stdout)
    agent_down()
    agent_up()  # attaches again; what was missed comes in at the next switch
    a = p.until(lambda a: abs(a["difference_ns"]) <= 5000, "burn 1", "sleep 1")
    check("attached again, what was missed comes in: the books agree", bool(a), p.audit())
    check("the audit keeps the worst over the restart", a and a["mismatches"] >= 2 and a["worst_ns"] < -1000000, a)
    p.end()

    # ---- a process moves in unseen
    p = Puppet("moved")
    p.tell("start warm-2", "burn 5", "done")
    p.audited_again()
    os.unlink(f"{pins}/link_cgroup_attach")
    stranger = subprocess.Popen(["/bin/sh", "-c", "while :; do :; done"])
    p.tell("start stranger")
    p.enter(str(stranger.pid))
    a = p.until(lambda a: a["mismatches"] > 0, "burn 5")
    stranger.kill()
    stranger.wait()
    check("a process moved in unseen: the audit notices", a and a["difference_ns"] < 0, a)
    p.tell("done")
    check("with its record and its cause",
          len(flagged("stranger")) == 1 and "cgroup_attach" in (health()["audit"]["last_mismatch"] or ""), health()["audit"])
    p.end()
    agent_down()
    agent_up()

    # ---- a thread ends unseen, and its CPU with it
    p = Puppet("killed")
    p.tell("start warm-3", "burn 5", "done")
    p.audited_again()
    os.unlink(f"{pins}/link_switch")
    os.unlink(f"{pins}/link_free")
    p.tell("start gone")
    a = p.until(lambda a: a["mismatches"] > 0 and a["difference_ns"] < -1000000, "thread 30")
    check("a thread that ends unseen: the audit notices", a and a["difference_ns"] < -1000000, a)
    agent_down()
    agent_up()
    p.tell("done", "start after", "burn 2", "done")
    a = p.audited_again()
    check("what is gone for good stays a difference", a and a["difference_ns"] < -1000000, a)
    at_restart = a["mismatches"] if a else -1
    agent_down()
    agent_up()
    a = p.audited_again()
    check("a restart does not tell it again", a and a["mismatches"] == at_restart, a, at_restart)
    told = [i for i in lines("invocations", "--audit", "--json") if i["flags"].count("audit_mismatch")]
    check("invocations --audit names the instances, over and open",
          len(told) == 3 and told[2]["state"] == "open" and told[2]["audit"]["difference_ns"] == a["difference_ns"], told)
    check("and its exit code is 1", oncpu("invocations", "--audit").returncode == 1)
    p.end()

    # ---- found out when the records were stored already; and they are sealed
    agent_down()
    with open(f"{work}/oncpu.conf", "w") as f:
        f.write(CONFIG.replace("audit = 50ms", "audit = 1s\nintegrity = chain"))
    agent_up()
    p = Puppet("later")
    p.tell("start warm-5", "burn 5", "done")
    p.audited_again()
    warm = lines("invocations", "--json", "--id", "warm-5")
    os.unlink(f"{pins}/link_switch")
    for i in range(3):
        p.tell(f"start later-{i}", "burn 20", "thread 5", "sleep 1", "done")
    stored = [r for r in lines("invocations", "--json", "--last", "3") if r["id"].startswith("later-")]
    a = p.until(lambda a: a["mismatches"] > 0, "burn 20", "thread 5", "sleep 1")
    p.audited_again()
    agent_down()  # stored, whatever the agent holds
    later = [r for r in lines("invocations", "--json", "--last", "5") if r["id"].startswith("later-")]
    check("records stored since the books agreed are flagged, each",
          a and len(stored) == len(later) == 3 and all("audit_mismatch" in r["flags"] for r in later), a, *later)
    doubts = [r["doubt"] for r in later if "doubt" in r]
    check("with the difference and its cause",
          doubts and all(d["difference_ns"] < -1000000 and "not attached any more: switch" in d["cause"] for d in doubts),
          *later)
    check("nothing else about them has changed",
          [{k: v for k, v in r.items() if k not in ("flags", "doubt")} for r in later] ==
          [{k: v for k, v in r.items() if k not in ("flags", "doubt")} for r in stored], *later)
    check("the one before is as it was", warm and lines("invocations", "--json", "--id", "warm-5") == warm, *warm)
    export = oncpu("invocations", "--json", "--last", "3")
    verify = subprocess.run([f"{BUILD}/oncpu", "verify", *place[:2]], capture_output=True, text=True)
    again = subprocess.run([f"{BUILD}/oncpu", "verify", "-"], input=export.stdout, capture_output=True, text=True)
    check("their seals are good, in the ledger and in an export",
          verify.returncode == 0 and again.returncode == 0 and "3 records are as they were stored" in again.stdout,
          verify.stdout + verify.stderr, again.stdout + again.stderr)
    agent_up()
    one = json.loads(get(f"/v1/invocations/{later[0]['record_id']}"))
    one.pop("policies", None)
    page = [json.loads(l) for l in get("/v1/invocations?limit=20").splitlines() if l]
    check("every reader shows it: one record, a page, a sum",
          one == later[0] and [r for r in reversed(page) if r["id"].startswith("later-")] == later, one, later[0])
    before = sum(len(r["flags"]) > 0 for r in lines("invocations", "--json", "--last", "0"))
    check("and counts it", sum(json.loads(l)["flagged"] for l in get("/v1/functions").splitlines() if l) == before,
          before, get("/v1/functions"))
    p.end()
    agent_down()
    with open(f"{work}/oncpu.conf", "w") as f:
        f.write(CONFIG)
    agent_up()

    # ---- events that find no room: CPU is merged, never lost
    p = Puppet("ring")
    p.tell("start warm-4", "burn 5", "done")
    p.audited_again()
    agent_down()
    p.tell("churn 600")  # 1,200 events of some 300 bytes into a ring of 64 KiB
    agent_up()
    lines("invocations", "--json")  # what waited in the ring is stored: there is room again
    p.tell("start last", "done")
    a = p.audited_again()
    end, lost = time.monotonic() + 30, []
    while not lost and time.monotonic() < end:  # the agent waits for what the gap may still bring
        lost = [r for r in lines("invocations", "--json", "--last", "0") if r.get("events_lost")]
    check("a full ring: the gap is flagged", len(lost) > 0 and health()["kernel"]["events_lost"] > 500, len(lost))
    check("and the books agree all the same", a and a["mismatches"] == 0 and abs(a["difference_ns"]) <= 5000, a)
    p.end()


try:
    run()
except Exception as problem:
    check(f"no surprise: {problem!r}", False)
    raise
finally:
    if agent and agent.poll() is None:
        os.killpg(agent.pid, 9)
        agent.wait()
    for q in puppets:
        if q.p.poll() is None:
            q.p.kill()
            q.p.wait()
    subprocess.run([f"{BUILD}/oncpu", "unpin", "--state-dir", f"{work}/state", "--pin-dir", pins], capture_output=True)
    for c in cgroups:
        for _ in range(50):
            try:
                os.rmdir(c)
                break
            except FileNotFoundError:
                break
            except OSError:
                time.sleep(0.01)
    if bad:
        print("# the agent says:", *open(f"{work}/agent.log").read().splitlines()[-20:], sep="\n#   ")
    shutil.rmtree(work, ignore_errors=True)
print(f"1..{count}")
sys.exit(bad)
