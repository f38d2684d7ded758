// SPDX-License-Identifier: GPL-2.0
// AWS's own caller, unmodified. caller.mjs MODULES ENDPOINT GATE: one line of JSON a case. A streamed
// answer goes on when GATE is made, and that is when its first piece is here.
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const [modules, endpoint, gate] = process.argv.slice(2);
const { LambdaClient, InvokeCommand, InvokeWithResponseStreamCommand } = createRequire(modules + "/")("@aws-sdk/client-lambda");
const client = new LambdaClient({
  endpoint, region: "us-east-1", maxAttempts: 1,
  credentials: { accessKeyId: "nobody", secretAccessKey: "nothing" },
});

async function invoke(FunctionName, event, more = {}) {
  try {
    const answer = await client.send(
      new InvokeCommand({ FunctionName, Payload: JSON.stringify(event), ...more }));
    const text = answer.Payload ? Buffer.from(answer.Payload).toString() : "";
    return {
      status: answer.StatusCode, error: answer.FunctionError, version: answer.ExecutedVersion,
      value: text ? JSON.parse(text) : null,
      log: answer.LogResult && Buffer.from(answer.LogResult, "base64").toString(),
    };
  } catch (error) {
    return { thrown: error.name, status: error.$metadata?.httpStatusCode, message: error.message };
  }
}

async function stream(FunctionName, event, more = {}) {
  try {
    const answer = await client.send(new InvokeWithResponseStreamCommand(
      { FunctionName, Payload: JSON.stringify(event), ...more }));
    let text = "", chunks = 0, complete;
    for await (const part of answer.EventStream) {
      if (part.PayloadChunk && event.gate) writeFileSync(event.gate, "");
      if (part.PayloadChunk) { chunks++; text += Buffer.from(part.PayloadChunk.Payload).toString(); }
      if (part.InvokeComplete) complete = part.InvokeComplete;
    }
    return { status: answer.StatusCode, version: answer.ExecutedVersion, text, chunks, complete };
  } catch (error) {
    return { thrown: error.name, status: error.$metadata?.httpStatusCode, message: error.message };
  }
}

const say = (name, result) => console.log(JSON.stringify({ case: name, ...result }));
say("success", await invoke("hello", { name: "Ada" }));
say("error", await invoke("hello", { do: "throw" }));
say("tail", await invoke("hello", { do: "log" }, { LogType: "Tail" }));
say("event", await invoke("hello", { name: "later" }, { InvocationType: "Event" }));
say("dry", await invoke("hello", {}, { InvocationType: "DryRun" }));
say("arn", await invoke("arn:aws:lambda:us-east-1:000000000000:function:hello", { name: "by ARN" }));
say("unknown", await invoke("nobody-knows", {}));
say("large", await invoke("hello", { payload: "y".repeat(7 << 20) }));
say("streamed", await stream("stream", { pieces: 50, gate }, { LogType: "Tail" }));
say("broken", await stream("stream", { pieces: 3, break: true }));
say("whole", await stream("hello", { name: "Ada" }));
say("thrown", await stream("hello", { do: "throw" }));
say("nowhere", await stream("nobody-knows", {}));
const both = await Promise.all([1, 2].map(() => invoke("single", { do: "sleep", ms: 300 })));
say("busy", both.find((x) => x.thrown) ?? both[1]);
say("served", both.find((x) => !x.thrown) ?? both[0]);
