-- Receivers that somebody has paused: a row is a pause that has not ended.
CREATE TABLE ~receiver_pauses (
    receiver text COLLATE "C" NOT NULL PRIMARY KEY,
    since    bigint NOT NULL,
    until    bigint NOT NULL,
    who      text   NOT NULL,
    comment  text   NOT NULL
);
