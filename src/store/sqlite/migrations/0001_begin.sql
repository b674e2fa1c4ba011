-- Times are microseconds since 1970 UTC. Decimals are text. JSON is kept as the bytes of its text, so that
-- the source text of numbers and `\u0000` survive.

-- Single values of this database.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta (key, value) VALUES ('cursor', 0), ('probe', 0);

-- Events in the order of acceptance. AUTOINCREMENT: a place is never given twice, whatever is deleted.
CREATE TABLE inbox (
    seq            INTEGER PRIMARY KEY AUTOINCREMENT,
    id             TEXT    NOT NULL,
    account        TEXT    NOT NULL,
    kind           TEXT    NOT NULL,
    type           TEXT    NOT NULL,
    occurred_at    INTEGER,
    received_at    INTEGER NOT NULL,
    attempt        INTEGER,
    source         TEXT    NOT NULL,
    cost           TEXT,
    charge         TEXT,
    currency       TEXT,
    content_hashed INTEGER NOT NULL,
    payload        BLOB    -- NULL: dropped when the event was judged
) STRICT;

-- Which events are here already. A row lives as long as its event; past `until` the same id is a new event.
CREATE TABLE dedupe (
    id      TEXT    NOT NULL,
    account TEXT    NOT NULL,
    seq     INTEGER NOT NULL,
    until   INTEGER NOT NULL,
    PRIMARY KEY (id, account)
) STRICT, WITHOUT ROWID;

CREATE TABLE judgements (
    seq         INTEGER NOT NULL REFERENCES inbox (seq) ON DELETE CASCADE,
    n           INTEGER NOT NULL,
    rule        TEXT    NOT NULL,
    outcome     TEXT    NOT NULL,
    fingerprint TEXT,
    detail      TEXT    NOT NULL,
    config      TEXT    NOT NULL,
    PRIMARY KEY (seq, n)
) STRICT, WITHOUT ROWID;

-- Events that could not be judged.
CREATE TABLE faulted (
    seq    INTEGER PRIMARY KEY REFERENCES inbox (seq) ON DELETE CASCADE,
    detail TEXT NOT NULL
) STRICT;

CREATE TABLE alerts (
    fingerprint TEXT    PRIMARY KEY,
    alertname   TEXT    NOT NULL,
    state       TEXT    NOT NULL,
    ends_at     INTEGER NOT NULL,
    alert       BLOB    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX alerts_by_state ON alerts (alertname, state);
CREATE INDEX alerts_firing ON alerts (fingerprint) WHERE state = 'firing';
CREATE INDEX alerts_ended ON alerts (ends_at) WHERE state <> 'firing';

-- `n` is the order of queueing. Open (pending or sending) means `finished_at IS NULL`.
CREATE TABLE deliveries (
    n              INTEGER PRIMARY KEY AUTOINCREMENT,
    id             TEXT    NOT NULL UNIQUE,
    integration    TEXT    NOT NULL,
    receiver       TEXT    NOT NULL,
    target         TEXT    NOT NULL,
    group_key      TEXT    NOT NULL,
    state          TEXT    NOT NULL,
    attempts       INTEGER NOT NULL DEFAULT 0,
    created_at     INTEGER NOT NULL,
    not_before     INTEGER NOT NULL,
    lease_until    INTEGER,
    finished_at    INTEGER,
    reason         TEXT    NOT NULL DEFAULT '',
    detail         TEXT    NOT NULL DEFAULT '',
    fallback_at    INTEGER,
    fallback_rung  INTEGER NOT NULL DEFAULT 0,
    fallback_of    TEXT,
    -- 1: an attempt was cut off. 2: it was, and has been repeated since.
    maybe_repeated INTEGER NOT NULL DEFAULT 0,
    message        BLOB    NOT NULL
) STRICT;
CREATE INDEX deliveries_open ON deliveries (integration, target, group_key, state, n)
    WHERE finished_at IS NULL;
CREATE INDEX deliveries_sending ON deliveries (integration) WHERE state = 'sending';
CREATE INDEX deliveries_dead ON deliveries (receiver) WHERE state = 'dead';
CREATE INDEX deliveries_finished ON deliveries (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX deliveries_fallback ON deliveries (fallback_at)
    WHERE finished_at IS NULL AND fallback_rung = 0 AND fallback_at IS NOT NULL;

-- One row for each lane with open deliveries: when it can next be claimed from. Derived from `deliveries`.
CREATE TABLE lanes (
    integration TEXT    NOT NULL,
    target      TEXT    NOT NULL,
    group_key   TEXT    NOT NULL,
    due_at      INTEGER NOT NULL,
    PRIMARY KEY (integration, target, group_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX lanes_due ON lanes (integration, due_at);

CREATE TABLE attempts (
    delivery    INTEGER NOT NULL REFERENCES deliveries (n) ON DELETE CASCADE,
    n           INTEGER NOT NULL,
    number      INTEGER NOT NULL,
    finished_at INTEGER NOT NULL,
    outcome     TEXT    NOT NULL,
    reason      TEXT    NOT NULL,
    detail      TEXT    NOT NULL,
    PRIMARY KEY (delivery, n)
) STRICT, WITHOUT ROWID;

-- Which deliveries an event caused. A link outlives its delivery, never its event.
CREATE TABLE caused (
    seq      INTEGER NOT NULL REFERENCES inbox (seq) ON DELETE CASCADE,
    delivery TEXT    NOT NULL,
    PRIMARY KEY (seq, delivery)
) STRICT, WITHOUT ROWID;

-- How many deliveries stand where, kept by the triggers below so that nobody has to count.
CREATE TABLE delivery_counts (
    receiver TEXT    NOT NULL,
    state    TEXT    NOT NULL,
    count    INTEGER NOT NULL,
    PRIMARY KEY (receiver, state)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER delivery_added AFTER INSERT ON deliveries BEGIN
    INSERT INTO delivery_counts (receiver, state, count) VALUES (new.receiver, new.state, 1)
        ON CONFLICT (receiver, state) DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER delivery_moved AFTER UPDATE OF state ON deliveries WHEN old.state <> new.state BEGIN
    UPDATE delivery_counts SET count = count - 1 WHERE receiver = old.receiver AND state = old.state;
    INSERT INTO delivery_counts (receiver, state, count) VALUES (new.receiver, new.state, 1)
        ON CONFLICT (receiver, state) DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER delivery_removed AFTER DELETE ON deliveries BEGIN
    UPDATE delivery_counts SET count = count - 1 WHERE receiver = old.receiver AND state = old.state;
END;
