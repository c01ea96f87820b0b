-- Channels: who is in them, the chain of entries that says so, and posts on their way to the members.
-- A channel's id is 32 bytes, that of a post 16.

CREATE TABLE channels (
    id          BYTEA  NOT NULL PRIMARY KEY,
    head_height BIGINT NOT NULL,
    head_hash   BYTEA  NOT NULL,
    -- The number of the newest post.
    last_post   BIGINT NOT NULL DEFAULT 0
);

-- Apart from the channel: it is long, and changes with the entries only.
CREATE TABLE rosters (
    channel BYTEA NOT NULL PRIMARY KEY REFERENCES channels (id) ON DELETE CASCADE,
    -- As in crypto/SPEC.md 16, at the head.
    state   BYTEA NOT NULL
);

CREATE TABLE roster_entries (
    channel   BYTEA  NOT NULL REFERENCES channels (id) ON DELETE CASCADE,
    height    BIGINT NOT NULL,
    statement BYTEA  NOT NULL,
    signature BYTEA  NOT NULL,
    PRIMARY KEY (channel, height)
);

-- What the roster says, of accounts that are here still.
CREATE TABLE channel_members (
    channel      BYTEA  NOT NULL REFERENCES channels (id) ON DELETE CASCADE,
    account      BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    -- Height of the entry that added the account.
    since_height BIGINT NOT NULL,
    PRIMARY KEY (channel, account)
);
CREATE INDEX channel_members_by_account ON channel_members (account, channel);

-- Who was a member once, and may read the entries up to the one that ended it.
CREATE TABLE former_members (
    channel      BYTEA  NOT NULL REFERENCES channels (id) ON DELETE CASCADE,
    account      BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    until_height BIGINT NOT NULL,
    PRIMARY KEY (channel, account)
);
CREATE INDEX former_members_by_account ON former_members (account);

-- One ciphertext for all its recipients. Gone with the last envelope that names it.
CREATE TABLE posts (
    id             BYTEA  NOT NULL PRIMARY KEY,
    channel        BYTEA  NOT NULL,
    sender         TEXT   NOT NULL,
    sender_device  BYTEA  NOT NULL,
    accepted_at_ms BIGINT NOT NULL,
    -- Bytes it counts for in a mailbox.
    size           BIGINT NOT NULL,
    ciphertext     BYTEA  NOT NULL
);

-- Posts that have not reached every mailbox yet, and how far each has come.
CREATE TABLE fan_outs (
    channel BYTEA  NOT NULL REFERENCES channels (id) ON DELETE CASCADE,
    -- The order of delivery within the channel.
    number  BIGINT NOT NULL,
    post    BYTEA  NOT NULL UNIQUE,
    -- The roster it was made under: who joined later does not get it.
    height  BIGINT NOT NULL,
    -- The last account served.
    served  BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (channel, number)
);

-- Which node delivers a channel's posts just now.
CREATE TABLE fan_out_leases (
    channel         BYTEA  NOT NULL PRIMARY KEY REFERENCES channels (id) ON DELETE CASCADE,
    node            BYTEA,
    leased_until_ms BIGINT NOT NULL DEFAULT 0
);
