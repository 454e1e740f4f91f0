UPDATE api_keys SET request_count = 0 WHERE request_count IS NULL;

-- better-auth-rs 0.10 has keys of users alone, and narrower times.
ALTER TABLE api_keys
    ALTER COLUMN user_id DROP NOT NULL,
    ALTER COLUMN refill_interval TYPE BIGINT,
    ALTER COLUMN rate_limit_time_window TYPE BIGINT,
    ALTER COLUMN request_count SET NOT NULL,
    ADD COLUMN IF NOT EXISTS organization_id TEXT,
    ADD COLUMN IF NOT EXISTS config_id TEXT NOT NULL DEFAULT 'default',
    ADD COLUMN IF NOT EXISTS rate_limit_window_started_at TIMESTAMPTZ;

ALTER TABLE api_keys
    DROP CONSTRAINT IF EXISTS api_keys_organization_id_fkey,
    DROP CONSTRAINT IF EXISTS api_keys_owner_check;

ALTER TABLE api_keys
    ADD CONSTRAINT api_keys_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organization(id) ON DELETE CASCADE,
    ADD CONSTRAINT api_keys_owner_check CHECK (num_nonnulls(user_id, organization_id) = 1);
