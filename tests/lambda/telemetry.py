#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""An external extension that subscribes to the Telemetry API and asks for the next event only when it has
heard that the runtime is done, as those of observability vendors do. Each batch is a line of $TOLD. $HOW
says how it misbehaves: deaf (listens, never accepts), mute (never answers), failing (answers 500), foreign
(names a port that is not its own: $PORT), crash (ends in the first invocation)."""
import http.client
import http.server
import json
import os
import queue
import socket
import sys
import threading
import time

HOW = os.environ.get("HOW", "")
c = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
done, reported = queue.Queue(), queue.Queue()


def call(method, path, body=None, headers=None):
    c.request(method, path, body, headers or {})
    reply = c.getresponse()
    data = reply.read()
    return reply, data.decode()


class Listener(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        batch = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if HOW == "mute":
            time.sleep(3600)
        with open(os.environ["TOLD"], "a") as f:
            f.write(json.dumps({"path": self.path, "batch": batch}) + "\n")
        self.send_response(500 if HOW == "failing" else 200)
        self.end_headers()
        for event in batch:
            if event["type"] == "platform.runtimeDone":
                done.put(event["record"]["requestId"])
            if event["type"] == "platform.report":
                reported.put(event["record"]["requestId"])

    def log_message(self, *_):
        pass


if HOW in ("deaf", "foreign"):
    ear = socket.create_server(("127.0.0.1", 0), backlog=0)
    port = int(os.environ["PORT"]) if HOW == "foreign" else ear.getsockname()[1]
else:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
reply, _ = call("POST", "/2020-01-01/extension/register", json.dumps({"events": ["INVOKE", "SHUTDOWN"]}),
                {"Lambda-Extension-Name": os.path.basename(__file__)})
me = {"Lambda-Extension-Identifier": reply.getheader("Lambda-Extension-Identifier")}


def subscribe(**other):
    body = {"schemaVersion": "2022-12-13", "types": ["platform", "function", "extension"],
            "buffering": {"maxItems": 1000, "maxBytes": 262144, "timeoutMs": 25},
            "destination": {"protocol": "HTTP", "URI": f"http://sandbox.localdomain:{port}/told"}, **other}
    return call("PUT", "/2022-07-01/telemetry", json.dumps(body), me)[0].status


bad = [{"types": []}, {"types": ["gossip"]}, {"buffering": {"timeoutMs": 1}},
       {"destination": {"protocol": "TCP", "port": 1}},
       {"destination": {"protocol": "HTTP", "URI": "http://10.0.0.1:80"}},
       {"destination": {"protocol": "HTTP", "URI": f"http://sandbox.localdomain:{port} /x"}}]
print("refused with", [subscribe(**b) for b in bad], flush=True)
print("a stranger is refused with", call("PUT", "/2022-07-01/telemetry", "{}")[0].status, flush=True)
print("subscribed with", subscribe(), flush=True)
first, last = True, None
while True:
    event = json.loads(call("GET", "/2020-01-01/extension/event/next", headers=me)[1])
    if first:
        print("too late with", subscribe(), flush=True)
        first = False
    if HOW == "crash":
        sys.exit(3)
    if event["eventType"] == "SHUTDOWN":
        while not HOW and last and reported.get() != last:
            pass
        with open(os.environ["TOLD"], "a") as f:
            f.write(json.dumps({"shutdown": event["shutdownReason"], "left_ms":
                                event["deadlineMs"] - int(time.time() * 1000)}) + "\n")
        break
    last = event["requestId"]
    if not HOW:
        while done.get() != event["requestId"]:
            pass
        end = time.process_time() + int(os.environ.get("FLUSH_MS", "0")) / 1000
        while time.process_time() < end:  # what it makes of it, after the answer
            pass
