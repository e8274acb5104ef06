// Tell the fleet an event from Node through RabbitMQ's management API, without any package:
// `RABBITMQ_URL=http://USER:PASSWORD@rabbitmq:15672 RABBITMQ_VHOST=/ node with_node_rabbitmq.mjs <event.json`.
import { randomUUID } from "node:crypto";
import { text } from "node:stream/consumers";

export async function send(address, vhost, event) {
  const url = new URL(`/api/exchanges/${encodeURIComponent(vhost)}/amq.default/publish`, address);
  const login = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  url.username = url.password = "";
  const answer = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Basic ${Buffer.from(login).toString("base64")}` },
    body: JSON.stringify({
      routing_key: "events",
      payload_encoding: "string",
      payload: JSON.stringify([[event], {}, {}]),
      properties: {
        content_type: "application/json",
        content_encoding: "utf-8",
        delivery_mode: 2,
        headers: { task: "events.accept", id: randomUUID(), argsrepr: "", kwargsrepr: event.id },
      },
    }),
  });
  const told = await answer.json();
  if (!told.routed) throw new Error(`RabbitMQ did not take the event: ${answer.status} ${told.reason ?? "no such queue"}`);
}

if (process.argv[1] === import.meta.filename) {
  await send(process.env.RABBITMQ_URL, process.env.RABBITMQ_VHOST, JSON.parse(await text(process.stdin)));
}
