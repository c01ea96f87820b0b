-- ML-KEM prekeys, each a signed statement: one of last resort per device, and one-time ones.

CREATE TABLE last_resort_kem_prekeys (
    device    BLOB    NOT NULL PRIMARY KEY REFERENCES devices (id),
    id        INTEGER NOT NULL,
    statement BLOB    NOT NULL,
    signature BLOB    NOT NULL
) STRICT;

-- With row ids: rows are too long to be searched through, and the index suffices to count them.
CREATE TABLE one_time_kem_prekeys (
    device    BLOB    NOT NULL REFERENCES devices (id),
    id        INTEGER NOT NULL,
    statement BLOB    NOT NULL,
    signature BLOB    NOT NULL,
    PRIMARY KEY (device, id)
) STRICT;

-- Highest one-time KEM prekey id ever taken: lower ones that are gone stay gone.
ALTER TABLE devices ADD COLUMN one_time_kem_high_water INTEGER NOT NULL DEFAULT 0;
