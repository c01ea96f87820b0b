-- Blobs: what of each is in the storage, and which accounts hold it.
-- Times are Unix milliseconds.

CREATE TABLE blobs (
    -- Names its objects in the storage. Clients know a blob by another id.
    key      BLOB    NOT NULL PRIMARY KEY,
    -- SHA-256 of that id. Null until the upload is finished.
    id_hash  BLOB    UNIQUE,
    size     INTEGER NOT NULL,
    -- Bytes of every part but the last.
    part_len INTEGER NOT NULL,
    -- How many bytes, from the start, are durably in the storage.
    stored   INTEGER NOT NULL DEFAULT 0,
    -- 1 from when nobody holds it any more: then its objects are removed, then its row.
    unheld   INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX blobs_unheld ON blobs (key) WHERE unheld = 1;

CREATE TABLE blob_holds (
    blob          BLOB    NOT NULL REFERENCES blobs (key),
    account       INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    size          INTEGER NOT NULL,
    expires_at_ms INTEGER NOT NULL,
    -- Of the account that uploads it: SHA-256 of the upload's id.
    upload_hash   BLOB,
    -- Until the upload is finished: how long to hold the blob from then on.
    keep_for_ms   INTEGER,
    PRIMARY KEY (blob, account)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX blob_holds_by_upload ON blob_holds (account, upload_hash) WHERE upload_hash IS NOT NULL;
-- Covers the sums that quotas are checked against.
CREATE INDEX blob_holds_by_account ON blob_holds (account, expires_at_ms, size, keep_for_ms);
CREATE INDEX blob_holds_by_expiry ON blob_holds (expires_at_ms);

-- One row: the random id by which the storage knows whose it is.
CREATE TABLE blob_storage (
    owner BLOB NOT NULL
) STRICT;
INSERT INTO blob_storage (owner) VALUES (randomblob(16));
