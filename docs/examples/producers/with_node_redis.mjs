// Tell the fleet an event from Node on Redis, without any package:
// `BROKER_URL=redis://... node with_node_redis.mjs <event.json`.
import { randomUUID } from "node:crypto";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { connect as connectTls } from "node:tls";

// A Celery message of version 2 in the envelope kombu puts around it on a Redis list.
export function message(event) {
  return JSON.stringify({
    body: Buffer.from(JSON.stringify([[event], {}, {}])).toString("base64"),
    "content-type": "application/json",
    "content-encoding": "utf-8",
    headers: { task: "events.accept", id: randomUUID(), argsrepr: "", kwargsrepr: event.id },
    properties: {
      body_encoding: "base64",
      delivery_info: { exchange: "", routing_key: "events" },
      delivery_mode: 2,
      delivery_tag: randomUUID(),
    },
  });
}

function command(...words) {
  return `*${words.length}\r\n` + words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join("");
}

export async function send(address, event) {
  const url = new URL(address);
  const open = url.protocol === "rediss:" ? connectTls : connect;
  const socket = open({ host: url.hostname, port: Number(url.port || 6379), servername: url.hostname });
  const login = [url.username, url.password].filter(Boolean).map(decodeURIComponent);
  const commands = [
    ...(login.length ? [command("AUTH", ...login)] : []),
    command("SELECT", url.pathname.slice(1) || "0"),
    command("LPUSH", "events", message(event)),
  ];
  socket.setTimeout(10_000, () => socket.destroy(new Error("Redis gave no answer")));
  socket.write(commands.join(""));
  let answer = "";
  for await (const part of socket) {
    answer += part;
    if (answer.split("\r\n").length > commands.length) break; // each of these is answered by one line
  }
  const refused = answer.split("\r\n").find((line) => line.startsWith("-"));
  if (refused || !answer.includes(":")) throw new Error(`Redis did not take the event: ${refused ?? "no answer"}`);
}

if (process.argv[1] === import.meta.filename) {
  await send(process.env.BROKER_URL, JSON.parse(await text(process.stdin)));
}
