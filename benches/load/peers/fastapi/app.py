"""A receiver in Python: FastAPI, Telnyx's own check, SQLite (WAL, synchronous=FULL). PUBLIC_KEY and FILE say which."""

import os
import sqlite3

from fastapi import FastAPI, Request, Response
from telnyx import Telnyx
from telnyx.lib.webhook_verification import WebhookVerificationError

db = sqlite3.connect(os.environ["FILE"], isolation_level=None, check_same_thread=False)
db.execute("PRAGMA journal_mode = WAL")
db.execute("PRAGMA synchronous = FULL")
db.execute("CREATE TABLE IF NOT EXISTS events (id TEXT PRIMARY KEY, body BLOB NOT NULL)")
telnyx = Telnyx(api_key="none", public_key=os.environ["PUBLIC_KEY"])
app = FastAPI(openapi_url=None)


@app.post("/webhooks/telnyx")
async def webhook(request: Request):
    body = await request.body()
    try:
        event = telnyx.webhooks.unwrap(body, headers=dict(request.headers))
    except WebhookVerificationError:
        return Response(status_code=401)
    db.execute("INSERT OR IGNORE INTO events (id, body) VALUES (?, ?)", (event.data.id, body))
    return Response(status_code=200)
