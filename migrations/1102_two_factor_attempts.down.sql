ALTER TABLE two_factor
    DROP COLUMN IF EXISTS verified,
    DROP COLUMN IF EXISTS failed_verification_count,
    DROP COLUMN IF EXISTS locked_until,
    DROP COLUMN IF EXISTS last_used_step;
