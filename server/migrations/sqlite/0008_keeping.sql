-- In which order what is scheduled was taken, and whose share counts a blob that nobody holds any more.

-- SQLite adds no such column to a table that is there.
ALTER TABLE scheduled RENAME TO scheduled_before;
DROP INDEX scheduled_by_due;
DROP INDEX scheduled_by_device;
DROP INDEX scheduled_by_sender;
CREATE TABLE scheduled (
    -- The order in which it was taken. Never leaves the server.
    number            INTEGER PRIMARY KEY,
    id                BLOB    NOT NULL UNIQUE,
    device            BLOB    NOT NULL REFERENCES devices (id),
    sender            TEXT,
    sender_device     BLOB,
    client_message_id BLOB    NOT NULL,
    ciphertext        BLOB    NOT NULL,
    received_at_ms    INTEGER NOT NULL,
    expires_at_ms     INTEGER,
    due_ms            INTEGER NOT NULL
) STRICT;
INSERT INTO scheduled (id, device, sender, sender_device, client_message_id, ciphertext, received_at_ms,
                       expires_at_ms, due_ms)
    SELECT id, device, sender, sender_device, client_message_id, ciphertext, received_at_ms, expires_at_ms, due_ms
    FROM scheduled_before ORDER BY received_at_ms;
DROP TABLE scheduled_before;
CREATE INDEX scheduled_by_due ON scheduled (due_ms, number);
CREATE INDEX scheduled_by_device ON scheduled (device);
CREATE INDEX scheduled_by_sender ON scheduled (sender_device, client_message_id);

-- The account whose hold was the last: until its objects are gone, the blob takes of that account's share.
ALTER TABLE blobs ADD COLUMN last_holder INTEGER;
CREATE INDEX blobs_unheld_by_holder ON blobs (last_holder, size) WHERE unheld = 1;
