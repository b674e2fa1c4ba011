-- `~name` stands for the name in tollbell's own schema. Times are microseconds since 1970 UTC, by tollbell's clock; only
-- leases go by the database's. Decimals are text. JSON is kept as the bytes of its text, so that the source text of numbers
-- and `\u0000` survive. Keys compare by their bytes.

-- Single values of this database. `calls` counts the calls, `judged` the events that were judged, `silences` is the
-- version of the silences: it grows with each one that is made or changed.
CREATE TABLE ~meta (
    key   text COLLATE "C" PRIMARY KEY,
    value bigint NOT NULL
);
INSERT INTO ~meta (key, value)
    VALUES ('cursor', 0), ('judged', 0), ('probe', 0), ('calls', 0), ('silences', 0);

-- Events in the order of acceptance. Places are drawn under a shared lock (see `arrivals`); some are never used.
CREATE SEQUENCE ~inbox_seq;
CREATE TABLE ~inbox (
    seq            bigint PRIMARY KEY,
    id             text COLLATE "C" NOT NULL,
    account        text COLLATE "C" NOT NULL,
    kind           text COLLATE "C" NOT NULL,
    type           text COLLATE "C" NOT NULL,
    occurred_at    bigint,
    received_at    bigint NOT NULL,
    attempt        integer,
    source         text NOT NULL,
    cost           text,
    charge         text,
    currency       text,
    content_hashed boolean NOT NULL,
    payload        bytea -- NULL: dropped when the event was judged
);

-- What an event changed in the ledger, beside the event: its row is not written anew for that.
CREATE TABLE ~charges (
    seq    bigint PRIMARY KEY,
    charge text NOT NULL
);

-- Which events are here already. A row lives as long as its event; past `until` a hash of the content is a new event.
CREATE TABLE ~dedupe (
    id      text COLLATE "C" NOT NULL,
    account text COLLATE "C" NOT NULL,
    seq     bigint NOT NULL,
    until   bigint NOT NULL,
    hashed  boolean NOT NULL,
    PRIMARY KEY (id, account)
);

CREATE TABLE ~judgements (
    seq         bigint NOT NULL,
    n           integer NOT NULL,
    rule        text NOT NULL,
    outcome     text NOT NULL,
    fingerprint text,
    detail      text NOT NULL,
    config      text NOT NULL,
    PRIMARY KEY (seq, n)
);

-- Events that could not be judged.
CREATE TABLE ~faulted (
    seq    bigint PRIMARY KEY,
    detail text NOT NULL
);

CREATE TABLE ~alerts (
    fingerprint text COLLATE "C" PRIMARY KEY,
    alertname   text COLLATE "C" NOT NULL,
    state       text COLLATE "C" NOT NULL,
    ends_at     bigint NOT NULL,
    alert       bytea NOT NULL
);
CREATE INDEX alerts_firing ON ~alerts (fingerprint) WHERE state = 'firing';
CREATE INDEX alerts_ended ON ~alerts (ends_at) WHERE state <> 'firing';

-- How many alerts stand where, kept by the trigger below so that nobody has to count. Only the judging replica writes.
CREATE TABLE ~alert_counts (
    alertname text COLLATE "C" NOT NULL,
    state     text COLLATE "C" NOT NULL,
    count     bigint NOT NULL,
    PRIMARY KEY (alertname, state)
);
CREATE FUNCTION ~count_alert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        UPDATE ~alert_counts SET count = count - 1 WHERE alertname = old.alertname AND state = old.state;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO ~alert_counts AS kept (alertname, state, count) VALUES (new.alertname, new.state, 1)
            ON CONFLICT (alertname, state) DO UPDATE SET count = kept.count + 1;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER alert_counted AFTER INSERT OR DELETE ON ~alerts
    FOR EACH ROW EXECUTE FUNCTION ~count_alert();
CREATE TRIGGER alert_moved AFTER UPDATE ON ~alerts FOR EACH ROW
    WHEN (old.alertname <> new.alertname OR old.state <> new.state) EXECUTE FUNCTION ~count_alert();

-- `n` is the order of queueing. Open (pending or sending) means `finished_at IS NULL`. A delivery says who is owed a
-- notification about which group; what it says is composed when it is claimed.
CREATE TABLE ~deliveries (
    n                  bigserial PRIMARY KEY,
    id                 text COLLATE "C" NOT NULL UNIQUE,
    integration        text COLLATE "C" NOT NULL,
    receiver           text COLLATE "C" NOT NULL,
    target             text COLLATE "C" NOT NULL,
    group_key          text COLLATE "C" NOT NULL,
    state              text NOT NULL DEFAULT 'pending',
    attempts           integer NOT NULL DEFAULT 0,
    created_at         bigint NOT NULL,
    -- The next try, or the end of the claim while it is being sent.
    due_at             bigint NOT NULL,
    finished_at        bigint,
    -- Why it was sent last: the reason of the notification.
    why                text NOT NULL DEFAULT '',
    reason             text NOT NULL DEFAULT '',
    detail             text NOT NULL DEFAULT '',
    fallback_at        bigint,
    fallback_triggered boolean NOT NULL DEFAULT false,
    fallback_of        text,
    -- 1: an attempt was cut off. 2: it was, and has been repeated since.
    maybe_repeated     integer NOT NULL DEFAULT 0,
    -- How often its content changed between attempts.
    revision           integer NOT NULL DEFAULT 0,
    by_hand            boolean NOT NULL DEFAULT false,
    -- Whether the engine has taken note of its end.
    noted              boolean NOT NULL DEFAULT false
);
CREATE UNIQUE INDEX deliveries_open ON ~deliveries (integration, target, group_key) WHERE finished_at IS NULL;
CREATE INDEX deliveries_due ON ~deliveries (integration, due_at) WHERE finished_at IS NULL;
CREATE INDEX deliveries_unnoted ON ~deliveries (n) WHERE finished_at IS NOT NULL AND NOT noted;
CREATE INDEX deliveries_receiver ON ~deliveries (receiver, n);
CREATE INDEX deliveries_dead ON ~deliveries (receiver) WHERE state = 'dead';
CREATE INDEX deliveries_delivered ON ~deliveries (integration, target, group_key, n) WHERE state = 'delivered';
CREATE INDEX deliveries_finished ON ~deliveries (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX deliveries_to_fallbacks ON ~deliveries (integration, target, group_key, created_at)
    WHERE fallback_of IS NOT NULL;
CREATE INDEX deliveries_fallback ON ~deliveries (fallback_at)
    WHERE finished_at IS NULL AND NOT fallback_triggered AND fallback_at IS NOT NULL;

-- What was composed last, beside the delivery: a claim that says the same does not write it anew.
CREATE TABLE ~contents (
    delivery bigint PRIMARY KEY REFERENCES ~deliveries (n) ON DELETE CASCADE,
    digest   bytea NOT NULL,
    message  bytea NOT NULL
);

CREATE TABLE ~attempts (
    delivery    bigint NOT NULL REFERENCES ~deliveries (n) ON DELETE CASCADE,
    number      integer NOT NULL,
    finished_at bigint NOT NULL,
    outcome     text NOT NULL,
    reason      text NOT NULL,
    detail      text NOT NULL,
    PRIMARY KEY (delivery, number)
);

-- Which deliveries an event caused. A link outlives its delivery, never its event.
CREATE TABLE ~caused (
    seq      bigint NOT NULL,
    delivery text COLLATE "C" NOT NULL,
    PRIMARY KEY (seq, delivery)
);

-- How many deliveries of each receiver have ended in which way: what was summed up, and what came since. Added, not
-- counted up, for replicas would wait for each other; those that are open are counted by their index.
CREATE TABLE ~delivery_counts (
    receiver text COLLATE "C" NOT NULL,
    state    text COLLATE "C" NOT NULL,
    count    bigint NOT NULL
);
CREATE FUNCTION ~count_delivery() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' AND old.finished_at IS NOT NULL THEN
        INSERT INTO ~delivery_counts (receiver, state, count) VALUES (old.receiver, old.state, -1);
    END IF;
    IF TG_OP <> 'DELETE' AND new.finished_at IS NOT NULL THEN
        INSERT INTO ~delivery_counts (receiver, state, count) VALUES (new.receiver, new.state, 1);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER delivery_counted AFTER INSERT OR DELETE ON ~deliveries
    FOR EACH ROW EXECUTE FUNCTION ~count_delivery();
CREATE TRIGGER delivery_moved AFTER UPDATE ON ~deliveries FOR EACH ROW
    WHEN ((old.finished_at IS NULL) <> (new.finished_at IS NULL)
        OR (old.finished_at IS NOT NULL AND old.state <> new.state)) EXECUTE FUNCTION ~count_delivery();

-- What each target was last notified of, by group.
CREATE TABLE ~notification_log (
    group_key   text COLLATE "C" NOT NULL,
    integration text COLLATE "C" NOT NULL,
    target      text COLLATE "C" NOT NULL,
    -- The delivery and the attempt that wrote it: an older one that answers late writes nothing.
    delivery    bigint NOT NULL,
    attempt     integer NOT NULL,
    entry       bytea NOT NULL,
    PRIMARY KEY (group_key, integration, target)
);
CREATE INDEX notification_log_of_integration ON ~notification_log (integration, group_key);

-- Integrations that are left alone for a while.
CREATE TABLE ~integrations (
    id           text COLLATE "C" PRIMARY KEY,
    paused_until bigint NOT NULL,
    reason       text NOT NULL
);

-- What the engine goes on from: series, groups, metrics. Its bytes are its own.
CREATE TABLE ~state (
    space text COLLATE "C" NOT NULL,
    key   text COLLATE "C" NOT NULL,
    value bytea NOT NULL,
    PRIMARY KEY (space, key)
);

-- One row for each charge. `at` is when it was charged, `reported_at` when the amount was reported by the event's own
-- time, `updated_at` when an event last touched it.
CREATE TABLE ~ledger (
    account       text COLLATE "C" NOT NULL,
    key           text COLLATE "C" NOT NULL,
    amount        text NOT NULL,
    currency      text NOT NULL,
    product       text NOT NULL,
    kind          text NOT NULL,
    at            bigint NOT NULL,
    updated_at    bigint NOT NULL,
    from_number   text,
    to_number     text,
    direction     text,
    connection_id text,
    country       text,
    started_at    bigint,
    ended_at      bigint,
    reported_at   bigint NOT NULL,
    PRIMARY KEY (account, key)
);
CREATE INDEX ledger_updated ON ~ledger (updated_at);
CREATE INDEX ledger_charged ON ~ledger (at, account, key);

-- What is known of a call leg.
CREATE TABLE ~calls (
    account    text COLLATE "C" NOT NULL,
    leg        text COLLATE "C" NOT NULL,
    learned_at bigint NOT NULL,
    context    bytea NOT NULL,
    PRIMARY KEY (account, leg)
);
CREATE INDEX calls_learned ON ~calls (learned_at);

CREATE TABLE ~silences (
    id        text COLLATE "C" PRIMARY KEY,
    starts_at bigint NOT NULL,
    ends_at   bigint NOT NULL,
    silence   bytea NOT NULL
);

-- The story of each alert, in the order in which it was written.
CREATE TABLE ~journal (
    n           bigserial PRIMARY KEY,
    at          bigint NOT NULL,
    fingerprint text COLLATE "C" NOT NULL,
    group_key   text NOT NULL,
    what        text NOT NULL,
    detail      text NOT NULL
);
CREATE INDEX journal_of_alert ON ~journal (fingerprint, n);

-- Readings of balances. Amounts are decimal text; what was not told is null.
CREATE TABLE ~readings (
    account          text COLLATE "C" NOT NULL,
    at               bigint NOT NULL,
    currency         text,
    balance          text,
    available_credit text,
    credit_limit     text,
    pending          text,
    burn_per_hour    text,
    hours_left       text,
    PRIMARY KEY (account, at)
);
CREATE INDEX readings_at ON ~readings (at);

-- Where each source beside the webhooks goes on from. Its bytes are its own.
CREATE TABLE ~places (
    account text COLLATE "C" NOT NULL,
    source  text COLLATE "C" NOT NULL,
    value   bytea NOT NULL,
    PRIMARY KEY (account, source)
);

-- Who does what only one replica does at a time: `judge`, or `lane:` and an integration. The epoch grows with each change of
-- hands, and is a part of the key: who holds the row FOR KEY SHARE while it commits keeps others from taking it over, not
-- the holder from renewing it.
CREATE TABLE ~leases (
    role       text COLLATE "C" NOT NULL UNIQUE,
    epoch      bigint NOT NULL,
    holder     text NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (role, epoch)
);

-- The replicas that run, with what each is configured with.
CREATE TABLE ~replicas (
    id      text COLLATE "C" PRIMARY KEY,
    name    text NOT NULL,
    config  text NOT NULL,
    version text NOT NULL,
    seen_at timestamptz NOT NULL
);
