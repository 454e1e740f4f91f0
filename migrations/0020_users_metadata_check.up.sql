-- NOT VALID, so that rows that another program has stored do not stop it. Nothing is done if the constraint is there.
DO $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_constraint WHERE conrelid = 'users'::regclass AND conname = 'users_metadata_check'
    ) THEN
        ALTER TABLE users ADD CONSTRAINT users_metadata_check CHECK (jsonb_typeof(metadata) = 'object') NOT VALID;
    END IF;
END $$;
