ALTER TABLE api_keys
    DROP COLUMN IF EXISTS organization_id,
    DROP COLUMN IF EXISTS config_id,
    DROP COLUMN IF EXISTS rate_limit_window_started_at;
