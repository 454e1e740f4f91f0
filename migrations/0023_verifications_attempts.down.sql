ALTER TABLE verifications DROP COLUMN attempts;
