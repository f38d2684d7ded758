#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""What a boundary costs against the number of CPUs: it is to follow those the instance has been on, not the host's.

boundary.py [JSON-LINES-FILE]   a line a row. Some two minutes.

In machines that count instructions (machine.py), with 1, 2, 4 and 8 virtual CPUs. The kernel's run-time statistics of
BPF programs are then instructions; an empty program's hit, in them, is the unit.
"""
import os, sys, tempfile
import machine
from bench import Rows

MACHINES, LIMIT = ("1", "2", "4", "8"), 300
FLAT = 1.05
SITUATIONS = (("one_cpu", "one thread, which stays on a CPU", True),
              ("all_cpus", "one thread, which has been on all", False),
              ("one_cpu_two_threads", "two threads, which stay on a CPU", True),
              ("all_cpus_two_threads", "two threads, which have been on all", False),
              ("one_cpu_moved_in", "one that was moved in, stays on a CPU", True),
              ("all_cpus_moved_in", "one that was moved in, was on all", False))
row = Rows("boundary", 36)


def figures(work):
    """{"cpus": n, "possible": n, SITUATION: times an empty program's hit}, or the reason why there are none."""
    said, why = machine.said(work)
    if why:
        return why
    cpus, possible = map(int, said[0].split())
    got = {"cpus": cpus, "possible": possible}
    for line in said[1:]:
        if len(line.split()) == 3:
            name, ns, ratio = line.split()
            got[name], got[name + "_ns"] = float(ratio), float(ns)
    return got


def main():
    kernel = machine.kernel()
    measured = []
    with tempfile.TemporaryDirectory(prefix="oncpu-bench.") as work:
        machine.pack(f"{work}/initrd", "build/bench/boundary", "/program")
        waiting, running = list(MACHINES), []
        while waiting or running:
            while waiting and len(running) < os.cpu_count():
                smp = waiting.pop(0)
                os.mkdir(f"{work}/{smp}")
                running.append((smp, machine.start(kernel, f"{work}/initrd", f"{work}/{smp}", smp, LIMIT)))
            os.wait()
            for ended in [r for r in running if r[1].poll() is not None]:
                running.remove(ended)
        for smp in MACHINES:
            got = figures(f"{work}/{smp}")
            if isinstance(got, str):
                sys.exit(f"boundary.py: the machine with {smp} CPUs: {got}")
            measured.append(got)
    print(f"A boundary, in hits of an empty program ({measured[0]['empty_ns'] / machine.NS:.0f} instructions), by virtual CPUs\n"
          f"{'':<36} " + " ".join(f"{m['cpus']:8}" for m in measured), flush=True)
    for key, name, flat in SITUATIONS:  # a thread that was moved in makes every boundary look twice: bpf/boundary.h
        ratios = [m[key] for m in measured]
        most = max(ratios) / min(ratios)
        row(name, " ".join(f"{r:8.2f}" for r in ratios), *((f"flat (≤ {FLAT}×)", most <= FLAT) if flat else ()),
            cpus=[m["cpus"] for m in measured], possible=[m["possible"] for m in measured], ratios=ratios,
            instructions=[m[key + "_ns"] / machine.NS for m in measured])


main()
