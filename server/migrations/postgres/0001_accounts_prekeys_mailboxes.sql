-- Accounts, their devices, what the devices signed, and what waits for them.
-- Times are Unix milliseconds. Ids of devices, messages, receipts and envelopes are 16 random bytes.
-- Counts that limits are checked against are kept in step by the transactions that change what they count.

CREATE TABLE accounts (
    -- Never leaves the server: in public nothing is numbered by creation order.
    id                 BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    address            TEXT    NOT NULL UNIQUE,
    account_key        BYTEA    NOT NULL UNIQUE,
    manifest_version   BIGINT NOT NULL,
    manifest_statement BYTEA    NOT NULL,
    manifest_signature BYTEA    NOT NULL,
    created_at_ms      BIGINT NOT NULL,
    -- SHA-256 of the access key: who presents the key may send unseen.
    access_key_hash    BYTEA,
    -- Receipts that are remembered for sealed messages to the account.
    sealed_receipts    BIGINT NOT NULL DEFAULT 0
);

-- One row.
CREATE TABLE totals (
    accounts BIGINT NOT NULL
);
INSERT INTO totals (accounts) VALUES (0);

CREATE TABLE devices (
    id                      BYTEA    NOT NULL PRIMARY KEY,
    account                 BIGINT NOT NULL REFERENCES accounts (id),
    -- Place in the manifest, from 0.
    position                BIGINT NOT NULL,
    identity_key            BYTEA    NOT NULL UNIQUE,
    -- The manifest version that first named this device with this key.
    since_version           BIGINT NOT NULL,
    binding_statement       BYTEA    NOT NULL,
    binding_signature       BYTEA    NOT NULL,
    -- Highest one-time prekey ids ever taken: lower ones that are gone stay gone.
    one_time_high_water     BIGINT NOT NULL DEFAULT 0,
    one_time_kem_high_water BIGINT NOT NULL DEFAULT 0,
    -- What waits in the mailbox, scheduled messages included.
    mailbox_messages        BIGINT NOT NULL DEFAULT 0,
    mailbox_bytes           BIGINT NOT NULL DEFAULT 0,
    -- The sequence of the newest envelope ever put into the mailbox.
    last_sequence           BIGINT NOT NULL DEFAULT 0,
    -- Receipts that are remembered for what the device has sent.
    receipts                BIGINT NOT NULL DEFAULT 0,
    -- Counts the device's streams: the newest is the one that delivers.
    stream_epoch            BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX devices_by_account ON devices (account, position);

CREATE TABLE access_tokens (
    -- SHA-256 of the token: the token itself is never stored.
    hash          BYTEA    NOT NULL PRIMARY KEY,
    device        BYTEA    NOT NULL REFERENCES devices (id),
    expires_at_ms BIGINT NOT NULL
);
CREATE INDEX access_tokens_by_device ON access_tokens (device, expires_at_ms);
CREATE INDEX access_tokens_by_expiry ON access_tokens (expires_at_ms);

CREATE TABLE signed_prekeys (
    device    BYTEA    NOT NULL PRIMARY KEY REFERENCES devices (id),
    id        BIGINT NOT NULL,
    statement BYTEA    NOT NULL,
    signature BYTEA    NOT NULL
);

CREATE TABLE one_time_prekeys (
    device     BYTEA    NOT NULL REFERENCES devices (id),
    id         BIGINT NOT NULL,
    public_key BYTEA    NOT NULL,
    PRIMARY KEY (device, id)
);

CREATE TABLE last_resort_kem_prekeys (
    device    BYTEA    NOT NULL PRIMARY KEY REFERENCES devices (id),
    id        BIGINT NOT NULL,
    statement BYTEA    NOT NULL,
    signature BYTEA    NOT NULL
);

CREATE TABLE one_time_kem_prekeys (
    device    BYTEA    NOT NULL REFERENCES devices (id),
    id        BIGINT NOT NULL,
    statement BYTEA    NOT NULL,
    signature BYTEA    NOT NULL,
    PRIMARY KEY (device, id)
);

CREATE TABLE envelopes (
    device         BYTEA    NOT NULL REFERENCES devices (id),
    -- The order of delivery, counted for each device by `devices.last_sequence`.
    sequence       BIGINT NOT NULL,
    id             BYTEA    NOT NULL,
    -- Null when the sender is sealed.
    sender         TEXT,
    sender_device  BYTEA,
    -- Null for a post to a channel, whose one ciphertext is in `posts`.
    ciphertext     BYTEA,
    post           BYTEA,
    -- Bytes it counts for in the mailbox.
    size           BIGINT NOT NULL,
    received_at_ms BIGINT NOT NULL,
    -- Not delivered from then on; null is never.
    expires_at_ms  BIGINT,
    PRIMARY KEY (device, sequence)
);
CREATE UNIQUE INDEX envelopes_by_id ON envelopes (device, id);
CREATE INDEX envelopes_by_expiry ON envelopes (expires_at_ms) WHERE expires_at_ms IS NOT NULL;
CREATE INDEX envelopes_by_post ON envelopes (post) WHERE post IS NOT NULL;

-- What is to be delivered later: it gets its sequence when its time has come.
CREATE TABLE scheduled (
    id                BYTEA    NOT NULL PRIMARY KEY,
    device            BYTEA    NOT NULL REFERENCES devices (id),
    sender            TEXT,
    sender_device     BYTEA,
    client_message_id BYTEA    NOT NULL,
    ciphertext        BYTEA    NOT NULL,
    received_at_ms    BIGINT NOT NULL,
    expires_at_ms     BIGINT,
    due_ms            BIGINT NOT NULL
);
CREATE INDEX scheduled_by_due ON scheduled (due_ms);
CREATE INDEX scheduled_by_device ON scheduled (device);
CREATE INDEX scheduled_by_sender ON scheduled (sender_device, client_message_id);

CREATE TABLE receipts (
    -- Who sent: a device id, or 32 bytes that stand for the access key that was presented.
    scope             BYTEA    NOT NULL,
    client_message_id BYTEA    NOT NULL,
    request_digest    BYTEA    NOT NULL,
    receipt_id        BYTEA    NOT NULL,
    accepted_at_ms    BIGINT NOT NULL,
    -- Whose count of receipts this is in: the recipient's account when the sender is sealed.
    account           BIGINT,
    PRIMARY KEY (scope, client_message_id)
);
CREATE INDEX receipts_by_age ON receipts (accepted_at_ms);
