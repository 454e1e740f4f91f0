-- NOT VALID, so that adding it looks at no row.
DO $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_constraint WHERE conrelid = 'invitation'::REGCLASS AND conname = 'invitation_status_check'
    ) THEN
        ALTER TABLE invitation ADD CONSTRAINT invitation_status_check
            CHECK (status IN ('pending', 'accepted', 'rejected', 'canceled')) NOT VALID;
    END IF;
END
$$;
