-- Receivers that somebody has paused: a row is a pause that has not ended.
CREATE TABLE receiver_pauses (
    receiver TEXT    NOT NULL PRIMARY KEY,
    since    INTEGER NOT NULL,
    until    INTEGER NOT NULL,
    who      TEXT    NOT NULL,
    comment  TEXT    NOT NULL
) STRICT;
