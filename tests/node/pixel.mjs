/** Runs Shopify's custom pixel, whose text stands on the standard input with the events that Shopify
 * tells it, as Shopify does: {"pixel": "…", "events": [{"name": "product_viewed", …}]}. Ends when
 * what it posts is answered. */
import { readFileSync } from "node:fs";
import { runInNewContext } from "node:vm";

const { pixel, events } = JSON.parse(readFileSync(0, "utf8"));
const subscribers = new Map();
const posts = [];
runInNewContext(pixel, {
  URL,
  analytics: { subscribe: (name, heard) => subscribers.set(name, heard) },
  fetch: (...request) => posts.push(fetch(...request)),
});
for (const event of events) subscribers.get(event.name)(event);
for (const answer of await Promise.all(posts)) {
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
}
