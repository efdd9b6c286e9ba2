// OpenFeature's server SDK with the OFREP provider: node ofrep_node.mjs CLIENTS_DIR TASK (see task.mjs)
import { load, report, run, task } from "./task.mjs";

const { OpenFeature } = load("@openfeature/server-sdk");
const { OFREPProvider } = load("@openfeature/ofrep-provider");

const bearer = (key) => [["Authorization", `Bearer ${key}`]];
async function client(headers) {
  // The server may only be reached without a slash at the end: the provider puts one in itself.
  await OpenFeature.setProviderAndWait(new OFREPProvider({ baseUrl: task.base, headers }));
  return OpenFeature.getClient();
}

const context = (user) => ({ ...(user.id && { targetingKey: user.id }), ...user.traits });
const ask = {
  boolean: (features, ...question) => features.getBooleanDetails(...question),
  string: (features, ...question) => features.getStringDetails(...question),
  integer: (features, ...question) => features.getNumberDetails(...question),
  float: (features, ...question) => features.getNumberDetails(...question),
  object: (features, ...question) => features.getObjectDetails(...question),
};

async function details(features, evaluation, user) {
  const answer = await ask[evaluation.type](features, evaluation.flag, evaluation.default, context(user));
  const { value, variant, reason, errorCode, errorMessage, flagMetadata } = answer;
  return { flag: evaluation.flag, type: evaluation.type, value, variant, reason, error: errorCode, message: errorMessage, metadata: flagMetadata };
}

async function values(headers) {
  const features = await client(headers);
  for (const user of task.users) {
    for (const evaluation of task.evaluations) {
      report({ user: user.id ?? null, ...(await details(features, evaluation, user)) });
    }
  }
}

await run({
  values: () => values(bearer(task.client_key)),
  // The other header that the protocol knows.
  values_by_api_key: () => values({ "X-API-Key": task.server_key }),

  async errors() {
    const [good, user] = [task.evaluations[0], task.users[0]];
    const features = await client(bearer(task.client_key));
    const unknown = { ...good, flag: "no-such-flag" };
    report({ case: "unknown_flag", ...(await details(features, unknown, user)) });
    // The provider puts the key into the path as it is.
    const nested = { ...good, flag: "team/no-such-flag" };
    report({ case: "unknown_flag_with_slash", ...(await details(features, nested, user)) });
    const mistaken = good.type === "string" ? { ...good, type: "boolean", default: true } : { ...good, type: "string", default: "mine" };
    report({ case: "type_mismatch", ...(await details(features, mistaken, user)) });
    const nobody = { traits: user.traits };
    report({ case: "missing_targeting_key", ...(await details(features, task.divided, nobody)) });
    for (const [name, headers] of [["wrong_key", bearer("env_wrong")], ["no_key", []]]) {
      report({ case: name, ...(await details(await client(headers), good, user)) });
    }
  },
});
