-- The name that every account here has signed. None until a server has opened the database under one.

CREATE TABLE server_name (
    -- One row at most.
    only_row BIGINT NOT NULL PRIMARY KEY CHECK (only_row = 1),
    name     TEXT   NOT NULL
);

-- Accounts that are there already have said it.
INSERT INTO server_name (only_row, name)
    SELECT 1, split_part(address, '@', 2) FROM accounts ORDER BY id LIMIT 1;
