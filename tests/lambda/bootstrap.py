#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""A small Lambda runtime for Python, as the article's functions had one.

bootstrap.py LIBRARY: imports the handler that _HANDLER names from LAMBDA_TASK_ROOT and polls the
Runtime API. The runtime library is there as the module `lambda_runtime`: report_done() pauses the
function on the spot, and suspend(answer) gives the caller an answer and waits for the next event.
"""
import ctypes
import http.client
import importlib
import json
import os
import sys
import traceback
import types

API = "/2018-06-01/runtime/invocation/"
address = os.environ["AWS_LAMBDA_RUNTIME_API"]


def call(method, path, body=None):
    connection = http.client.HTTPConnection(address)
    connection.request(method, path, body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    return answer, answer.read()


class Context:
    """What a handler is told of the invocation it handles."""

    def __init__(self, answer):
        self.take(answer)

    def take(self, answer):
        self.aws_request_id = answer.getheader("Lambda-Runtime-Aws-Request-Id")
        self.deadline_ms = int(answer.getheader("Lambda-Runtime-Deadline-Ms"))

    def get_remaining_time_in_millis(self):
        import time

        return self.deadline_ms - int(time.time() * 1000)

    def suspend(self, answer, until_ms=None):
        """The caller gets `answer`; returns the next event, with its own id and deadline. With
        until_ms the same caller waits on, and nothing is returned."""
        path = API + self.aws_request_id + "/suspend"
        if until_ms:
            path += f"?until={until_ms}"
        reply, body = call("POST", path, json.dumps(answer))
        if reply.status != 200:
            raise RuntimeError(f"suspend: {reply.status} {body.decode()}")
        self.take(reply)
        return json.loads(body)


def load_runtime(path):
    library = ctypes.CDLL(path)
    module = types.ModuleType("lambda_runtime")
    module.report_done = lambda status=0: library.oncpu_report_done(status)
    sys.modules["lambda_runtime"] = module


load_runtime(sys.argv[1])
sys.path.insert(0, os.environ["LAMBDA_TASK_ROOT"])
name, function = os.environ["_HANDLER"].rsplit(".", 1)
try:
    handler = getattr(importlib.import_module(name), function)
except Exception as error:  # whatever a module may raise
    call("POST", "/2018-06-01/runtime/init/error", json.dumps({"errorType": type(error).__name__,
                                                               "errorMessage": str(error)}))
    raise
while True:
    trigger, event = call("GET", API + "next")
    context = Context(trigger)
    try:
        result, verb = json.dumps(handler(json.loads(event), context)), "response"
    except Exception as error:  # the caller's to see
        traceback.print_exc()
        result, verb = json.dumps({"errorType": type(error).__name__,
                                   "errorMessage": str(error)}), "error"
    sys.stdout.flush()
    call("POST", API + trigger.getheader("Lambda-Runtime-Aws-Request-Id") + "/" + verb, result)
