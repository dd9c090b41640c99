// What the subscribers' own libraries make of requests: Standard Webhooks' for the signature and the envelope,
// CloudEvents' for the binary mode of its HTTP binding. Reads {secret, requests: [{format, headers, body}]}, writes a
// list of what each request is to its receiver.
const { readFileSync } = require("node:fs");
const { Webhook } = require("standardwebhooks");
const { HTTP, CloudEvent } = require("cloudevents");

const { secret, requests } = JSON.parse(readFileSync(0, "utf8"));

function parse({ format, headers, body }) {
  const verified = new Webhook(secret).verify(body, headers); // throws when the signature is not good
  if (format !== "cloudevents") return { payload: verified };
  if (!HTTP.isEvent({ headers, body })) throw new Error("it is no CloudEvent");
  const event = HTTP.toEvent({ headers, body });
  if (!(event instanceof CloudEvent) || !event.validate()) throw new Error("it is no valid CloudEvent");
  const { id, source, type, specversion, time, datacontenttype, data } = event;
  const extensions = Object.keys(event).filter(
    (key) => event[key] !== undefined && !["id", "source", "type", "specversion", "time", "datacontenttype", "data"].includes(key));
  return { id, source, type, specversion, time, datacontenttype, extensions, payload: data };
}

console.log(JSON.stringify(requests.map(parse)));
