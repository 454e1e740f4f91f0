-- NOT VALID, so that rows that another program has stored do not stop it. Nothing is done if the constraint is there.
DO $$ BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_constraint WHERE conrelid = 'organization'::REGCLASS AND conname = 'organization_metadata_check'
    ) THEN
        ALTER TABLE organization ADD CONSTRAINT organization_metadata_check CHECK (jsonb_typeof(metadata) = 'object') NOT VALID;
    END IF;
END $$;
