#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""What measuring costs in instructions: build/bench/cost in a machine that counts them (machine.py).

instructions.py [JSON-LINES-FILE]   a line a row. Some five minutes.

Where a host's other users put the times of `cost` off by more than what is to be measured, these figures are still the
same in each run. They are no times: an empty program's hit is mostly branches that are hard to foresee, and those count
like any other instruction here, so the ratios come out higher than in time.
"""
import json, os, sys, tempfile
import machine
from bench import Rows

LIMIT = 560
WANTED = (("switch", "empty", "a switch: empty program"), ("switch", "oncpu_untracked", "  neither side tracked"),
          ("switch", "oncpu_tracked", "  both sides tracked"),
          ("switch", "oncpu_untracked_where", "  neither side, where = on"),
          ("switch", "oncpu_tracked_where", "  both sides, where = on"),
          ("switch", "oncpu_tracked_irq", "  both sides, irq = on"),
          ("boundary", "empty", "a boundary: empty program"), ("boundary", "oncpu", "  a boundary and its event"),
          ("boundary", "oncpu_id", "  with a 36-byte id"), ("boundary", "oncpu_thread", "  a thread runs elsewhere"))
row = Rows("instructions", 34)


def main():
    with tempfile.TemporaryDirectory(prefix="oncpu-bench.") as work:
        machine.pack(f"{work}/initrd", "build/bench/cost",
                     "/program --rounds 1 --peer-rounds 0 --seconds 3000 --json /tmp/rows && cat /tmp/rows")
        machine.start(machine.kernel(), f"{work}/initrd", work, "2", LIMIT).wait()
        lines, why = machine.said(work)
    if why:
        sys.exit(f"instructions.py: {why}")
    rows = [json.loads(x) for x in lines if x.startswith("{")]
    got = {(r["bench"], r["row"]): r for r in rows if "added_ns" in r}
    print("Added, in instructions")
    for bench, key, name in WANTED:
        r = got.get((bench, key))
        if r:
            row(name, f"{r['added_ns'] / machine.NS:8.0f}   {r['ratio_to_empty']:6.2f} × empty",
                instructions=round(r["added_ns"] / machine.NS), ratio_to_empty=r["ratio_to_empty"])


main()
