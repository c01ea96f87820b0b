-- Counts that limits are checked against, kept in step by the transactions that change what they count.

-- One row.
CREATE TABLE totals (
    accounts INTEGER NOT NULL
) STRICT;
INSERT INTO totals (accounts) SELECT COUNT(*) FROM accounts;
CREATE TRIGGER account_made AFTER INSERT ON accounts
BEGIN
    UPDATE totals SET accounts = accounts + 1;
END;
CREATE TRIGGER account_deleted AFTER DELETE ON accounts
BEGIN
    UPDATE totals SET accounts = accounts - 1;
END;

-- Receipts that are remembered for what the device has sent.
ALTER TABLE devices ADD COLUMN receipts INTEGER NOT NULL DEFAULT 0;
UPDATE devices SET receipts = (SELECT COUNT(*) FROM receipts WHERE sender_device = devices.id);
CREATE TRIGGER receipt_given AFTER INSERT ON receipts
BEGIN
    UPDATE devices SET receipts = receipts + 1 WHERE id = NEW.sender_device;
END;
CREATE TRIGGER receipt_forgotten AFTER DELETE ON receipts
BEGIN
    UPDATE devices SET receipts = receipts - 1 WHERE id = OLD.sender_device;
END;
