ALTER TABLE organization DROP CONSTRAINT IF EXISTS organization_metadata_check;
