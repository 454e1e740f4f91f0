-- no-transaction
DROP INDEX CONCURRENTLY IF EXISTS users_username_prefix_idx;
