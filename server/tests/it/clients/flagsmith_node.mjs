// Flagsmith's Node.js client: node flagsmith_node.mjs CLIENTS_DIR TASK (see task.mjs)
// It knows no variants, no experiments and no live updates; local evaluation polls.
import { listen, load, report, run, task, until } from "./task.mjs";

const { heard, fetch } = listen();
globalThis.fetch = fetch; // its analytics take no other
const { DefaultFlag, Flagsmith } = load("flagsmith-nodejs");
const silent = { error() {}, warn() {}, info() {}, debug() {} };

const client = (options = {}) =>
  new Flagsmith({
    environmentKey: task.client_key,
    apiUrl: `${task.base}/api/v1/`,
    retries: 0,
    logger: silent,
    ...options,
  });
const local = (seconds = 60) =>
  client({ environmentKey: task.server_key, enableLocalEvaluation: true, environmentRefreshIntervalSeconds: seconds });

// The traits as the client wants them: a transient one is {value, transient}.
const traits = (user) =>
  Object.fromEntries(
    Object.entries(user.traits ?? {}).map(([key, value]) => [
      key,
      user.transient_traits?.includes(key) ? { value, transient: true } : value,
    ]),
  );

function reportFlags(flags, user) {
  for (const name of task.flags) {
    const { enabled, value, isDefault, reason } = flags.getFlag(name);
    report({ user, flag: name, enabled, value, reason, is_default: isDefault });
  }
}

const environment = async (flagsmith) => reportFlags(await flagsmith.getEnvironmentFlags(), null);
async function identities(flagsmith) {
  for (const user of task.users) {
    reportFlags(await flagsmith.getIdentityFlags(user.id, traits(user), user.transient), user.id);
  }
}

// The name of what was thrown, and of what caused it.
async function failure(name, action) {
  try {
    const flag = await action();
    report({ case: name, enabled: flag.enabled, value: flag.value ?? null, is_default: flag.isDefault });
  } catch (error) {
    report({ case: name, error: error.cause?.constructor.name ?? error.constructor.name, message: String(error.cause ?? error) });
  }
}

await run({
  environment: () => environment(client()),
  identity: () => identities(client()),
  local_environment: () => environment(local()),
  local: () => identities(local()),

  // No live updates in this client: it asks for the document again.
  async polling() {
    const [flag, user] = [task.flags[0], task.users[0]];
    const flagsmith = local(0.1);
    const value = async () => (await flagsmith.getIdentityFlags(user.id, traits(user))).getFlag(flag).value;
    const before = await value();
    report({ ready: true, flag, value: before });
    const after = await until(async () => ((await value()) === before ? undefined : await value()));
    report({ user: user.id, flag, value: after });
  },

  async analytics() {
    const flagsmith = client({ enableAnalytics: true });
    const flags = await flagsmith.getEnvironmentFlags();
    for (let turn = 0; turn < 3; turn += 1) for (const name of task.flags) flags.isFeatureEnabled(name);
    await flagsmith.analyticsProcessor.flush();
    const { path, status, sent } = heard.at(-1);
    report({ path, status, sent: JSON.parse(sent) });
  },

  async errors() {
    const [flag, wrong] = [task.flags[0], { environmentKey: "env_wrong" }];
    const defaultFlagHandler = (name) => new DefaultFlag(`default of ${name}`, true);
    const get = async (flagsmith, name) => (await flagsmith.getEnvironmentFlags()).getFlag(name);
    await failure("wrong_key", () => get(client(wrong), flag));
    await failure("wrong_key_default", () => get(client({ ...wrong, defaultFlagHandler }), flag));
    await failure("unknown_flag", () => get(client(), "no-such-flag"));
    await failure("unknown_flag_default", () => get(client({ defaultFlagHandler }), "no-such-flag"));
    await failure("local_with_client_key", () => get(client({ enableLocalEvaluation: true }), flag));
    await failure("local_with_wrong_key", () =>
      get(client({ environmentKey: "ser.wrong", enableLocalEvaluation: true }), flag),
    );
  },
});
