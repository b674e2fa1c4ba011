-- Who changed what. Rows are appended and never changed.
CREATE TABLE ~audit (
    n       bigserial PRIMARY KEY,
    at      bigint NOT NULL,
    who     text NOT NULL,
    address text,
    action  text COLLATE "C" NOT NULL,
    subject text NOT NULL,
    detail  text NOT NULL
);
