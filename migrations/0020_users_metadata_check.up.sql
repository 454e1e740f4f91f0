-- NOT VALID, so that rows that another program has stored do not stop it.
ALTER TABLE users ADD CONSTRAINT users_metadata_check CHECK (jsonb_typeof(metadata) = 'object') NOT VALID;
