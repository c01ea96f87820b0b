-- Who is not let in though no account has the device, and what was taken back.

-- SQLite drops no constraint of a table that is there.
ALTER TABLE shut_outs RENAME TO shut_outs_before;
DROP INDEX shut_outs_by_key;
DROP INDEX shut_outs_by_account;
CREATE TABLE shut_outs (
    device       BLOB NOT NULL PRIMARY KEY,
    -- Of a device that no account has had since it was shut out there is neither.
    identity_key BLOB,
    -- Whose device it was then, or came to be. What is known of an account goes with it.
    account      INTEGER REFERENCES accounts (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
INSERT INTO shut_outs (device, identity_key, account) SELECT device, identity_key, account FROM shut_outs_before;
DROP TABLE shut_outs_before;
CREATE INDEX shut_outs_by_key ON shut_outs (identity_key);
CREATE INDEX shut_outs_by_account ON shut_outs (account);

-- Whether what the request scheduled was taken back: said again to who asks again.
ALTER TABLE receipts ADD COLUMN cancelled INTEGER NOT NULL DEFAULT 0;
