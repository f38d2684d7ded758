# SPDX-License-Identifier: GPL-2.0
"""The handlers of the article's three experiments, as it had them, and with suspend."""
import time

import lambda_runtime

# 1: slow module initialisation
loaded = time.monotonic()
table = [i * i for i in range(200000)]
while time.monotonic() - loaded < 0.15:
    pass


def slow_init(event, context):
    return {"sum": sum(table[: event.get("n", 10)])}


# 2: report_done in mid-handler, three times in a row
def paused(event, context):
    if event.get("plain"):
        return {"plain": event["plain"]}
    print("Beginning", flush=True)
    lambda_runtime.report_done()
    print("After the first pause", flush=True)
    lambda_runtime.report_done()
    print("After the second pause", flush=True)
    lambda_runtime.report_done()
    print("Ending", flush=True)
    return {"ended": True}


def suspended(event, context):
    if event.get("plain"):
        return {"plain": event["plain"]}
    print("Beginning", flush=True)
    seen = [event["step"]]
    for i in range(3):
        event = context.suspend({"so far": seen})
        print(f"Resumed by {event['step']}", flush=True)
        seen.append(event["step"])
    print("Ending", flush=True)
    return {"seen": seen}


# 3: a loop over many records that watches its time
def avoids_timeout(event, context):
    if event.get("plain"):
        return {"plain": event["plain"]}
    done = []
    limit = time.monotonic() + context.get_remaining_time_in_millis() / 1000
    for record in range(event["records"]):
        if limit - time.monotonic() < 0.15:
            print(f"Pausing after {len(done)} records", flush=True)
            lambda_runtime.report_done()
            limit = time.monotonic() + event["limit"]
        time.sleep(0.02)
        done.append(record)
    return {"done": done}


def avoids_timeout_suspended(event, context):
    if event.get("plain"):
        return {"plain": event["plain"]}
    done = []
    for record in range(event["records"]):
        if context.get_remaining_time_in_millis() < 150:
            print(f"Pausing after {len(done)} records", flush=True)
            context.suspend({"done": len(done)})
        time.sleep(0.02)
        done.append(record)
    return {"done": done}


def until(event, context):
    started = time.monotonic()
    context.suspend(None, until_ms=event["ms"])
    return {"waited_ms": int((time.monotonic() - started) * 1000)}
