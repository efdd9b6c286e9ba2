// Sends events with Segment's own Node.js client: node segment_node.cjs CLIENTS_DIR URL WRITE_KEY COUNT
// Journals the id of each event on stdout as it is handed to the client; ends with `done` once the client has delivered all.
const { createRequire } = require("node:module");
const [clients, url, key, count] = process.argv.slice(2);
const { Analytics } = createRequire(`${clients}/`)("@segment/analytics-node");

const failures = [];
const client = new Analytics({ writeKey: key, host: url, flushAt: 20, flushInterval: 100, maxRetries: 30, httpRequestTimeout: 5000 });
client.on("error", (error) => failures.push(error));

function send(index) {
  const user = { userId: `user-${index % 50}` };
  const journal = (error, context) => (error ? failures.push(error) : delivered.add(context.event.messageId));
  const properties = { experiment_id: "checkout", variation_id: index % 4 < 2 ? "on" : "off" };
  switch (index % 10) {
    case 0: return client.identify({ ...user, traits: { plan: "pro" } }, journal);
    case 1: return client.page({ ...user, name: "Checkout", properties: { path: "/checkout" } }, journal);
    case 2:
    case 3: return client.track({ ...user, event: "Experiment Viewed", properties }, journal);
    case 4: return client.group({ ...user, groupId: "account-1", traits: { seats: 5 } }, journal);
    default: return client.track({ ...user, event: "Order Completed", properties: { revenue: 9.5 }, timestamp: new Date() }, journal);
  }
}

const delivered = new Set();
async function main() {
  for (let index = 0; index < Number(count); index += 1) {
    send(index);
    console.log(`sent ${index}`);
    if (index % 10 === 9) await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await client.closeAndFlush({ timeout: 90000 });
  if (failures.length > 0 || delivered.size !== Number(count)) {
    console.error(`delivered ${delivered.size} of ${count}`, failures[0]);
    process.exit(1);
  }
  for (const id of delivered) console.log(`id ${id}`);
  console.log("done");
}
main();
