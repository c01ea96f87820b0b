-- Accounts, their devices, what the devices signed, and what waits for them.
-- Times are Unix milliseconds. Ids of devices, messages, receipts and envelopes are 16 random bytes.

CREATE TABLE accounts (
    -- Never leaves the server: in public nothing is numbered by creation order.
    id                 INTEGER PRIMARY KEY,
    address            TEXT    NOT NULL UNIQUE,
    account_key        BLOB    NOT NULL UNIQUE,
    manifest_version   INTEGER NOT NULL,
    manifest_statement BLOB    NOT NULL,
    manifest_signature BLOB    NOT NULL,
    created_at_ms      INTEGER NOT NULL
) STRICT;

CREATE TABLE devices (
    id                    BLOB    NOT NULL PRIMARY KEY,
    account               INTEGER NOT NULL REFERENCES accounts (id),
    -- Place in the manifest, from 0.
    position              INTEGER NOT NULL,
    identity_key          BLOB    NOT NULL UNIQUE,
    binding_statement     BLOB    NOT NULL,
    binding_signature     BLOB    NOT NULL,
    -- Highest one-time prekey id ever taken: lower ones that are gone stay gone.
    one_time_high_water   INTEGER NOT NULL DEFAULT 0,
    -- What waits in the mailbox, kept in step with `envelopes` by the same transactions.
    mailbox_messages      INTEGER NOT NULL DEFAULT 0,
    mailbox_bytes         INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX devices_by_account ON devices (account, position);

CREATE TABLE access_tokens (
    -- SHA-256 of the token: the token itself is never stored.
    hash          BLOB    NOT NULL PRIMARY KEY,
    device        BLOB    NOT NULL REFERENCES devices (id),
    expires_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX access_tokens_by_device ON access_tokens (device, expires_at_ms);
CREATE INDEX access_tokens_by_expiry ON access_tokens (expires_at_ms);

CREATE TABLE signed_prekeys (
    device    BLOB    NOT NULL PRIMARY KEY REFERENCES devices (id),
    id        INTEGER NOT NULL,
    statement BLOB    NOT NULL,
    signature BLOB    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE one_time_prekeys (
    device     BLOB    NOT NULL REFERENCES devices (id),
    id         INTEGER NOT NULL,
    public_key BLOB    NOT NULL,
    PRIMARY KEY (device, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE envelopes (
    -- The order of delivery. AUTOINCREMENT matters: without it SQLite gives the number of a deleted
    -- newest envelope to the next one, and a stream already past that number would miss it.
    sequence       INTEGER PRIMARY KEY AUTOINCREMENT,
    id             BLOB    NOT NULL UNIQUE,
    device         BLOB    NOT NULL REFERENCES devices (id),
    sender         TEXT    NOT NULL,
    sender_device  BLOB    NOT NULL,
    ciphertext     BLOB    NOT NULL,
    received_at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX envelopes_by_device ON envelopes (device, sequence);

CREATE TABLE receipts (
    sender_device     BLOB    NOT NULL,
    client_message_id BLOB    NOT NULL,
    request_digest    BLOB    NOT NULL,
    receipt_id        BLOB    NOT NULL,
    accepted_at_ms    INTEGER NOT NULL,
    PRIMARY KEY (sender_device, client_message_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX receipts_by_age ON receipts (accepted_at_ms);
