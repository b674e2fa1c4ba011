-- Readings of balances. Amounts are decimal text; what was not told is null.
CREATE TABLE readings (
    account          TEXT    NOT NULL,
    at               INTEGER NOT NULL,
    currency         TEXT,
    balance          TEXT,
    available_credit TEXT,
    credit_limit     TEXT,
    pending          TEXT,
    burn_per_hour    TEXT,
    hours_left       TEXT,
    PRIMARY KEY (account, at)
) STRICT, WITHOUT ROWID;
CREATE INDEX readings_at ON readings (at);

-- Where each source beside the webhooks goes on from. Its bytes are its own.
CREATE TABLE places (
    account TEXT NOT NULL,
    source  TEXT NOT NULL,
    value   BLOB NOT NULL,
    PRIMARY KEY (account, source)
) STRICT, WITHOUT ROWID;

-- What was spent in a range of time.
CREATE INDEX ledger_charged ON ledger (at);

-- Whether a lane was told anything since some time.
CREATE INDEX deliveries_delivered ON deliveries (integration, target, group_key, created_at)
    WHERE state = 'delivered';
