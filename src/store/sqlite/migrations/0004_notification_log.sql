-- A delivery says who is owed a notification about which group; what it says is composed when it is claimed.

-- What was composed, shared by all to whom the same was sent. It goes with the last delivery that refers to it, by the
-- triggers below.
CREATE TABLE contents (
    n           INTEGER PRIMARY KEY,
    digest      BLOB    NOT NULL UNIQUE,
    composed_at INTEGER NOT NULL,
    message     BLOB    NOT NULL
) STRICT;

-- The messages of today's deliveries, each by itself: its digest is the delivery's id.
INSERT INTO contents (digest, composed_at, message)
    SELECT CAST(id AS BLOB), created_at, message FROM deliveries ORDER BY n;

DROP TRIGGER delivery_added;
DROP TRIGGER delivery_moved;
DROP TRIGGER delivery_removed;

CREATE TABLE deliveries_new (
    n                  INTEGER PRIMARY KEY AUTOINCREMENT,
    id                 TEXT    NOT NULL UNIQUE,
    integration        TEXT    NOT NULL,
    receiver           TEXT    NOT NULL,
    target             TEXT    NOT NULL,
    group_key          TEXT    NOT NULL,
    state              TEXT    NOT NULL,
    attempts           INTEGER NOT NULL DEFAULT 0,
    created_at         INTEGER NOT NULL,
    -- The next try, or the end of the lease while it is being sent.
    due_at             INTEGER NOT NULL,
    finished_at        INTEGER,
    -- Why it was sent last: the reason of the notification.
    why                TEXT    NOT NULL DEFAULT '',
    reason             TEXT    NOT NULL DEFAULT '',
    detail             TEXT    NOT NULL DEFAULT '',
    fallback_at        INTEGER,
    fallback_triggered INTEGER NOT NULL DEFAULT 0,
    fallback_of        TEXT,
    -- 1: an attempt was cut off. 2: it was, and has been repeated since.
    maybe_repeated     INTEGER NOT NULL DEFAULT 0,
    -- How often its content changed between attempts.
    revision           INTEGER NOT NULL DEFAULT 0,
    content            INTEGER REFERENCES contents (n),
    by_hand            INTEGER NOT NULL DEFAULT 0,
    -- Whether the engine has taken note of its end.
    noted              INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Of those that wait for the same target the newest stays: it is composed anew when it is claimed.
INSERT INTO deliveries_new
    SELECT n, id, integration, receiver, target, group_key,
           CASE WHEN finished_at IS NULL AND n < newest THEN 'superseded'
                WHEN state = 'sending' THEN 'pending' ELSE state END,
           attempts, created_at, not_before,
           CASE WHEN finished_at IS NULL AND n < newest THEN not_before ELSE finished_at END,
           '',
           CASE WHEN finished_at IS NULL AND n < newest THEN 'replaced' ELSE reason END,
           detail, fallback_at, fallback_rung, fallback_of,
           CASE WHEN state = 'sending' THEN 1 ELSE maybe_repeated END,
           0, (SELECT contents.n FROM contents WHERE contents.digest = CAST(id AS BLOB)), 0,
           -- 2: was open until now; what it said is owed all the same.
           CASE WHEN finished_at IS NOT NULL THEN 1 WHEN n = newest THEN 0 ELSE 2 END
    FROM (SELECT *, max(CASE WHEN finished_at IS NULL THEN n END)
              OVER (PARTITION BY integration, target, group_key) AS newest FROM deliveries);

CREATE TABLE attempts_new (
    delivery    INTEGER NOT NULL,
    n           INTEGER NOT NULL,
    number      INTEGER NOT NULL,
    finished_at INTEGER NOT NULL,
    outcome     TEXT    NOT NULL,
    reason      TEXT    NOT NULL,
    detail      TEXT    NOT NULL,
    PRIMARY KEY (delivery, n)
) STRICT, WITHOUT ROWID;
INSERT INTO attempts_new SELECT * FROM attempts;
DROP TABLE attempts;

DROP TABLE deliveries;
ALTER TABLE deliveries_new RENAME TO deliveries;
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
INSERT INTO attempts SELECT * FROM attempts_new;
DROP TABLE attempts_new;
DROP TABLE lanes;

CREATE UNIQUE INDEX deliveries_open ON deliveries (integration, target, group_key)
    WHERE finished_at IS NULL;
CREATE INDEX deliveries_due ON deliveries (integration, due_at) WHERE finished_at IS NULL;
CREATE INDEX deliveries_unnoted ON deliveries (n) WHERE finished_at IS NOT NULL AND noted = 0;
CREATE INDEX deliveries_receiver ON deliveries (receiver, n);
CREATE INDEX deliveries_dead ON deliveries (receiver) WHERE state = 'dead';
CREATE INDEX deliveries_finished ON deliveries (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX deliveries_to_fallbacks ON deliveries (integration, target, group_key, created_at)
    WHERE fallback_of IS NOT NULL;
CREATE INDEX deliveries_content ON deliveries (content);
CREATE INDEX deliveries_fallback ON deliveries (fallback_at)
    WHERE finished_at IS NULL AND fallback_triggered = 0 AND fallback_at IS NOT NULL;

CREATE TRIGGER content_changed AFTER UPDATE OF content ON deliveries
    WHEN old.content IS NOT NULL AND old.content IS NOT new.content BEGIN
    DELETE FROM contents WHERE n = old.content
        AND NOT EXISTS (SELECT 1 FROM deliveries WHERE content = old.content);
END;
CREATE TRIGGER content_removed AFTER DELETE ON deliveries WHEN old.content IS NOT NULL BEGIN
    DELETE FROM contents WHERE n = old.content
        AND NOT EXISTS (SELECT 1 FROM deliveries WHERE content = old.content);
END;

-- What each target was last told of a group, successfully.
CREATE TABLE notification_log (
    group_key   TEXT    NOT NULL,
    integration TEXT    NOT NULL,
    target      TEXT    NOT NULL,
    -- The delivery and the attempt that wrote it: an older one that answers late writes nothing.
    delivery    INTEGER NOT NULL,
    attempt     INTEGER NOT NULL,
    entry       BLOB    NOT NULL,
    PRIMARY KEY (group_key, integration, target)
) STRICT, WITHOUT ROWID;
CREATE INDEX notification_log_of_integration ON notification_log (integration);

-- Integrations that are left alone for a while.
CREATE TABLE integrations (
    id           TEXT    PRIMARY KEY,
    paused_until INTEGER NOT NULL,
    reason       TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- How many deliveries of each receiver have ended in which way; those that are open are counted by their index.
DROP TABLE delivery_counts;
CREATE TABLE delivery_counts (
    receiver TEXT    NOT NULL,
    state    TEXT    NOT NULL,
    count    INTEGER NOT NULL,
    PRIMARY KEY (receiver, state)
) STRICT, WITHOUT ROWID;
INSERT INTO delivery_counts
    SELECT receiver, state, count(*) FROM deliveries WHERE finished_at IS NOT NULL GROUP BY receiver, state;
CREATE TRIGGER delivery_ended AFTER UPDATE OF finished_at ON deliveries
    WHEN old.finished_at IS NULL AND new.finished_at IS NOT NULL BEGIN
    INSERT INTO delivery_counts (receiver, state, count) VALUES (new.receiver, new.state, 1)
        ON CONFLICT (receiver, state) DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER delivery_revived AFTER UPDATE OF finished_at ON deliveries
    WHEN old.finished_at IS NOT NULL AND new.finished_at IS NULL BEGIN
    UPDATE delivery_counts SET count = count - 1 WHERE receiver = old.receiver AND state = old.state;
END;
CREATE TRIGGER delivery_late AFTER UPDATE OF state ON deliveries
    WHEN old.finished_at IS NOT NULL AND new.finished_at IS NOT NULL AND old.state <> new.state BEGIN
    UPDATE delivery_counts SET count = count - 1 WHERE receiver = old.receiver AND state = old.state;
    INSERT INTO delivery_counts (receiver, state, count) VALUES (new.receiver, new.state, 1)
        ON CONFLICT (receiver, state) DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER delivery_removed AFTER DELETE ON deliveries WHEN old.finished_at IS NOT NULL BEGIN
    UPDATE delivery_counts SET count = count - 1 WHERE receiver = old.receiver AND state = old.state;
END;
