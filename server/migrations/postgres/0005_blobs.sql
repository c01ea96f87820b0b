-- Blobs: what of each is in the storage, and which accounts hold it.
-- Times are Unix milliseconds.

CREATE TABLE blobs (
    -- Names its objects in the storage. Clients know a blob by another id.
    key      BYTEA    NOT NULL PRIMARY KEY,
    -- SHA-256 of that id. Null until the upload is finished.
    id_hash  BYTEA    UNIQUE,
    size     BIGINT NOT NULL,
    -- Bytes of every part but the last.
    part_len BIGINT NOT NULL,
    -- How many bytes, from the start, are durably in the storage.
    stored   BIGINT NOT NULL DEFAULT 0,
    -- 1 from when nobody holds it any more: then its objects are removed, then its row.
    unheld   BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX blobs_unheld ON blobs (key) WHERE unheld = 1;

CREATE TABLE blob_holds (
    blob          BYTEA    NOT NULL REFERENCES blobs (key),
    account       BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    size          BIGINT NOT NULL,
    expires_at_ms BIGINT NOT NULL,
    -- Of the account that uploads it: SHA-256 of the upload's id.
    upload_hash   BYTEA,
    -- Until the upload is finished: how long to hold the blob from then on.
    keep_for_ms   BIGINT,
    PRIMARY KEY (blob, account)
);
CREATE UNIQUE INDEX blob_holds_by_upload ON blob_holds (account, upload_hash) WHERE upload_hash IS NOT NULL;
-- Covers the sums that quotas are checked against.
CREATE INDEX blob_holds_by_account ON blob_holds (account, expires_at_ms, size, keep_for_ms);
CREATE INDEX blob_holds_by_expiry ON blob_holds (expires_at_ms);

-- One row: the random id by which the storage knows whose it is.
CREATE TABLE blob_storage (
    owner BYTEA NOT NULL
);
INSERT INTO blob_storage (owner) VALUES (uuid_send(gen_random_uuid()));
