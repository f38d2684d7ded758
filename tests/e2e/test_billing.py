#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""What policies bill, of real records: each figure of compare, price and export worked out again here, from
/v1/policies and the records, with Python's integers. The forecast, against runs under real CPU quotas."""
import csv
import datetime
import decimal
import io
import json
import os
import subprocess
import sys
import tempfile
from fractions import Fraction

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from agent import BUILD, FUNCTIONS, ONCPU, ROOT, Agent, check, main, skip

PARTS = ("waiting", "init", "after_response", "between", "rounding")
decimal.getcontext().prec = 80
ACME = {"schema": "oncpu.policies/1", "policies": [{
    "name": "acme", "version": 7, "title": "ACME, with everything", "currency": "EUR",
    "rule": {"text": "wall, init and what lies between, up to 7 µs", "date": "2026-01-31", "source": "a test", "verified": True},
    "time": {"basis": "wall", "granularity_ns": 7000, "minimum_ns": 14000, "init": True, "restore": False,
             "after_response": False, "between": True},
    "memory": {"size": "max", "default_mb": 64, "step_mb": 32, "minimum_mb": 96,
               "time": {"basis": "cpu", "granularity_ns": 1000, "minimum_ns": 0, "init": True, "restore": False,
                        "after_response": True, "between": False},
               "price": {"e12": 12345677, "per": 7, "date": "2026-01-31", "source": "a test", "verified": True}},
    "cpu": {"vcpus": "configured", "default_milli": 333,
            "price": {"e12": 98765, "per": 3600, "date": "2026-01-31", "source": "a test", "verified": True}},
    "request": {"price": {"e12": 10, "per": 3, "date": "2026-01-31", "source": "a test", "verified": True}}}]}

agent = None


# ---- the arithmetic, once more ----

def rounded(fraction):  # half up
    return (2 * fraction.numerator + fraction.denominator) // (2 * fraction.denominator)


def memory_class(peak):
    mb = -(-peak // (1 << 20))
    step = 1 if mb <= 128 else 16 if mb <= 2048 else 128
    return -(-mb // step) * step


class Times:
    """A record's times, or an instance's last stretch."""

    def __init__(self, r):
        self.awake = sum(s["wall_ns"] for s in r["segments"]) if r["segments"] else r["wall_ns"]
        self.cpu = r["cpu_ns"]
        cold = r["cold_start"] and r["init"]
        self.init_wall, self.init_cpu = (r["init"]["wall_ns"], r["init"]["cpu_ns"]) if cold else (0, 0)
        self.after_wall, self.after_cpu = r["after_response"]["wall_ns"], r["after_response"]["cpu_ns"]
        self.between_wall = r["between"]["wall_ns"] + r["freeze"]["wall_ns"]
        self.between_cpu = r["between"]["cpu_ns"]
        self.mb = r["memory_mb"]
        self.used = None if r["max_memory_bytes"] is None else memory_class(r["max_memory_bytes"])
        q = r["cpu_quota"]
        self.milli = rounded(Fraction(1000 * q["quota_us"], q["period_us"])) if q else None


def parts_of(rule, t):
    """Billed time and its parts; they add up to billed − cpu."""
    if rule["basis"] == "floor":
        reserved = -(-t.awake * (rule["default_milli"] if t.milli is None else t.milli) // 1000)
        basis = max(reserved, t.cpu)
        parts = {"waiting": basis - t.cpu, "init": 0, "after_response": 0, "between": 0}
    elif rule["basis"] == "cpu":
        parts = {"waiting": 0, "init": t.init_cpu if rule["init"] else 0,
                 "after_response": 0 if rule["after_response"] else -t.after_cpu,
                 "between": t.between_cpu if rule["between"] else 0}
        basis = t.cpu + sum(parts.values())
    else:
        parts = {"waiting": t.awake - t.after_wall - (t.cpu - t.after_cpu), "init": t.init_wall if rule["init"] else 0,
                 "after_response": (t.after_wall if rule["after_response"] else 0) - t.after_cpu,
                 "between": t.between_wall if rule["between"] else 0}
        basis = t.cpu + sum(parts.values())
    granule = 1 if rule["basis"] == "life" else rule["granularity_ns"]
    billed = max(-(-max(basis, 0) // granule) * granule, rule["minimum_ns"])
    return billed, {**parts, "rounding": billed - basis}


def billed_memory(m, t):
    configured = t.mb if t.mb else m["default_mb"]
    used = configured if t.used is None else t.used
    mb = {"configured": configured, "observed": used, "max": max(configured, used)}[m["size"]]
    mb = -(-mb // m["step_mb"]) * m["step_mb"]
    return max(min(mb, m["maximum_mb"] or mb), m["minimum_mb"])


def bill(policy, times, ends=()):
    """What a policy bills for records, and for instances that ended: (last stretch, whole life)."""
    total = {"billed_ns": 0, "cpu_ns": 0, "parts": dict.fromkeys(PARTS, 0), "count": len(times)}
    memory = cpu = Fraction(0)
    m, c = policy.get("memory"), policy.get("cpu")
    price = {k: Fraction(policy[k]["price"]["e12"], policy[k]["price"]["per"]) for k in ("memory", "cpu", "request")
             if k in policy}
    for t in times:
        billed, parts = parts_of(policy["time"], t)
        total["billed_ns"] += billed
        total["cpu_ns"] += t.cpu
        for k in PARTS:
            total["parts"][k] += parts[k]
        if c:
            milli = 1000 if c["vcpus"] == "one" else c["default_milli"] if t.milli is None else t.milli
            cpu += Fraction(billed * milli, 1000 * 10 ** 9) * price["cpu"]
        if m:
            memory += Fraction(parts_of(m.get("time", policy["time"]), t)[0] * billed_memory(m, t), 1024 * 10 ** 9) * price["memory"]
    if policy["time"]["basis"] == "life":
        sizes = [(t.mb, t.used, t.milli) for t in times]
        most = times[sizes.index(max(sizes, key=sizes.count))] if times else None
        for last, life in ends:
            up = -(-life // policy["time"]["granularity_ns"]) * policy["time"]["granularity_ns"] - life
            total["billed_ns"] += last + up
            total["parts"]["between"] += last
            total["parts"]["rounding"] += up
            milli = policy["cpu"]["default_milli"] if most.milli is None else most.milli
            cpu += Fraction((last + up) * milli, 1000 * 10 ** 9) * price["cpu"]
            memory += Fraction((last + up) * billed_memory(m, most), 1024 * 10 ** 9) * price["memory"]
    fee = Fraction(len(times)) * price["request"] if "request" in policy else Fraction(0)
    total["cost_e12"] = rounded(memory) + rounded(cpu) + rounded(fee)
    return total


# ---- the parts ----

def cli(*command, places=True, stdin=None):
    where = ["--state-dir", agent.state, "--socket", agent.socket] if places else []
    return subprocess.run([ONCPU, *command, *where], capture_output=True, text=True, input=stdin, timeout=60)


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def begin():
    global agent
    place = tempfile.mkdtemp(prefix="oncpu-billing.", dir="/tmp")
    with open(f"{place}/acme.json", "w") as f:
        json.dump(ACME, f)
    agent = Agent(place=place, config=f"[agent]\npolicies = {place}/acme.json\npolicy = acme\n"
                  "[function \"thumb\"]\nmemory_mb = 256\nquota_us = 50000\nperiod_us = 100000\n"
                  "[function \"fetch\"]\nmemory_mb = 1024\n")
    for name, count in (("thumb", 40), ("fetch", 8), ("render", 6)):
        subprocess.run([f"{FUNCTIONS}/{name}", "--function", name, "--count", str(count)], check=True,
                       stdout=subprocess.DEVNULL)
    agent.run("marks", 25)


def known():
    policies = {p["name"]: p for p in agent.get("/v1/policies").json()["policies"]}
    records = {}
    for r in agent.get("/v1/invocations").lines():
        records.setdefault(r["function"], []).append(r)
    ends = {}
    for i in agent.get("/v1/closed-instances").lines():
        life = nanoseconds(i["end"]) - nanoseconds(i["start"])
        ends.setdefault(i["function"], []).append((i["last_between"]["wall_ns"], life))
    return policies, records, ends


def nanoseconds(text):
    whole, fraction = text.rstrip("Z").split(".")
    t = datetime.datetime.fromisoformat(whole + "+00:00")
    return int(t.timestamp()) * 10 ** 9 + int(fraction)


def compared():
    policies, records, ends = known()
    check("the host's own policy is the configured one", agent.get("/v1/policies").json()["host"] == "acme" and
          policies["acme"]["currency"] == "EUR" and len(policies) == 15, policies.keys())
    answer = agent.get("/v1/compare?policy=all").lines()
    check("a line for each function", sorted(f["function"] for f in answer) == sorted(records) and
          all(f["count"] == len(records[f["function"]]) for f in answer), answer)
    wrong, broken = [], []
    for f in answer:
        times = [Times(r) for r in records[f["function"]]]
        for p in f["policies"]:
            want = bill(policies[p["policy"]], times, ends.get(f["function"], ()))
            got = {"billed_ns": p["billed_ns"], "cpu_ns": f["cpu_ns"], "count": f["count"], "cost_e12": p["cost_e12"],
                   "parts": {k: p["waste"][f"{k}_ns"] for k in PARTS}}
            if got != want:
                wrong.append((f["function"], p["policy"], got, want))
            w = p["waste"]
            whole = (sum(w[f"{k}_e12"] for k in PARTS) + w["memory_e12"] + p["used_e12"] + (p["request_e12"] or 0))
            if (whole != p["cost_e12"] or sum(w[f"{k}_ns"] for k in PARTS) != p["billed_ns"] - f["cpu_ns"] or
                    w["total_e12"] != whole - p["used_e12"] - (p["request_e12"] or 0) or
                    p["cost_per_million_e12"] != rounded(Fraction(p["cost_e12"] * 10 ** 6, f["count"])) or
                    p["cost_per_month_e12"] != rounded(Fraction(p["cost_e12"] * 730 * 3600 * 10 ** 9, f["observed_ns"]))):
                broken.append((f["function"], p))
    count = sum(len(f["policies"]) for f in answer)
    check(f"{count} bills are what the rules say, to 10⁻¹² of a unit", count == len(records) * 15 and not wrong, wrong[:2])
    check("and their parts add up to them, in time and in money", not broken, broken[:2])
    check("nothing had to be summed from rows", all(f["recomputed"] == 0 for f in answer), answer[0])
    few = agent.get("/v1/compare?function=thumb&policy=huawei&policy=acme,on-cpu").lines()
    check("one function, the policies that were named, in their order",
          [[p["policy"] for p in f["policies"]] for f in few] == [["huawei", "acme", "on-cpu"]], few)
    refused = agent.get("/v1/compare?policy=huawai")
    check("an unknown policy is a problem that names the known ones", refused.status == 400 and
          "huawai" in refused.json()["detail"] and "cloudflare-workers" in refused.json()["detail"], refused)


def records_keep_it():
    policies, records, _ = known()
    r = records["fetch"][0]
    check("a record keeps its host's own bill", r["billed"]["acme"] ==
          {"billed_ns": bill(policies["acme"], [Times(r)])["billed_ns"], "version": 7}, r["billed"])
    one = agent.get(f"/v1/invocations/{r['record_id']}").json()["policies"]
    wrong = [p for p in one if (p["billed_ns"], p["cost_e12"]) !=
             tuple(bill(policies[p["policy"]], [Times(r)])[k] for k in ("billed_ns", "cost_e12"))]
    check("one record under each policy", len(one) == 15 and not wrong, wrong)


def same_numbers(a, b):
    """All but what depends on when was asked."""
    def still(f):
        return {**{k: v for k, v in f.items() if k != "observed_ns"},
                "policies": [{k: v for k, v in p.items() if k != "cost_per_month_e12"} for p in f["policies"]]}
    return [still(f) for f in a] == [still(f) for f in b]


def on_the_terminal():
    answer = agent.get("/v1/compare?policy=all").lines()
    out = cli("compare", "--json", "--policy", "all")
    check("oncpu compare --json is the agent's answer", same_numbers(lines(out.stdout), answer), out)
    own = cli("compare", "--json", "--policy", "all", "--policies", f"{agent.work}/acme.json", "--host-policy", "acme")
    check("and the ledger's, read here with the same file", same_numbers(lines(own.stdout), answer), own)
    rows = list(csv.DictReader(io.StringIO(cli("compare", "--csv", "--policy", "all").stdout)))
    flat = {(f["function"], p["policy"]): str(p["cost_e12"]) for f in answer for p in f["policies"]}
    check("--csv has a row each, with the same numbers", {(r["function"], r["policy"]): r["cost_e12"] for r in rows} == flat, rows[:2])
    savings = [int(r["waste_e12"]) for r in rows if r["policy"] == "acme"]
    check("what could be saved most comes first", savings == sorted(savings, reverse=True), savings)
    table = cli("compare").stdout
    check("the table shows the host's own and three, and says it in a sentence",
          all(w in table for w in ("FUNCTION", "÷ ON-CPU", "acme", "aws-lambda", "cloudflare-workers", "on-cpu", "79 invocations used"))
          and "azure-flex" not in table and "█" not in table, table)
    bars = subprocess.run(["script", "-qec", f"{ONCPU} compare --state-dir {agent.state} --socket {agent.socket}", "/dev/null"],
                          capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL).stdout
    check("with bars on a terminal", "█" in bars or "▒" in bars, bars)
    bad = cli("compare", "--policy", "acmee")
    check("an unknown policy: one line, and no success", bad.returncode != 0 and "acmee" in bad.stderr and not bad.stdout, bad)
    with open(f"{agent.work}/bad.json", "w") as f:
        json.dump({"schema": "oncpu.policies/1", "policies": [{**ACME["policies"][0], "time": {**ACME["policies"][0]["time"], "granularity_ns": 0}}]}, f)
    bad = cli("policies", "--policies", f"{agent.work}/bad.json", places=False)
    check("a bad file: its path, the field and why", bad.returncode == 1 and
          bad.stderr == f"oncpu: {agent.work}/bad.json: policies[0] \"acme\".time.granularity_ns: "
                        "is no whole number from 1 to 86400000000000\n", bad)
    out = cli("policies", "--json", places=False)
    check("oncpu policies --json is a file that it takes back", out.returncode == 0 and
          cli("policies", "--json", "--policies", "/dev/stdin", places=False, stdin=out.stdout).stdout == out.stdout, out.stderr)


def priced():
    policies, records, _ = known()
    text = cli("invocations", "--json", "--last", "0").stdout
    out = cli("price", "--json", "--policy", "all", "--policies", f"{agent.work}/acme.json", places=False, stdin=text)
    wrong = []
    for f in lines(out.stdout):
        times = [Times(r) for r in records[f["function"]]]
        for p in f["policies"]:
            want = bill(policies[p["policy"]], times)
            if (p["billed_ns"], p["cost_e12"]) != (want["billed_ns"], want["cost_e12"]):
                wrong.append((f["function"], p["policy"], p, want))
    check("oncpu price of the records is what the rules say", len(lines(out.stdout)) == len(records) and not wrong, wrong[:2])
    junk = cli("price", "--json", places=False, stdin=text.splitlines()[0] + "\nSTART RequestId: a\n\x1b[31mred\n{\"a\":\n\n")
    check("what is neither is counted and shown, harmless", "4 lines: 1 records, 0 REPORT lines, 3 neither" in junk.stderr and
          "stdin:2 is neither: START RequestId: a" in junk.stderr and "\x1b" not in junk.stderr, junk)
    none = cli("price", places=False, stdin="nothing\n")
    check("nothing to price is a failure with its reason", none.returncode == 1 and "nothing to price" in none.stderr, none)
    missing = cli("price", "/nonexistent", places=False)
    check("so is a file that is not there", missing.returncode == 1 and "/nonexistent: No such file" in missing.stderr, missing)


def priced_reports():
    with open(f"{ROOT}/tests/data/aws-lambda-report-2025-04.csv") as f:
        real = list(csv.reader(f))[1:]
    text = "".join(f"2025-04-01T00:00:00Z\tREPORT RequestId: {n}\tDuration: {d} ms\tBilled Duration: {b} ms\tMemory Size: {m} MB\t"
                   f"Max Memory Used: 50 MB\t" + (f"Init Duration: {i} ms\t" if i else "") + "\n"
                   for n, (m, d, i, b, *_) in enumerate(real))
    out = cli("price", "--json", "--function", "study", "--policy", "aws-lambda-2020,on-cpu", places=False, stdin=text)
    f = lines(out.stdout)[0]
    stated = sum(int(b) for _, _, _, b, *_ in real)
    mine, unknown = f["policies"]
    # a printed 18.00 may be 18.004: each such line is billed 1 ms less from what is printed
    printed_whole = sum(d.endswith(".00") for _, d, *_ in real)
    check(f"{len(real)} real AWS lines: {mine['billed_ns'] // 10 ** 6} ms by the rule, {stated} ms by AWS, "
          f"{printed_whole} of them printed as whole ms", f["count"] == f["reports"] == len(real) and
          f["stated_billed_ns"] == stated * 10 ** 6 and 0 <= stated - mine["billed_ns"] // 10 ** 6 <= printed_whole, f)
    check("what rests on CPU time stays unknown", unknown["billed_ns"] is None and unknown["cost_e12"] is None and
          f["cpu_ns"] is None, unknown)


FOCUS = {"ChargeCategory": {"Usage"}, "ServiceCategory": {"Compute"}, "ServiceSubcategory": {"Serverless Compute"},
         "ChargeFrequency": {"Usage-Based"}, "PricingCategory": {"Standard"}, "BillingCurrency": {"EUR"}}


def focus_faults(rows):
    faults = []
    for r in rows:
        n = {k: decimal.Decimal(r[k]) for k in ("BilledCost", "EffectiveCost", "ListCost", "ListUnitPrice", "PricingQuantity", "ConsumedQuantity")}
        begin, end = (datetime.datetime.strptime(r[k], "%Y-%m-%dT%H:%M:%SZ") for k in ("ChargePeriodStart", "ChargePeriodEnd"))
        period = [datetime.datetime.strptime(r[k], "%Y-%m-%dT%H:%M:%SZ") for k in ("BillingPeriodStart", "BillingPeriodEnd")]
        exact = (n["ListUnitPrice"] * n["PricingQuantity"]).quantize(decimal.Decimal("1e-12"), decimal.ROUND_HALF_UP)
        ok = (all(r[k] in v for k, v in FOCUS.items()) and end - begin == datetime.timedelta(hours=1) and begin.minute == begin.second == 0 and
              period[0] <= begin < period[1] and (period[0].day, period[1].day) == (1, 1) and n["BilledCost"] == n["ListCost"] == n["EffectiveCost"] and
              abs(exact - n["ListCost"]) <= (0 if r["PricingUnit"] == r["ConsumedUnit"] else decimal.Decimal("1e-12")) and
              (r["PricingUnit"] != r["ConsumedUnit"] or n["PricingQuantity"] == n["ConsumedQuantity"]) and
              r["SkuMeter"] in ("Memory", "CPU", "Requests") and r["ResourceId"] and r["ProviderName"] and r["SkuId"].startswith("acme/"))
        if not ok:
            faults.append((dict(r), str(exact)))
    return faults


def exported():
    policies, records, ends = known()
    out = cli("export", "--focus")
    rows = list(csv.DictReader(io.StringIO(out.stdout)))
    check("FOCUS rows: names, hours, price × quantity = cost", out.returncode == 0 and len(rows) >= 3 * len(records) and
          not focus_faults(rows), focus_faults(rows)[:1] or out)
    wrong = []
    for name, list_ in records.items():
        mine = [r for r in rows if r["ResourceId"] == name]
        hours = len({r["ChargePeriodStart"] for r in mine})
        cost = sum(decimal.Decimal(r["BilledCost"]) for r in mine) * 10 ** 12
        want = bill(policies["acme"], [Times(r) for r in list_], ends.get(name, ()))
        cpu = sum(decimal.Decimal(r["x_OnCpuSeconds"] or 0) for r in mine) * 10 ** 9
        count = sum(int(r["x_Invocations"] or 0) for r in mine)
        # an hour's line is rounded by itself: with one hour it is the same number
        if abs(cost - want["cost_e12"]) > 3 * (hours - 1) or cpu != want["cpu_ns"] or count != len(list_):
            wrong.append((name, cost, want, cpu, count, hours))
    check("they add up to the bill, the on-CPU time and the invocations", not wrong, wrong)
    events = lines(cli("export", "--cloudevents").stdout)
    whole = {r["record_id"]: r for rs in records.values() for r in rs}
    check("CloudEvents: every record once, with what the standard asks for",
          len(events) == len(whole) == len({(e["source"], e["id"]) for e in events}) and
          all(e["specversion"] == "1.0" and e["type"] == "oncpu.invocation.v1" and e["data"] == whole[e["id"]] and
              e["time"] == e["data"]["end"] and e["datacontenttype"] == "application/json" and
              e["source"].startswith("oncpu://") and "subject" not in e for e in events), events[:1])
    check("export wants to be told what", cli("export").returncode == 2)


def without_agent():
    answer = agent.get("/v1/compare?policy=all").lines()
    place = agent.state
    agent.stop()
    out = cli("compare", "--json", "--policy", "all", "--policies", f"{agent.work}/acme.json", "--host-policy", "acme")
    check("with no agent, the ledger gives the same", same_numbers(lines(out.stdout), answer), (place, out))
    out = cli("compare", "--json", "--policy", "aws-lambda")
    check("and without the file, the presets", [p["policy"] for p in lines(out.stdout)[0]["policies"]] == ["aws-lambda"], out)


# ---- the forecast, against real quotas ----

NEED_MS, PERIOD_MS, COUNT = 80, 100, 5


class Quota:
    """A cgroup with a CPU quota (-1 = none): v1's cpu controller, or v2's where that is all there is. It goes
    before whatever else runs on this machine: who waits for a CPU does not use its quota up."""

    def __init__(self, quota_us):
        self.path, self.us = None, quota_us
        name = f"oncpu-forecast-{os.getpid()}-{quota_us}"
        try:
            if os.path.exists("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"):
                path = f"/sys/fs/cgroup/cpu/{name}"
                os.mkdir(path)
                self.path = path
                self.put("cpu.shares", 262144)
                self.put("cpu.cfs_period_us", PERIOD_MS * 1000)
                self.put("cpu.cfs_quota_us", quota_us)
            else:
                path = f"/sys/fs/cgroup/{name}"
                os.mkdir(path)
                self.path = path
                self.put("cpu.weight", 10000)
                self.put("cpu.max", f"{quota_us if quota_us > 0 else 'max'} {PERIOD_MS * 1000}")
        except OSError:
            self.remove()
            raise

    def put(self, name, value):
        with open(f"{self.path}/{name}", "w") as f:
            f.write(str(value))

    def remove(self):
        if self.path:
            os.rmdir(self.path)


def burn(name, quota_us):
    quota = Quota(quota_us)
    try:
        burn_in(name, quota)
    finally:
        quota.remove()


def burn_in(name, quota):
    def enter():
        quota.put("cgroup.procs", os.getpid())
    subprocess.run(["/usr/bin/python3", f"{ROOT}/tests/functions/burn.py", f"{BUILD}/liboncpu-runtime.so", name, str(COUNT),
                    str(NEED_MS), "0" if quota.us < 0 else "10"], check=True, preexec_fn=enter)


def forecasts():
    sizes = (442, 885, 1327)  # a quarter, a half, three quarters of a vCPU
    with Agent(config="[agent]\nwhere = on\n") as a:
        where = ["--state-dir", a.state, "--socket", a.socket]
        try:
            burn("warm", -1)  # the first mark of a binary holds it for a moment
        except OSError as e:
            skip("forecast against real quotas", f"no CPU quota can be set here: {e}")
            return
        burn("burn", -1)
        real = {}
        for mb in sizes:
            burn(f"burn-{mb}", PERIOD_MS * 1000 * mb // 1769)
            records = lines(subprocess.run([ONCPU, "invocations", "--json", "--function", f"burn-{mb}", "--last", "0", *where],
                                           check=True, capture_output=True, text=True).stdout)
            # what others on this machine took is no quota's doing
            walls = sorted(r["wall_ns"] - r["where"]["run_queue_ns"] for r in records)
            real[mb] = (walls[len(walls) // 2], [r["where"] for r in records])
        out = subprocess.run([ONCPU, "forecast", "--json", "--function", "burn", "--sizes", ",".join(map(str, sizes)),
                              "--period", f"{PERIOD_MS}ms", *where], check=True, capture_output=True, text=True).stdout
        for f in lines(out):
            wall, throttled = real[f["memory_mb"]]
            error = 100 * (f["wall_ns"] - wall) / wall
            print(f"# {f['memory_mb']} MB: forecast {f['wall_ns'] / 1e6:.2f} ms, real {wall / 1e6:.2f} ms, error {error:+.1f} %")
            check(f"{f['memory_mb']} MB: the forecast from unthrottled runs is what a real quota does, {error:+.1f} %",
                  abs(error) <= 10, (f, wall, throttled))
        table = subprocess.run([ONCPU, "forecast", "--function", "burn", *where], capture_output=True, text=True)
        check("which memory size is cheapest is said", "MB is the cheapest size" in table.stdout and "10240 MB" in table.stdout, table)
        unknown = subprocess.run([ONCPU, "forecast", "--function", "nobody", *where], capture_output=True, text=True)
        check("of a function nobody has seen there is none", unknown.returncode == 1 and "no invocations of nobody" in unknown.stderr, unknown)


if __name__ == "__main__":
    main("billing", begin, compared, records_keep_it, on_the_terminal, priced, priced_reports, exported, without_agent, forecasts)
