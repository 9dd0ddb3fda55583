/** Sends what stands on the standard input by Segment's own library for servers, and ends when all is
 * delivered: {"url": "http://…", "key": "…", "calls": [{"type": "track", …}]}. */
import { Analytics } from "@segment/analytics-node";
import { readFileSync } from "node:fs";

const { url, key, calls } = JSON.parse(readFileSync(0, "utf8"));
const analytics = new Analytics({ writeKey: key, host: url, flushAt: 5, maxRetries: 5 });
analytics.on("error", (error) => {
  console.error(error);
  process.exitCode = 1;
});
for (const { type, timestamp, ...call } of calls) {
  analytics[type]({ ...call, timestamp: new Date(timestamp) });
}
await analytics.closeAndFlush({ timeout: 20_000 });
