-- Channels: who is in them, the chain of entries that says so, and posts on their way to the members.
-- A channel's id is 32 bytes, that of a post 16.

CREATE TABLE channels (
    id          BLOB    NOT NULL PRIMARY KEY,
    head_height INTEGER NOT NULL,
    head_hash   BLOB    NOT NULL,
    -- The number of the newest post.
    last_post   INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- Apart from the channel: it is long, and changes with the entries only.
CREATE TABLE rosters (
    channel BLOB NOT NULL PRIMARY KEY REFERENCES channels (id) ON DELETE CASCADE,
    -- As in crypto/SPEC.md 16, at the head.
    state   BLOB NOT NULL
) STRICT;

CREATE TABLE roster_entries (
    channel   BLOB    NOT NULL REFERENCES channels (id) ON DELETE CASCADE,
    height    INTEGER NOT NULL,
    statement BLOB    NOT NULL,
    signature BLOB    NOT NULL,
    PRIMARY KEY (channel, height)
) STRICT;

-- What the roster says, of accounts that are here still.
CREATE TABLE channel_members (
    channel      BLOB    NOT NULL REFERENCES channels (id) ON DELETE CASCADE,
    account      INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    -- Height of the entry that added the account.
    since_height INTEGER NOT NULL,
    PRIMARY KEY (channel, account)
) STRICT, WITHOUT ROWID;
CREATE INDEX channel_members_by_account ON channel_members (account, channel);

-- Who was a member once, and may read the entries up to the one that ended it.
CREATE TABLE former_members (
    channel      BLOB    NOT NULL REFERENCES channels (id) ON DELETE CASCADE,
    account      INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    until_height INTEGER NOT NULL,
    PRIMARY KEY (channel, account)
) STRICT, WITHOUT ROWID;
CREATE INDEX former_members_by_account ON former_members (account);

-- One ciphertext for all its recipients. Gone with the last envelope that names it.
CREATE TABLE posts (
    id             BLOB    NOT NULL PRIMARY KEY,
    channel        BLOB    NOT NULL,
    sender         TEXT    NOT NULL,
    sender_device  BLOB    NOT NULL,
    accepted_at_ms INTEGER NOT NULL,
    -- Bytes it counts for in a mailbox.
    size           INTEGER NOT NULL,
    ciphertext     BLOB    NOT NULL
) STRICT;

-- Posts that have not reached every mailbox yet, and how far each has come.
CREATE TABLE fan_outs (
    channel BLOB    NOT NULL REFERENCES channels (id) ON DELETE CASCADE,
    -- The order of delivery within the channel.
    number  INTEGER NOT NULL,
    post    BLOB    NOT NULL UNIQUE,
    -- The roster it was made under: who joined later does not get it.
    height  INTEGER NOT NULL,
    -- The last account served.
    served  INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (channel, number)
) STRICT, WITHOUT ROWID;

-- Which node delivers a channel's posts just now.
CREATE TABLE fan_out_leases (
    channel         BLOB    NOT NULL PRIMARY KEY REFERENCES channels (id) ON DELETE CASCADE,
    node            BLOB,
    leased_until_ms INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
