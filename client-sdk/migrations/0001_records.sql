-- How the key is told apart from a wrong one. One row.
CREATE TABLE vault (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    salt BLOB NOT NULL,
    proof BLOB NOT NULL
);

-- The engine's records, sealed. The name is a keyed hash of the record's key.
CREATE TABLE record (
    name BLOB PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;
