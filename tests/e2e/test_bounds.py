#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Full tables: what does not fit is counted and shown in what it touches, and all else stays exact."""
import os
import time

from host import B, Agent, Function, accounts, check, finish, law, need_host, pattern, say


def until(what, seconds=20):
    """Waits for a state that nothing announces."""
    end = time.monotonic() + seconds
    while not (found := what()) and time.monotonic() < end:
        time.sleep(0.02)
    return found


def more_instances_than_slots():
    names = [f"slot-{n}" for n in range(7)]
    with Agent("[agent]\nmax_instances = 4\n" + "".join(map(pattern, names))) as agent:
        functions = [Function(n, [f"{B}/functions/steady", n, "200"], held=True) for n in names]
        try:
            full = until(lambda: agent.health()["kernel"]["instances_full"] >= 3 and
                         len([i for i in names if agent.records(i)]) == 4)
            check("four of seven are measured, the rest is counted", full, str(agent.health()["kernel"]))
            check("the agent says that the table is full, and what to do",
                  until(lambda: "instances are not measured: the table is full (raise max_instances" in agent.said()),
                  agent.said())
            measured = [f for f in functions if agent.records(f.name)]
            for f in functions:
                f.end()
            for f in measured:
                done = int(f.out.split()[0])
                ids = sorted(int(r["id"].rsplit("-", 1)[1]) for r in agent.records(f.name))
                closing = agent.closed(f.name)
                check(f"{f.name}: {done} invocations, each once, and the law",
                      ids == list(range(1, done + 1)) and len(closing) == 1 and law(closing[0], f.stat_ns()),
                      f"{len(ids)} {closing}")
            others = [f for f in functions if f not in measured]
            check("the others have no record: nothing is invented", not any(agent.records(f.name) for f in others))
            again = Function("slot-6", [f"{B}/functions/steady", "slot-6", "200"], held=True)
            try:
                check("a slot that is free again is used", until(lambda: agent.records("slot-6")))
            finally:
                again.remove()
            functions = [f for f in functions if f.name != "slot-6"]
        finally:
            for f in functions:
                f.remove()


def more_threads_than_room():
    with Agent("[agent]\nmax_threads = 64\n" + pattern("narrow")) as agent:
        f = Function("narrow", [f"{B}/functions/crowd", "narrow", "threads", "300"])
        try:
            check("a function with 300 threads, and room for 64", f.end() == 0)
            record, closing = agent.records("narrow"), agent.closed("narrow")
            check("its record says that CPU is missing", len(record) == 1 and
                  "untracked_threads" in record[0]["flags"], str(record))
            check("so does its closing record", len(closing) == 1 and
                  "untracked_threads" in closing[0]["flags"], str(closing))
            check("the kernel side counts them", agent.health()["kernel"]["threads_full"] > 0)
            check("what is there adds up, and is no more than cpu.stat", accounts(closing[0]) ==
                  closing[0]["total_cpu_ns"] <= f.stat_ns() + 2000, f"{closing} {f.stat_ns()}")
        finally:
            f.remove()


def gaps_beside_jumps(records, done, lost):
    """What is wrong about where events were lost. Ids are in order and an invocation is two events, so the
    ids that are missing show where: each jump has its gap beside it, each gap its jump, or it took the end of
    one invocation alone (the next start closes that). A record is flagged where a gap lies in it or before
    it, for then its accounts are merged with others', and nowhere else."""
    last = {"id": "-0", "flags": []}
    wrong, counted = [], 0
    for at, r in enumerate(records):
        id = int(r["id"].rsplit("-", 1)[1])
        jump = id - int(last["id"].rsplit("-", 1)[1]) - 1
        following = (int(records[at + 1]["id"].rsplit("-", 1)[1]) if at + 1 < len(records) else done + 1) - id - 1
        here, before = r.get("events_lost", 0), last.get("events_lost", 0)
        unended = "start_before_done" in last["flags"]
        counted += here
        if ("events_lost" in r["flags"]) != (jump > 0 or here > 0 or unended):
            wrong.append(("flag", last["id"], last["flags"], r["id"], r["flags"]))
        if (jump or unended) and not (here or before) or jump < 0:
            wrong.append(("jump without a gap", last["id"], r["id"]))
        if here and not (jump or following or "start_before_done" in r["flags"]):
            wrong.append(("gap without a jump", r["id"], here))
        last = r
    if counted > lost or counted < lost and last["id"].endswith(f"-{done}"):
        wrong.append(("lost in no record", lost - counted))
    return wrong


def a_full_ring():
    with Agent("[agent]\nring_bytes = 64KiB\n" + pattern("dead")) as agent:
        f = Function("dead", [f"{B}/functions/steady", "dead", "2000"], held=True)
        try:
            check("the function is measured", until(lambda: agent.records("dead")))
            agent.kill_all()
            time.sleep(1)  # 4,000 events for a ring of some 200
            agent.up()
            check("it is measured again", until(lambda: len(agent.records("dead")) > 300))
            f.end()
            closing = agent.closed("dead")[0]
            records = agent.records("dead")  # all of them: what waits for a lost event has been given up before it closes
            lost = agent.health()["kernel"]["events_lost"]
            done = int(f.out.split()[0])
            say(f"{done} invocations, {len(records)} records, {lost} events lost")
            check("some were lost", lost > 1000)
            check("as many as the instance's record says", closing["events_lost"] == lost, str(closing))
            wrong = gaps_beside_jumps(records, done, lost)
            check("each gap is flagged where it lies, and nothing else is", not wrong, str(wrong[:5]))
            check("no CPU was lost", law(closing, f.stat_ns()), f"{closing} {f.stat_ns()}")
            ids = [r["id"] for r in records]
            check("no record is there twice", len(set(ids)) == len(ids))
            # two an invocation; of those that came, a start made each record, and an end closed it but
            # where the next start did, or found none open
            closed_by_start = sum("start_before_done" in r["flags"] for r in records)
            check("records and lost events are all the events there were", len(records) < done and
                  lost == 2 * done - 2 * len(records) + closed_by_start - closing["unmatched"],
                  f"{done} {lost} {len(records)} {closed_by_start} {closing}")
        finally:
            f.remove()


def a_fork_storm():
    """The processes of a function are bounded by the pids controller (v1 here, where v2 has none)."""
    limit = "/sys/fs/cgroup/pids/oncpu-e2e-storm"
    v1 = os.path.isdir("/sys/fs/cgroup/pids")
    with Agent(pattern("storm")) as agent:
        def enter():
            if v1:
                with open(f"{limit}/cgroup.procs", "w") as f:
                    f.write(str(os.getpid()))
        if v1:
            os.makedirs(limit, exist_ok=True)
            with open(f"{limit}/pids.max", "w") as f:
                f.write("100")
        f = Function("storm", [f"{B}/functions/crowd", "storm", "forks", "4000"], preexec_fn=enter)
        try:
            if not v1:
                with open(f"{f.cgroup}/pids.max", "w") as p:
                    p.write("100")
            check("4,000 forks and 80 orphans, 100 processes at once", f.end() == 0)
            closing = until(lambda: agent.closed("storm"))
            check("the law holds to the last orphan", closing and law(closing[0], f.stat_ns()),
                  f"{closing} {f.stat_ns()}")
            check("no thread went untracked", "untracked_threads" not in closing[0]["flags"])
        finally:
            f.remove()
            if v1:
                os.rmdir(limit)


def ten_thousand_threads():
    with Agent(pattern("crowd")) as agent:
        f = Function("crowd", [f"{B}/functions/crowd", "crowd", "threads", "10000"])
        try:
            check("10,000 threads at once", f.end() == 0)
            closing, record = agent.closed("crowd"), agent.records("crowd")
            check("the law holds", len(closing) == 1 and law(closing[0], f.stat_ns()), f"{closing} {f.stat_ns()}")
            check("all were tracked", len(record) == 1 and "untracked_threads" not in record[0]["flags"], str(record))
        finally:
            f.remove()


def ids_that_collide():
    names = ["twin-a", "twin-b"]
    with Agent("".join(map(pattern, names))) as agent:
        # each marks in the name of "same": the ids are the same, the configuration names the function
        functions = [Function(n, [f"{B}/functions/marks", "same", "200"]) for n in names]
        try:
            for f in functions:
                f.end()
            got = {n: [r["id"] for r in agent.records(n)] for n in names}
            want = [f"same-{i}" for i in range(1, 201)]
            check("two functions with the same ids have 200 records each", all(sorted(got[n]) == sorted(want)
                                                                             for n in names), str(got)[:300])
            names_of = [r["record_id"] for n in names for r in agent.records(n)]
            check("whose record_id differ", len(set(names_of)) == 400)
        finally:
            for f in functions:
                f.remove()


need_host()
more_instances_than_slots()
more_threads_than_room()
a_full_ring()
a_fork_storm()
ten_thousand_threads()
ids_that_collide()
finish()
