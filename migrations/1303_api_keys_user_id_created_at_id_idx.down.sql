-- no-transaction
DROP INDEX CONCURRENTLY IF EXISTS api_keys_user_id_created_at_id_idx;
