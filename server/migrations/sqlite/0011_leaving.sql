-- Devices and accounts that are gone, and what they have left: nobody reaches it, and it is deleted some rows at a
-- time.
ALTER TABLE accounts ADD COLUMN gone INTEGER NOT NULL DEFAULT 0;
ALTER TABLE devices ADD COLUMN gone INTEGER NOT NULL DEFAULT 0;
CREATE INDEX accounts_gone ON accounts (id) WHERE gone = 1;
CREATE INDEX devices_gone ON devices (id) WHERE gone = 1;
