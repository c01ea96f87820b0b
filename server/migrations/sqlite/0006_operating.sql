-- What operators do and what the server does by itself. Times are Unix milliseconds.

CREATE TABLE invites (
    -- SHA-256 of the code, which is written down nowhere here.
    hash          BLOB NOT NULL PRIMARY KEY,
    -- What the operator calls it by, from 1.
    number        INTEGER NOT NULL UNIQUE,
    uses_left     INTEGER NOT NULL,
    -- Null: for ever.
    expires_at_ms INTEGER,
    created_at_ms INTEGER NOT NULL,
    note          TEXT NOT NULL
) STRICT;

-- Addresses nobody is served from.
CREATE TABLE blocks (
    prefix        TEXT NOT NULL PRIMARY KEY,
    -- Null: for ever.
    until_ms      INTEGER,
    created_at_ms INTEGER NOT NULL,
    note          TEXT NOT NULL
) STRICT;

-- Which node runs a job now, and how its last run went.
CREATE TABLE jobs (
    name           TEXT NOT NULL PRIMARY KEY,
    node           TEXT NOT NULL,
    -- Until then no other node runs it.
    lease_until_ms INTEGER NOT NULL,
    started_at_ms  INTEGER NOT NULL,
    -- Null: the run that started has not ended.
    ended_at_ms    INTEGER,
    -- Of the last run that ended: how, and how much it dealt with.
    outcome        TEXT,
    items          INTEGER NOT NULL,
    runs           INTEGER NOT NULL,
    failures       INTEGER NOT NULL
) STRICT;
