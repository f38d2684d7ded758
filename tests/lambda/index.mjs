// SPDX-License-Identifier: GPL-2.0
// Handlers for AWS's own runtime client: what the event's "do" says.
import { existsSync } from "node:fs";

let count = 0;

/* Until its caller has made that file. */
const gate = async (path) => { while (!existsSync(path)) await new Promise((done) => setTimeout(done, 5)); };

const post = (path, body) => fetch(
  `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation/${path}`,
  { method: "POST", body: body && JSON.stringify(body) });

const actions = {
  echo: (event, context) => ({
    count, name: event.name, left: context.getRemainingTimeInMillis(), id: context.awsRequestId,
    arn: context.invokedFunctionArn, memory: context.memoryLimitInMB, client: context.clientContext,
  }),
  throw: () => { throw new RangeError("thrown by the handler"); },
  length: (event) => ({ length: event.payload.length }),
  large: (event) => "x".repeat(event.bytes),
  sleep: async (event) => { await new Promise((done) => setTimeout(done, event.ms)); return count; },
  gate: async (event) => { await gate(event.gate); return count; },
  burn: (event) => {
    const begun = process.cpuUsage();
    let used;
    do used = process.cpuUsage(begun); while (used.user + used.system < event.ms * 1000);
    return { burned: true };
  },
  exit: (event) => process.exit(event.status),
  suspend: async (event, context) => {
    const seen = [event.name], ids = [context.awsRequestId];
    for (let i = 0; i < event.times; i++) {
      const reply = await post(context.awsRequestId + "/suspend", { seen });
      seen.push((await reply.json()).name);
      ids.push(reply.headers.get("Lambda-Runtime-Aws-Request-Id"));
    }
    return { seen, ids };
  },
  until: async (event, context) => {
    const reply = await post(`${context.awsRequestId}/suspend?until=${event.ms}`, {});
    return { status: reply.status };
  },
  done: async () => {
    console.log("Beginning");
    await post("-/done");
    console.log("Ending");
    return { ended: true };
  },
  log: () => { console.log("a line of the handler"); return {}; },
};

export const handler = async (event, context) => {
  count++;
  return actions[event.do ?? "echo"](event, context);
};

export const stream = globalThis.awslambda?.streamifyResponse(async (event, response) => {
  response.setContentType("text/plain");
  for (let i = 0; i < event.pieces; i++) {
    response.write(`piece ${i}\n`);
    if (event.gate && i === 0) await gate(event.gate);
    await new Promise((done) => setImmediate(done));
  }
  if (event.break) throw new Error("broken off");
  response.end();
});
