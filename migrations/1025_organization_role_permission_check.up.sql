-- NOT VALID, so that rows that another program has stored do not stop it. Nothing is done if the constraint is there.
DO $$ BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_constraint WHERE conrelid = 'organization_role'::REGCLASS AND conname = 'organization_role_permission_check'
    ) THEN
        ALTER TABLE organization_role ADD CONSTRAINT organization_role_permission_check CHECK (jsonb_typeof(permission) = 'object') NOT VALID;
    END IF;
END $$;
