-- In which order what is scheduled was taken, and whose share counts a blob that nobody holds any more.

-- The order in which it was taken. Never leaves the server.
ALTER TABLE scheduled ADD COLUMN number BIGINT;
UPDATE scheduled SET number = taken.number
    FROM (SELECT id, ROW_NUMBER() OVER (ORDER BY received_at_ms) AS number FROM scheduled) AS taken
    WHERE scheduled.id = taken.id;
ALTER TABLE scheduled ALTER COLUMN number SET NOT NULL;
ALTER TABLE scheduled ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY;
SELECT setval(pg_get_serial_sequence('scheduled', 'number'), (SELECT COUNT(*) + 1 FROM scheduled), false);
DROP INDEX scheduled_by_due;
CREATE INDEX scheduled_by_due ON scheduled (due_ms, number);

-- The account whose hold was the last: until its objects are gone, the blob takes of that account's share.
ALTER TABLE blobs ADD COLUMN last_holder BIGINT;
CREATE INDEX blobs_unheld_by_holder ON blobs (last_holder, size) WHERE unheld = 1;
