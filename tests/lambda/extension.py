#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""An external extension that works after the answer is out, as those that flush do."""
import http.client
import json
import os
import time

c = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])


def call(method, path, body=None, headers=None):
    c.request(method, "/2020-01-01/extension/" + path, body, headers or {})
    reply = c.getresponse()
    return reply, json.loads(reply.read())


reply, facts = call("POST", "register", json.dumps({"events": ["INVOKE", "SHUTDOWN"]}),
                    {"Lambda-Extension-Name": os.path.basename(__file__)})
me = {"Lambda-Extension-Identifier": reply.getheader("Lambda-Extension-Identifier")}
print("extension of", facts["functionName"], "registered", flush=True)
while True:
    _, event = call("GET", "event/next", headers=me)
    if event["eventType"] == "SHUTDOWN":
        print("extension told of", event["shutdownReason"], flush=True)
        break
    with open(os.environ["TELL"]) as f:  # until the function has answered
        f.read()
    end = time.process_time() + 0.03
    while time.process_time() < end:
        pass
    print("extension flushed after", event["requestId"], flush=True)
