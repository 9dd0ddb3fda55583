/** The same by RudderStack's library for servers, whose bodies are in gzip. */
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const RudderAnalytics = createRequire(import.meta.url)("@rudderstack/rudder-sdk-node");
const { url, key, calls } = JSON.parse(readFileSync(0, "utf8"));
const analytics = new (RudderAnalytics.default ?? RudderAnalytics)(key, {
  dataPlaneUrl: url, flushAt: 5, gzip: true,
});
const failed = (error) => {
  if (error) {
    console.error(error);
    process.exitCode = 1;
  }
};
for (const { type, timestamp, ...call } of calls) {
  analytics[type]({ ...call, timestamp: new Date(timestamp) }, failed);
}
await analytics.flush(failed);
