-- no-transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS rate_limit_expires_at_key_idx
ON rate_limit (expires_at, key);
