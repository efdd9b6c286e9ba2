// Sends events with RudderStack's own Node.js client: node rudder_node.cjs CLIENTS_DIR URL WRITE_KEY COUNT
// Journals each event on stdout as it is handed to the client; ends with `done` once the client has delivered all.
const { createRequire } = require("node:module");
const { randomUUID } = require("node:crypto");
const [clients, url, key, count] = process.argv.slice(2);
const Analytics = createRequire(`${clients}/`)("@rudderstack/rudder-sdk-node");

const failures = [];
const delivered = new Set();
const client = new Analytics(key, {
  dataPlaneUrl: url,
  flushAt: 20,
  flushInterval: 100,
  retryCount: 60,
  axiosRetryConfig: { retryDelay: () => 250 },
  errorHandler: (error) => failures.push(error),
  logLevel: "none",
});

function send(index) {
  const message = { userId: `user-${index % 50}`, messageId: randomUUID() };
  const journal = (error) => (error ? failures.push(error) : delivered.add(message.messageId));
  const properties = { experiment_id: "checkout", variation_id: index % 4 < 2 ? "on" : "off" };
  switch (index % 10) {
    case 0: return client.identify({ ...message, traits: { plan: "pro" } }, journal);
    case 1: return client.page({ ...message, name: "Checkout", properties: { path: "/checkout" } }, journal);
    case 2:
    case 3: return client.track({ ...message, event: "Experiment Viewed", properties }, journal);
    case 4: return client.group({ ...message, groupId: "account-1", traits: { seats: 5 } }, journal);
    default: return client.track({ ...message, event: "Order Completed", properties: { revenue: 9.5 } }, journal);
  }
}

async function main() {
  for (let index = 0; index < Number(count); index += 1) {
    send(index);
    console.log(`sent ${index}`);
    if (index % 10 === 9) await new Promise((resolve) => setTimeout(resolve, 100));
  }
  // A flush answers for its own batch only; another, begun by the client's timer, may still be on its way.
  while (failures.length === 0 && delivered.size < Number(count)) {
    await client.flush();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  if (failures.length > 0 || delivered.size !== Number(count)) {
    console.error(`delivered ${delivered.size} of ${count}`, failures[0]);
    process.exit(1);
  }
  for (const id of delivered) console.log(`id ${id}`);
  console.log("done");
  process.exit(0);
}
main();
