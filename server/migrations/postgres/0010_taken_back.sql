-- Who is not let in though no account has the device, and what was taken back.

-- Of a device that no account has had since it was shut out there is neither.
ALTER TABLE shut_outs ALTER COLUMN identity_key DROP NOT NULL;
ALTER TABLE shut_outs ALTER COLUMN account DROP NOT NULL;

-- Whether what the request scheduled was taken back: said again to who asks again.
ALTER TABLE receipts ADD COLUMN cancelled BIGINT NOT NULL DEFAULT 0;
