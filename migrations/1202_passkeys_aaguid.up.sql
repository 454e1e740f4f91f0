-- better-auth-rs 0.10 has no passkeys without a name.
ALTER TABLE passkeys ADD COLUMN IF NOT EXISTS aaguid TEXT, ALTER COLUMN name DROP NOT NULL;
