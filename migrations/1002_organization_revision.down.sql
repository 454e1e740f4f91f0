ALTER TABLE organization DROP COLUMN IF EXISTS revision;
