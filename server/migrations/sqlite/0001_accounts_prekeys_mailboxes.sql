-- Accounts, their devices, what the devices signed, and what waits for them.
-- Times are Unix milliseconds. Ids of devices, messages, receipts and envelopes are 16 random bytes.
-- Counts that limits are checked against are kept in step by the transactions that change what they count.

CREATE TABLE accounts (
    -- Never leaves the server: in public nothing is numbered by creation order.
    id                 INTEGER PRIMARY KEY,
    address            TEXT    NOT NULL UNIQUE,
    account_key        BLOB    NOT NULL UNIQUE,
    manifest_version   INTEGER NOT NULL,
    manifest_statement BLOB    NOT NULL,
    manifest_signature BLOB    NOT NULL,
    created_at_ms      INTEGER NOT NULL,
    -- SHA-256 of the access key: who presents the key may send unseen.
    access_key_hash    BLOB,
    -- Receipts that are remembered for sealed messages to the account.
    sealed_receipts    INTEGER NOT NULL DEFAULT 0
) STRICT;

-- One row.
CREATE TABLE totals (
    accounts INTEGER NOT NULL
) STRICT;
INSERT INTO totals (accounts) VALUES (0);

CREATE TABLE devices (
    id                      BLOB    NOT NULL PRIMARY KEY,
    account                 INTEGER NOT NULL REFERENCES accounts (id),
    -- Place in the manifest, from 0.
    position                INTEGER NOT NULL,
    identity_key            BLOB    NOT NULL UNIQUE,
    -- The manifest version that first named this device with this key.
    since_version           INTEGER NOT NULL,
    binding_statement       BLOB    NOT NULL,
    binding_signature       BLOB    NOT NULL,
    -- Highest one-time prekey ids ever taken: lower ones that are gone stay gone.
    one_time_high_water     INTEGER NOT NULL DEFAULT 0,
    one_time_kem_high_water INTEGER NOT NULL DEFAULT 0,
    -- What waits in the mailbox, scheduled messages included.
    mailbox_messages        INTEGER NOT NULL DEFAULT 0,
    mailbox_bytes           INTEGER NOT NULL DEFAULT 0,
    -- The sequence of the newest envelope ever put into the mailbox.
    last_sequence           INTEGER NOT NULL DEFAULT 0,
    -- Receipts that are remembered for what the device has sent.
    receipts                INTEGER NOT NULL DEFAULT 0,
    -- Counts the device's streams: the newest is the one that delivers.
    stream_epoch            INTEGER NOT NULL DEFAULT 0
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

CREATE TABLE last_resort_kem_prekeys (
    device    BLOB    NOT NULL PRIMARY KEY REFERENCES devices (id),
    id        INTEGER NOT NULL,
    statement BLOB    NOT NULL,
    signature BLOB    NOT NULL
) STRICT;

-- With row ids: rows are too long to be searched through, and the index suffices to count them.
CREATE TABLE one_time_kem_prekeys (
    device    BLOB    NOT NULL REFERENCES devices (id),
    id        INTEGER NOT NULL,
    statement BLOB    NOT NULL,
    signature BLOB    NOT NULL,
    PRIMARY KEY (device, id)
) STRICT;

CREATE TABLE envelopes (
    device         BLOB    NOT NULL REFERENCES devices (id),
    -- The order of delivery, counted for each device by `devices.last_sequence`.
    sequence       INTEGER NOT NULL,
    id             BLOB    NOT NULL,
    -- Null when the sender is sealed.
    sender         TEXT,
    sender_device  BLOB,
    -- Null for a post to a channel, whose one ciphertext is in `posts`.
    ciphertext     BLOB,
    post           BLOB,
    -- Bytes it counts for in the mailbox.
    size           INTEGER NOT NULL,
    received_at_ms INTEGER NOT NULL,
    -- Not delivered from then on; null is never.
    expires_at_ms  INTEGER,
    PRIMARY KEY (device, sequence)
) STRICT;
CREATE UNIQUE INDEX envelopes_by_id ON envelopes (device, id);
CREATE INDEX envelopes_by_expiry ON envelopes (expires_at_ms) WHERE expires_at_ms IS NOT NULL;
CREATE INDEX envelopes_by_post ON envelopes (post) WHERE post IS NOT NULL;

-- What is to be delivered later: it gets its sequence when its time has come.
CREATE TABLE scheduled (
    id                BLOB    NOT NULL PRIMARY KEY,
    device            BLOB    NOT NULL REFERENCES devices (id),
    sender            TEXT,
    sender_device     BLOB,
    client_message_id BLOB    NOT NULL,
    ciphertext        BLOB    NOT NULL,
    received_at_ms    INTEGER NOT NULL,
    expires_at_ms     INTEGER,
    due_ms            INTEGER NOT NULL
) STRICT;
CREATE INDEX scheduled_by_due ON scheduled (due_ms);
CREATE INDEX scheduled_by_device ON scheduled (device);
CREATE INDEX scheduled_by_sender ON scheduled (sender_device, client_message_id);

CREATE TABLE receipts (
    -- Who sent: a device id, or 32 bytes that stand for the access key that was presented.
    scope             BLOB    NOT NULL,
    client_message_id BLOB    NOT NULL,
    request_digest    BLOB    NOT NULL,
    receipt_id        BLOB    NOT NULL,
    accepted_at_ms    INTEGER NOT NULL,
    -- Whose count of receipts this is in: the recipient's account when the sender is sealed.
    account           INTEGER,
    PRIMARY KEY (scope, client_message_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX receipts_by_age ON receipts (accepted_at_ms);
