ALTER TABLE users DROP CONSTRAINT users_metadata_check;
