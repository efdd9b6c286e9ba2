// Flagsmith's browser client: node flagsmith_js.mjs CLIENTS_DIR TASK (see task.mjs)
// It believes to be in a browser: a window, its storage and EventSource are there before it is loaded.
import { browserStreams, listen, load, report, run, task, until } from "./task.mjs";

const stored = new Map();
globalThis.localStorage = { getItem: (key) => stored.get(key) ?? null, setItem: (key, value) => stored.set(key, value) };
globalThis.window = globalThis;
const streams = browserStreams();
const { createFlagsmithInstance } = load("@flagsmith/flagsmith/isomorphic");
const { heard, fetch } = listen();

// The identity as the client wants it. One without traits is asked for by GET, one with traits by POST.
const identity = (user) => ({
  identifier: user.id,
  transient: user.transient,
  traits: Object.fromEntries(
    Object.entries(user.traits ?? {}).map(([key, value]) => [
      key,
      { value, transient: user.transient_traits?.includes(key) || undefined },
    ]),
  ),
});

async function client(user, options = {}) {
  const flagsmith = createFlagsmithInstance();
  await flagsmith.init({
    evaluationContext: { environment: { apiKey: task.client_key }, ...(user && { identity: identity(user) }) },
    api: `${task.base}/api/v1/`,
    fetch,
    ...options,
  });
  return flagsmith;
}

function reportFlags(flagsmith, user) {
  for (const name of task.flags) {
    const flag = flagsmith.getAllFlags()[name.toLowerCase()];
    report({ user, flag: name, enabled: flag?.enabled, value: flag?.value, variant: flag?.variant ?? null, reason: flag?.reason });
  }
}

const events = () =>
  heard
    .filter(({ path }) => path === "/v1/events")
    .forEach(({ status, sent, answered }) =>
      report({ events: JSON.parse(sent).events.length, status, answer: JSON.parse(answered) }),
    );

await run({
  environment: async () => reportFlags(await client(), null),

  async identity() {
    for (const user of task.users) {
      const flagsmith = await client(user);
      reportFlags(flagsmith, user.id);
      // The client takes over what comes back.
      const { identifier, traits = {} } = flagsmith.getContext().identity;
      const transient = Object.keys(traits).filter((key) => traits[key].transient);
      report({ user: identifier, traits: flagsmith.getAllTraits(), transient_traits: transient, method: heard.at(-1).method });
    }
  },

  // Traits of a visitor that nobody has identified yet: the client sends no identifier.
  async anonymous() {
    const flagsmith = await client({ ...task.users[0], id: undefined, transient: true });
    reportFlags(flagsmith, null);
    report({ traits: flagsmith.getAllTraits(), status: heard.at(-1).status, sent: JSON.parse(heard.at(-1).sent) });
  },

  // Each user sees the flag (an exposure when in the experiment) and then converts.
  async experiment() {
    for (const user of task.users) {
      const flagsmith = await client(user, {
        enableEvents: true,
        eventProcessorConfig: { eventsApiUrl: task.base, flushInterval: 0 },
      });
      const flag = flagsmith.getExperimentFlag(task.flags[0]);
      report({ user: user.id, flag: task.flags[0], enabled: flag.enabled, value: flag.value, variant: flag.variant ?? null, experiment: flag.experiment ?? null });
      flagsmith.trackEvent(task.conversion.event, { value: task.conversion.value, metadata: task.conversion.metadata });
      await flagsmith.flushEvents();
    }
    events();
  },

  async realtime() {
    const [flag, user] = [task.flags[0], task.users[0]];
    const flagsmith = await client(user, { realtime: true, eventSourceUrl: `${task.base}/` });
    const value = () => flagsmith.getValue(flag, { skipAnalytics: true });
    const before = value();
    await until(() => (streams.opened > 0 ? true : undefined));
    report({ ready: true, flag, value: before });
    report({ user: user.id, flag, value: await until(() => (value() === before ? undefined : value())) });
  },

  async analytics() {
    const flagsmith = await client(null, { enableAnalytics: true });
    for (let turn = 0; turn < 3; turn += 1) for (const name of task.flags) flagsmith.hasFeature(name);
    await flagsmith.analyticsFlags();
    const { path, status, sent } = heard.at(-1);
    report({ path, status, sent: JSON.parse(sent) });
  },

  async errors() {
    try {
      await client(null, { evaluationContext: { environment: { apiKey: "env_wrong" } } });
      report({ case: "wrong_key" });
    } catch (error) {
      report({ case: "wrong_key", error: error.constructor.name, status: heard.at(-1).status });
    }
    const defaultFlags = { [task.flags[0]]: { enabled: true, value: "default" } };
    const broken = createFlagsmithInstance();
    await broken
      .init({ environmentID: "env_wrong", api: `${task.base}/api/v1/`, fetch, defaultFlags, cacheFlags: true })
      .catch(() => {});
    report({ case: "wrong_key_default", enabled: broken.hasFeature(task.flags[0]), value: broken.getValue(task.flags[0]) });
    const flagsmith = await client();
    report({ case: "unknown_flag", enabled: flagsmith.hasFeature("no-such-flag"), value: flagsmith.getValue("no-such-flag") });
    const fallback = "default";
    report({ case: "unknown_flag_default", enabled: flagsmith.hasFeature("no-such-flag", { fallback: true }), value: flagsmith.getValue("no-such-flag", { fallback }) });
  },
});
