-- Sessions: a sign-in and all that was refreshed from it.
-- Of tokens there are hashes. Days are counted from 1970-01-01 UTC: when somebody was here is nobody's
-- business by the second.

ALTER TABLE devices ADD COLUMN last_seen_day BIGINT NOT NULL DEFAULT 0;
-- 1 when the operator has shut the device out.
ALTER TABLE devices ADD COLUMN blocked BIGINT NOT NULL DEFAULT 0;

CREATE TABLE sessions (
    id                 BYTEA    NOT NULL PRIMARY KEY,
    device             BYTEA    NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    -- Which of the device's sessions was used last: the highest.
    use_order          BIGINT NOT NULL,
    created_day        BIGINT NOT NULL,
    last_used_day      BIGINT NOT NULL,
    -- What stands for the web origin it was begun from; null when by no web page.
    origin_hash        BYTEA,
    -- SHA-256 of the parts of its refresh tokens: of what all have, of the newest, of the one before.
    family_hash        BYTEA    NOT NULL,
    refresh_hash       BYTEA    NOT NULL,
    refreshed_hash     BYTEA,
    -- Counts the refreshes.
    generation         BIGINT NOT NULL DEFAULT 0,
    -- Midnight UTC of the day the refresh token ends.
    refresh_expires_at_ms BIGINT NOT NULL
);
CREATE INDEX sessions_by_device ON sessions (device, use_order);
CREATE INDEX sessions_by_expiry ON sessions (refresh_expires_at_ms);

-- Devices sign in again: what was issued before belongs to no session.
DROP TABLE access_tokens;
CREATE TABLE access_tokens (
    -- SHA-256 of the token: the token itself is never stored.
    hash          BYTEA    NOT NULL PRIMARY KEY,
    session       BYTEA    NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    -- The session's, when it was issued.
    generation    BIGINT NOT NULL,
    expires_at_ms BIGINT NOT NULL
);
CREATE INDEX access_tokens_by_session ON access_tokens (session, generation);
CREATE INDEX access_tokens_by_expiry ON access_tokens (expires_at_ms);

-- Keys that all nodes share.
CREATE TABLE server_keys (
    name TEXT NOT NULL PRIMARY KEY,
    key  BYTEA NOT NULL
);

-- Challenges that were answered, until they expire: each is good once, at whichever node.
CREATE TABLE used_challenges (
    nonce         BYTEA    NOT NULL PRIMARY KEY,
    expires_at_ms BIGINT NOT NULL
);
CREATE INDEX used_challenges_by_expiry ON used_challenges (expires_at_ms);

-- How often devices signed in of late, until they have paused.
CREATE TABLE sign_ins (
    device  BYTEA    NOT NULL PRIMARY KEY REFERENCES devices (id) ON DELETE CASCADE,
    count   BIGINT NOT NULL,
    last_ms BIGINT NOT NULL
);
CREATE INDEX sign_ins_by_age ON sign_ins (last_ms);
