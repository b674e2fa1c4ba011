-- What the engine goes on from: series, groups, metrics. Its bytes are its own; values may be some KiB.
CREATE TABLE state (
    space TEXT NOT NULL,
    key   TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (space, key)
) STRICT;

-- One row for each charge. `at` is when it was charged, `reported_at` when the amount was
-- reported by the event's own time, `updated_at` when an event last touched it.
CREATE TABLE ledger (
    account       TEXT    NOT NULL,
    key           TEXT    NOT NULL,
    amount        TEXT    NOT NULL,
    currency      TEXT    NOT NULL,
    product       TEXT    NOT NULL,
    kind          TEXT    NOT NULL,
    at            INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    from_number   TEXT,
    to_number     TEXT,
    direction     TEXT,
    connection_id TEXT,
    country       TEXT,
    started_at    INTEGER,
    ended_at      INTEGER,
    reported_at   INTEGER NOT NULL,
    PRIMARY KEY (account, key)
) STRICT;
CREATE INDEX ledger_updated ON ledger (updated_at);

-- What is known of a call leg. `meta` counts them, kept by the triggers below.
CREATE TABLE calls (
    account    TEXT    NOT NULL,
    leg        TEXT    NOT NULL,
    learned_at INTEGER NOT NULL,
    context    BLOB    NOT NULL,
    PRIMARY KEY (account, leg)
) STRICT;
CREATE INDEX calls_learned ON calls (learned_at);
INSERT INTO meta (key, value) VALUES ('calls', 0);

CREATE TRIGGER call_added AFTER INSERT ON calls BEGIN
    UPDATE meta SET value = value + 1 WHERE key = 'calls';
END;
CREATE TRIGGER call_removed AFTER DELETE ON calls BEGIN
    UPDATE meta SET value = value - 1 WHERE key = 'calls';
END;

-- The `silences` of `meta` is their version: it grows with each one that is made or changed.
CREATE TABLE silences (
    id        TEXT    PRIMARY KEY,
    starts_at INTEGER NOT NULL,
    ends_at   INTEGER NOT NULL,
    silence   BLOB    NOT NULL
) STRICT;
CREATE INDEX silences_ended ON silences (ends_at);
INSERT INTO meta (key, value) VALUES ('silences', 0);

-- The story of each alert, in the order in which it was written.
CREATE TABLE journal (
    n           INTEGER PRIMARY KEY,
    at          INTEGER NOT NULL,
    fingerprint TEXT    NOT NULL,
    group_key   TEXT    NOT NULL,
    what        TEXT    NOT NULL,
    detail      TEXT    NOT NULL
) STRICT;
CREATE INDEX journal_of_alert ON journal (fingerprint);

-- How many alerts stand where, kept by the triggers below so that nobody has to count.
CREATE TABLE alert_counts (
    alertname TEXT    NOT NULL,
    state     TEXT    NOT NULL,
    count     INTEGER NOT NULL,
    PRIMARY KEY (alertname, state)
) STRICT, WITHOUT ROWID;
INSERT INTO alert_counts (alertname, state, count)
    SELECT alertname, state, count(*) FROM alerts GROUP BY alertname, state;
DROP INDEX alerts_by_state;

CREATE TRIGGER alert_added AFTER INSERT ON alerts BEGIN
    INSERT INTO alert_counts (alertname, state, count) VALUES (new.alertname, new.state, 1)
        ON CONFLICT (alertname, state) DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER alert_moved AFTER UPDATE OF alertname, state ON alerts
    WHEN old.alertname <> new.alertname OR old.state <> new.state BEGIN
    UPDATE alert_counts SET count = count - 1 WHERE alertname = old.alertname AND state = old.state;
    INSERT INTO alert_counts (alertname, state, count) VALUES (new.alertname, new.state, 1)
        ON CONFLICT (alertname, state) DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER alert_removed AFTER DELETE ON alerts BEGIN
    UPDATE alert_counts SET count = count - 1 WHERE alertname = old.alertname AND state = old.state;
END;
