// Receive events without any package: verify, remember the id, answer, and only then do the work.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const key = Buffer.from(process.env.WEBHOOK_SECRET.replace(/^whsec_/, ""), "base64");
const seen = new Set(); // in real life a table with a unique column

function isGenuine(headers, body) {
  const { "webhook-id": id, "webhook-timestamp": moment, "webhook-signature": given = "" } = headers;
  const isFresh = Math.abs(Date.now() / 1000 - Number(moment)) < 300; // false for what is no number
  const expected = createHmac("sha256", key).update(`${id}.${moment}.`).update(body).digest();
  return isFresh && given.split(" ").some((one) => {
    const [version, text = ""] = one.split(",");
    const signature = Buffer.from(text, "base64");
    return version === "v1" && signature.length === expected.length && timingSafeEqual(signature, expected);
  });
}

createServer(async (request, response) => {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  const body = Buffer.concat(pieces); // the bytes as they came: JSON that was parsed and written anew does not verify
  if (!isGenuine(request.headers, body)) return response.writeHead(401).end();
  const isNew = !seen.has(request.headers["webhook-id"]);
  seen.add(request.headers["webhook-id"]);
  response.writeHead(204).end();
  if (isNew) work(JSON.parse(body));
}).listen(Number(process.env.PORT ?? 8090), "127.0.0.1");

function work(event) {
  console.log(event.type, event.data);
}
