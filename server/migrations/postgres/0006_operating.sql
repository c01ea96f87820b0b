-- What operators do and what the server does by itself. Times are Unix milliseconds.

CREATE TABLE invites (
    -- SHA-256 of the code, which is written down nowhere here.
    hash          BYTEA NOT NULL PRIMARY KEY,
    -- What the operator calls it by, from 1.
    number        BIGINT NOT NULL UNIQUE,
    uses_left     BIGINT NOT NULL,
    -- Null: for ever.
    expires_at_ms BIGINT,
    created_at_ms BIGINT NOT NULL,
    note          TEXT NOT NULL
);

-- Addresses nobody is served from.
CREATE TABLE blocks (
    prefix        TEXT NOT NULL PRIMARY KEY,
    -- Null: for ever.
    until_ms      BIGINT,
    created_at_ms BIGINT NOT NULL,
    note          TEXT NOT NULL
);

-- Which node runs a job now, and how its last run went.
CREATE TABLE jobs (
    name           TEXT NOT NULL PRIMARY KEY,
    node           TEXT NOT NULL,
    -- Until then no other node runs it.
    lease_until_ms BIGINT NOT NULL,
    started_at_ms  BIGINT NOT NULL,
    -- Null: the run that started has not ended.
    ended_at_ms    BIGINT,
    -- Of the last run that ended: how, and how much it dealt with.
    outcome        TEXT,
    items          BIGINT NOT NULL,
    runs           BIGINT NOT NULL,
    failures       BIGINT NOT NULL
);
