// What the scripts of the flag clients share: loading a pinned client, one JSON line a result, waiting under a deadline.
// Each script: node SCRIPT CLIENTS_DIR TASK, where TASK is a JSON object (see sdks.rs) and `mode` names what to do.
import { createRequire } from "node:module";

const [clients, argument] = process.argv.slice(2);

// Loads a client from the folder of pinned packages.
export const load = createRequire(`${clients}/`);

// What to do: {base, client_key, server_key, mode, users: [{id, traits, transient_traits?, transient?}], flags, ...}.
export const task = JSON.parse(argument);

// Prints a result. `undefined` is left out, as JSON has no such thing.
export const report = (result) => console.log(JSON.stringify(result));

// Waits until `question` answers something, within the task's deadline.
export async function until(question) {
  const end = Date.now() + (task.deadline_ms ?? 10_000);
  for (;;) {
    const answer = await question();
    if (answer !== undefined) return answer;
    if (Date.now() > end) throw new Error(`not within ${task.deadline_ms ?? 10_000} ms`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

// Lets every request pass unchanged and remembers what was sent and answered.
export function listen() {
  const heard = [];
  const real = globalThis.fetch;
  const fetch = async (input, init) => {
    const request = new Request(input, init);
    const sent = request.method === "POST" ? await request.clone().text() : null;
    const response = await real(request, { signal: init?.signal });
    const answered = response.status === 304 ? "" : await response.clone().text();
    heard.push({
      method: request.method,
      path: new URL(request.url).pathname,
      if_none_match: request.headers.get("if-none-match") ?? undefined,
      sent,
      status: response.status,
      etag: response.headers.get("etag") ?? undefined,
      answered,
    });
    return response;
  };
  return { heard, fetch };
}

// Node has no EventSource: a standard one becomes global, as in a browser. `opened` counts the streams that got through.
export function browserStreams() {
  const { EventSource } = load("eventsource");
  const streams = { opened: 0 };
  globalThis.EventSource = class extends EventSource {
    constructor(...options) {
      super(...options);
      this.addEventListener("open", () => (streams.opened += 1));
    }
  };
  return streams;
}

// Runs the task's mode. Clients keep timers and sockets, so the process is ended here.
export async function run(modes) {
  try {
    const mode = modes[task.mode];
    if (!mode) throw new Error(`this client has no mode ${task.mode}`);
    await mode();
    report({ done: true });
    process.exit(0);
  } catch (error) {
    console.error(error);
    process.exit(1);
  }
}
