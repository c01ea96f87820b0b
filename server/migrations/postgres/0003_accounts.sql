-- What an account has beside its devices, and what its name leaves behind.

-- Manifests that newer ones replaced.
CREATE TABLE manifests (
    account   BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    version   BIGINT NOT NULL,
    statement BYTEA    NOT NULL,
    signature BYTEA    NOT NULL,
    PRIMARY KEY (account, version)
);

CREATE TABLE recovery_blobs (
    account          BIGINT NOT NULL PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    fetch_token_hash BYTEA    NOT NULL,
    blob             BYTEA    NOT NULL
);

-- What waits for a device that is on no account yet.
CREATE TABLE linking_grants (
    device        BYTEA    NOT NULL,
    account       BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    size          BIGINT NOT NULL,
    expires_at_ms BIGINT NOT NULL,
    sealed        BYTEA    NOT NULL,
    PRIMARY KEY (device, account)
);
CREATE INDEX linking_grants_by_expiry ON linking_grants (expires_at_ms, size);
CREATE INDEX linking_grants_by_account ON linking_grants (account);

-- Names of deleted accounts, which nobody may take for a while.
CREATE TABLE retired_names (
    hash     BYTEA    NOT NULL PRIMARY KEY,
    until_ms BIGINT NOT NULL
);
CREATE INDEX retired_names_by_end ON retired_names (until_ms);

-- To delete what is remembered of sealed messages together with the account.
CREATE INDEX receipts_by_account ON receipts (account) WHERE account IS NOT NULL;
