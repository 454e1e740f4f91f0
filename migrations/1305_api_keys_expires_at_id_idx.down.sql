-- no-transaction
DROP INDEX CONCURRENTLY IF EXISTS api_keys_expires_at_id_idx;
