#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""A function that needs a given CPU time, no more and no less, each time: for forecasts.

burn.py LIBRARY NAME COUNT CPU_MS GAP_MS

With GAP_MS it runs under a CPU quota, and each invocation begins with a fresh period: it spins until it was
stopped for so long, which is over when the next period's quota is there.
"""
import ctypes
import sys
import time

runtime = ctypes.CDLL(sys.argv[1])
name, count, need, gap = sys.argv[2], *map(int, sys.argv[3:6])


def fresh_period():
    last = time.monotonic_ns()
    while (now := time.monotonic_ns()) - last < gap * 1000000:
        last = now


for i in range(count):
    invocation_id = f"{name}-{i + 1}".encode()
    if gap:
        fresh_period()
    if i == 0:
        runtime.oncpu_receive_start(name.encode(), invocation_id)
    else:
        runtime.oncpu_receive_invoke(invocation_id)
    begin = time.thread_time_ns()
    while time.thread_time_ns() - begin < need * 1000000:
        pass
    runtime.oncpu_report_done(0)
