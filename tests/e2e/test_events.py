#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""/v1/events of a real agent: live, resumed, slow readers, what is lost, bounds."""
import glob
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from agent import SANITIZED, Agent, check, main, until

MANY = 12000
agent = None


class Reader:
    """One reader of Server-Sent Events."""

    def __init__(self, query="", last=None, of=None):
        self.c = (of or agent).connection()
        self.c.request("GET", "/v1/events" + query, headers={"Last-Event-ID": last} if last else {})
        self.response = self.c.getresponse()
        self.status, self.type = self.response.status, self.response.headers.get("Content-Type")
        if self.status == 200:
            assert self.next_block() == {"retry": "2000"}

    def next_block(self):
        """The next block's fields; {} for a comment, None at the end."""
        fields = {}
        while True:
            line = self.response.readline()
            if not line:
                return None
            line = line.decode().rstrip("\n")
            if not line:
                return fields
            if not line.startswith(":"):
                name, _, value = line.partition(": ")
                fields[name] = value

    def next(self):
        while (block := self.next_block()) == {}:
            pass
        return block and (block["event"], block.get("id"), json.loads(block["data"]))

    def take(self, n):
        return [self.next() for _ in range(n)]

    def close(self):
        self.response.close()
        self.c.close()


def live():
    global agent
    agent = Agent()
    reader, other = Reader(), Reader("?function=fetch")
    check("it is an event stream", reader.type == "text/event-stream", reader.type)
    agent.run("thumb", 5)
    agent.run("fetch", 2)
    got = reader.take(9)
    check("each record as it is stored, in its order", [(kind, d.get("id") or d["function"]) for kind, _, d in got] ==
          [("invocation", f"thumb-{i}") for i in range(1, 6)] + [("instance", "thumb")] +
          [("invocation", "fetch-1"), ("invocation", "fetch-2"), ("instance", "fetch")], got)
    check("the event's id is the record's", all(i == d["record_id"] for _, i, d in got), got[0])
    record = agent.get(f"/v1/invocations/{got[2][1]}").json()
    record.pop("policies")
    check("its data is the record", record == got[2][2], got[2][2])
    few = other.take(3)
    check("one function's alone", [d["function"] for _, _, d in few] == ["fetch"] * 3, few)
    again = Reader(last=got[3][1])
    check("Last-Event-ID goes on behind it", again.take(5) == got[4:], got[4:])
    agent.run("more", 1)
    check("and stays", again.take(2)[0][2]["id"] == "more-1")
    for r in (reader, other, again):
        r.close()


def odd_ids():
    check("400 for an id that is none", Reader(last="nonsense").status == 400)
    check("400 for one that is too long", Reader(last="x" * 500).status == 400)
    check("400 for an unknown parameter", Reader("?last=5").status == 400)
    strange = Reader(last="elsewhere-01234567-5")
    agent.run("after", 1)
    kinds = strange.take(2)
    check("an id of another ledger: lost, and on from now", kinds[0][0] == "lost" and
          kinds[0][2] == {"schema": "oncpu.lost/1", "after": "elsewhere-01234567-5", "count": None} and
          kinds[1][2]["id"] == "after-1", kinds)
    strange.close()


def slow():
    """It reads nothing while much more than any buffer holds is stored: no memory, nothing lost."""
    reader = Reader()
    agent.run("warm", 2000)
    first = reader.next()
    before = agent.rss_kib()
    agent.run("slow", MANY)
    until(lambda: sum(f["count"] for f in agent.get("/v1/functions").lines() if f["function"] == "slow") == MANY,
          "all is stored")
    held = agent.rss_kib() - before
    check("a reader that does not read costs no memory (a copy would be 16 MiB)", held < 8192 or SANITIZED, f"{held} KiB")
    got = [first] + reader.take(2000 + 1 + MANY)
    ids = [d["id"] for kind, _, d in got if kind == "invocation"]
    check("and gets every one in the end, in order", ids == [f"warm-{i}" for i in range(1, 2001)] +
          [f"slow-{i}" for i in range(1, MANY + 1)], (len(ids), ids[:3], ids[-3:]))
    reader.close()


def gone_from_the_ledger():
    """What retention takes from under a slow reader is counted, to the last one."""
    agent.stop()
    segment, = glob.glob(f"{agent.state}/ledger-*.db")
    old = f"{agent.state}/ledger-20200101T00.db"
    os.rename(segment, old)
    with Agent(place=agent.work) as second:
        second.run("new", 3)
        everything = second.get("/v1/invocations?fields=record_id").lines()
        reader = Reader(last=everything[0]["record_id"], of=second)
        got = [reader.next()]
        os.unlink(old)
        while got[-1][2].get("id") != "new-3":
            got.append(reader.next())
        lost = [d for kind, _, d in got if kind == "lost"]
        kept = [i for kind, i, _ in got if kind == "invocation"]
        number = [int(i.rsplit("-", 1)[1]) for kind, i, _ in got if kind != "lost"]
        gap = [b - a - 1 for a, b in zip(number, number[1:]) if b != a + 1]
        check("what was taken away is told once, and counted", len(lost) == 1 and gap == [lost[0]["count"]] and
              gap[0] > 0, (lost, gap, len(kept)))
        check("after the last one that went out", lost[0]["after"].rsplit("-", 1)[1] ==
              str(next(a for a, b in zip(number, number[1:]) if b != a + 1)), lost)
        reader.close()
        bounds(second)


def bounds(second):
    readers = [Reader(of=second) for _ in range(32)]
    check("32 readers at once", all(r.status == 200 for r in readers))
    more = second.get("/v1/events")
    check("503 for one more, and when to ask again", more.status == 503 and
          more.headers.get("Retry-After") == "1", more)
    readers.pop().close()
    until(lambda: Reader(of=second).status == 200, "a reader that hung up makes room")
    check("one that hangs up makes room", True)
    second.stop()
    check("the agent stops with readers there, and ends their answers", second.process.returncode == 0 and
          all(r.next_block() is None for r in readers), second.process.returncode)


main("/v1/events", live, odd_ids, slow, gone_from_the_ledger)
