// OpenFeature's web SDK with the OFREP web provider: node ofrep_web.mjs CLIENTS_DIR TASK (see task.mjs)
// It evaluates all flags in one request, keeps the answer by its ETag, and refreshes on a stream's event or by polling.
import { browserStreams, listen, load, report, run, task, until } from "./task.mjs";

const streams = browserStreams();
const { OpenFeature, ProviderEvents } = load("@openfeature/web-sdk");
const { OFREPWebProvider } = load("@openfeature/ofrep-web-provider");
const { heard, fetch } = listen();

const bearer = (key) => [["Authorization", `Bearer ${key}`]];
const context = (user) => ({ ...(user.id && { targetingKey: user.id }), ...user.traits });

async function client(user, options = {}) {
  const provider = new OFREPWebProvider({
    baseUrl: task.base,
    headers: bearer(task.client_key),
    cacheMode: "disabled",
    changeDetection: "none",
    fetchImplementation: fetch,
    ...options,
  });
  await OpenFeature.setContext(context(user));
  await OpenFeature.setProviderAndWait(provider);
  return OpenFeature.getClient();
}

const ask = {
  boolean: (features, ...question) => features.getBooleanDetails(...question),
  string: (features, ...question) => features.getStringDetails(...question),
  integer: (features, ...question) => features.getNumberDetails(...question),
  float: (features, ...question) => features.getNumberDetails(...question),
  object: (features, ...question) => features.getObjectDetails(...question),
};

function details(features, evaluation) {
  const answer = ask[evaluation.type](features, evaluation.flag, evaluation.default);
  const { value, variant, reason, errorCode, errorMessage, flagMetadata } = answer;
  return { flag: evaluation.flag, type: evaluation.type, value, variant, reason, error: errorCode, message: errorMessage, metadata: flagMetadata };
}

// Waits for the provider to say that flags have changed, until the first flag's value is another.
async function untilChanged(features, ready) {
  const evaluation = task.evaluations[0];
  const before = details(features, evaluation).value;
  const changed = [];
  features.addHandler(ProviderEvents.ConfigurationChanged, (event) => changed.push(...(event?.flagsChanged ?? [])));
  await until(ready);
  report({ ready: true, flag: evaluation.flag, value: before });
  const value = await until(() => {
    const { value } = details(features, evaluation);
    return value === before ? undefined : value;
  });
  await until(() => (changed.includes(evaluation.flag) ? true : undefined));
  report({ user: task.users[0].id, flag: evaluation.flag, value, changed: [...new Set(changed)].sort() });
}

await run({
  async values() {
    const features = await client(task.users[0]);
    for (const user of task.users) {
      await OpenFeature.setContext(context(user));
      for (const evaluation of task.evaluations) report({ user: user.id ?? null, ...details(features, evaluation) });
    }
  },

  // The same context again is a 304. Other attributes of the same user are asked for with the old ETag, too, and must not be.
  async etag() {
    const [user, other] = task.users;
    const features = await client(user);
    await OpenFeature.setContext(context(user));
    await OpenFeature.setContext({ ...context(other), targetingKey: user.id });
    report({ user: user.id, ...details(features, task.evaluations[0]) });
    await OpenFeature.setContext(context(other));
    for (const { status, etag, if_none_match } of heard) report({ status, etag, if_none_match });
  },

  realtime: async () =>
    untilChanged(await client(task.users[0], { changeDetection: "sse" }), () => (streams.opened > 0 ? true : undefined)),

  polling: async () =>
    untilChanged(await client(task.users[0], { changeDetection: "polling", pollInterval: 100 }), () => true),

  async errors() {
    const [good, user] = [task.evaluations[0], task.users[0]];
    const features = await client(user);
    report({ case: "unknown_flag", ...details(features, { ...good, flag: "no-such-flag" }) });
    const mistaken = good.type === "string" ? { ...good, type: "boolean", default: true } : { ...good, type: "string", default: "mine" };
    report({ case: "type_mismatch", ...details(features, mistaken) });
    // A page before anybody has logged in: what needs no user must still come.
    const visitor = await client({ traits: user.traits });
    report({ case: "missing_targeting_key", ...details(visitor, task.divided) });
    report({ case: "no_targeting_key_needed", ...details(visitor, task.plain) });
    for (const [name, headers] of [["wrong_key", bearer("env_wrong")], ["no_key", []]]) {
      const failed = await client(user, { headers }).catch((error) => error);
      report({ case: name, status: heard.at(-1).status, provider: OpenFeature.getClient().providerStatus, thrown: failed.constructor.name, ...details(OpenFeature.getClient(), good) });
    }
  },
});
