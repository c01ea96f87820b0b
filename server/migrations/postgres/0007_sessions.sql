-- What ends a session's streams, and who is not let in.

-- Counts the times the session's streams were ended while it went on: a stream that was begun before the
-- last of them is over, at whichever node it is.
ALTER TABLE sessions ADD COLUMN breaks BIGINT NOT NULL DEFAULT 0;

-- Devices the operator has shut out, whether or not they are on their account's manifest just now: one that
-- was dropped and comes back, under its id or with its key, is shut out still.
CREATE TABLE shut_outs (
    device       BYTEA NOT NULL PRIMARY KEY,
    identity_key BYTEA NOT NULL,
    -- Whose device it was then. What is known of an account goes with it.
    account      BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE
);
CREATE INDEX shut_outs_by_key ON shut_outs (identity_key);
CREATE INDEX shut_outs_by_account ON shut_outs (account);
INSERT INTO shut_outs (device, identity_key, account)
    SELECT id, identity_key, account FROM devices WHERE blocked = 1;
