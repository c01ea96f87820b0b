-- What an account has beside its devices, and what its name leaves behind.

-- Manifests that newer ones replaced.
CREATE TABLE manifests (
    account   INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    version   INTEGER NOT NULL,
    statement BLOB    NOT NULL,
    signature BLOB    NOT NULL,
    PRIMARY KEY (account, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE recovery_blobs (
    account          INTEGER NOT NULL PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    fetch_token_hash BLOB    NOT NULL,
    blob             BLOB    NOT NULL
) STRICT;

-- What waits for a device that is on no account yet.
CREATE TABLE linking_grants (
    device        BLOB    NOT NULL,
    account       INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    size          INTEGER NOT NULL,
    expires_at_ms INTEGER NOT NULL,
    sealed        BLOB    NOT NULL,
    PRIMARY KEY (device, account)
) STRICT;
CREATE INDEX linking_grants_by_expiry ON linking_grants (expires_at_ms, size);
CREATE INDEX linking_grants_by_account ON linking_grants (account);

-- Names of deleted accounts, which nobody may take for a while.
CREATE TABLE retired_names (
    hash     BLOB    NOT NULL PRIMARY KEY,
    until_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX retired_names_by_end ON retired_names (until_ms);

-- To delete what is remembered of sealed messages together with the account.
CREATE INDEX receipts_by_account ON receipts (account) WHERE account IS NOT NULL;
