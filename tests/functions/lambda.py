#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""An ordinary Python function: the marks come from liboncpu-runtime.so, through ctypes.

lambda.py LIBRARY [--function NAME] [--count N]
"""
import ctypes
import json
import sys
import time

runtime = ctypes.CDLL(sys.argv[1])
options = dict(zip(sys.argv[2::2], sys.argv[3::2]))
name = options.get("--function", "report")
count = int(options.get("--count", "5"))

prices = {f"item-{i}": (i * 7919) % 1000 for i in range(20000)}  # module initialisation


def handler(event):
    chosen = sorted(prices.items(), key=lambda item: item[1])[: event["size"]]
    return {"statusCode": 200, "body": json.dumps(chosen)}


for i in range(count):
    invocation_id = f"{name}-{i + 1}".encode()
    if i == 0:
        runtime.oncpu_receive_start(name.encode(), invocation_id)
    else:
        time.sleep(0.003)  # the next message is on its way
        runtime.oncpu_receive_invoke(invocation_id)
    answer = handler({"size": 500})
    runtime.oncpu_report_done(0 if answer["statusCode"] == 200 else 1)
