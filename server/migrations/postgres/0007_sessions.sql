-- What ends a session's streams, and who is not let in.

-- Counts the times the session's streams were ended while it went on: a stream that was begun before the
-- last of them is over, at whichever node it is.
ALTER TABLE sessions ADD COLUMN breaks BIGINT NOT NULL DEFAULT 0;
