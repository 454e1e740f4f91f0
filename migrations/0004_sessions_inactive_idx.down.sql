-- no-transaction
DROP INDEX CONCURRENTLY IF EXISTS sessions_inactive_idx;
