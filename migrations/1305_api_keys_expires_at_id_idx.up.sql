-- no-transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS api_keys_expires_at_id_idx
ON api_keys (expires_at, id);
