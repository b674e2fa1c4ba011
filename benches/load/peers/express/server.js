// A receiver as Telnyx's documents suggest it, plus a durable row: Express, Telnyx's own check, SQLite (WAL, synchronous=FULL).
// Usage: PUBLIC_KEY=… node server.js PORT FILE
import Database from "better-sqlite3";
import express from "express";
import Telnyx from "telnyx";

const [port, file] = process.argv.slice(2);
const db = new Database(file);
db.pragma("journal_mode = WAL");
db.pragma("synchronous = FULL");
db.exec("CREATE TABLE IF NOT EXISTS events (id TEXT PRIMARY KEY, body BLOB NOT NULL)");
const insert = db.prepare("INSERT OR IGNORE INTO events (id, body) VALUES (?, ?)");
const telnyx = new Telnyx({ apiKey: "none", publicKey: process.env.PUBLIC_KEY });

const app = express();
app.disable("x-powered-by");
app.disable("etag");
app.post("/webhooks/telnyx", express.raw({ type: () => true, limit: "1mb" }), async (request, response) => {
  let event;
  try {
    event = await telnyx.webhooks.unwrap(request.body.toString(), { headers: request.headers });
  } catch {
    return response.sendStatus(401);
  }
  insert.run(event.data.id, request.body);
  response.status(200).end();
});
app.listen(Number(port), "127.0.0.1");
