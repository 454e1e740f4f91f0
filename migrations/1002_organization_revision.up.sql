-- Raised by who counts the rows of an organization, so that two of them never count at once.
ALTER TABLE organization ADD COLUMN IF NOT EXISTS revision BIGINT NOT NULL DEFAULT 0;
