-- no-transaction
DROP INDEX CONCURRENTLY IF EXISTS rate_limit_expires_at_key_idx;
